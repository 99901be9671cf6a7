"""Signatures that browsers send with what they say of a customer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from tenure.errors import Unauthenticated
from tenure.event import Decoded, Event, Identify, Refusal
from tenure.wire import codes

Item = TypeVar("Item", Event, Identify)

_MESSAGE = (
    "The signature is not the HMAC-SHA256, in hex, of this customer's id (of the e-mail where there is no id) "
    "under a secret key of the app."
)


def check_claims(decoded: Decoded, has_signed: Callable[[str, str], bool]) -> None:
    """Mark what is signed rightly; what is signed wrongly is refused under its index.

    Raises Unauthenticated when that leaves nothing of the request.
    """
    right = {claim.index for claim in decoded.claims if has_signed(claim.subject, claim.auth_hash)}
    wrong = {claim.index for claim in decoded.claims} - right
    if wrong and wrong >= _indexes(decoded.events) | _indexes(decoded.identifies) and not decoded.refusals:
        raise Unauthenticated(_MESSAGE, code=codes.WRONG_AUTH_HASH)
    decoded.events = [_marked(event, right) for event in decoded.events if event.index not in wrong]
    decoded.identifies = [_marked(identify, right) for identify in decoded.identifies if identify.index not in wrong]
    decoded.refusals += [
        Refusal(index=index, code=codes.WRONG_AUTH_HASH, message=_MESSAGE, field="auth_hash", reported=True)
        for index in sorted(wrong)
    ]


def _indexes(items: list[Item]) -> set[int]:
    return {item.index for item in items}


def _marked(item: Item, right: set[int]) -> Item:
    return msgspec.structs.replace(item, signed=True) if item.index in right else item
