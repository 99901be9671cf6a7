"""Stripe's signatures, checked by Stripe's own package, in constant time."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Final

from tenure.control.stripe_secrets import StripeSecret
from tenure.errors import Unauthenticated

TOLERANCE_SECONDS: Final = 300
"""How old a signature may be. One from the future is as good as one of now: only who has the secret can make it."""

_NOBODY: Final = StripeSecret("", "", "", f"whsec_{token_hex(16)}")
"""Tried where an app has no secret, or there is no such app, so that the time taken does not tell."""


def signer(secrets: Sequence[StripeSecret], signature: str, body: bytes) -> StripeSecret | None:
    """The secret that a body was signed with, however long ago; None when it is none of these."""
    right = [secret for secret in secrets or [_NOBODY] if _is_right(secret, signature, body, None)]
    return right[0] if right and right[0] is not _NOBODY else None


def check_age(secret: StripeSecret, signature: str, body: bytes) -> None:
    """Raises Unauthenticated when the signature, which is right, is too old."""
    if not _is_right(secret, signature, body, TOLERANCE_SECONDS):
        message = f"the signature is over {TOLERANCE_SECONDS} s old; are the clocks right? Stripe signs each retry anew"
        raise Unauthenticated(message, code="old_signature", field="Stripe-Signature")


def _is_right(secret: StripeSecret, signature: str, body: bytes, tolerance: int | None) -> bool:
    from stripe import SignatureVerificationError, WebhookSignature  # 7 MB that only they need who use Stripe

    if not signature.isascii():  # which the comparison would raise a TypeError for
        return False
    try:
        return bool(WebhookSignature.verify_header(body, signature, secret.secret, tolerance))
    except (SignatureVerificationError, UnicodeDecodeError):
        return False
