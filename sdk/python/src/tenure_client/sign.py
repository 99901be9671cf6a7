"""Signing of an identifier, so that events sent with a publishable key are verified."""

from __future__ import annotations

import hmac


def sign(secret_key: str, identifier: str | int) -> str:
    """The `auth_hash` of the strongest identifier of an event (customer id, else uid, else e-mail): 64 hex digits.

    Call it on the server only: the secret key must not reach a browser.
    """
    return hmac.new(secret_key.encode(), str(identifier).encode(), "sha256").hexdigest()
