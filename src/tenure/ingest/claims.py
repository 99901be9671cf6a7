"""Signatures that browsers send with what they say of a customer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from tenure.errors import Unauthenticated
from tenure.event import Claim, Decoded, Event, Identify, Refusal
from tenure.placeholder import is_placeholder
from tenure.wire import codes

Item = TypeVar("Item", Event, Identify)

_MESSAGE = (
    "The signature is not the HMAC-SHA256, in hex, of this customer's id (of the e-mail where there is no id) "
    "under a secret key of the app."
)


def check_claims(decoded: Decoded, has_signed: Callable[[str, str], bool]) -> frozenset[int]:
    """Mark what is signed rightly; what is signed wrongly is refused under its index. A signature over a placeholder
    proves nothing: what it came with is as if it had none. Returns the indexes of what is kept although its signature
    does not prove the customer.

    Raises Unauthenticated when that leaves nothing of the request.
    """

    def fits(claim: Claim, subjects: Iterable[str]) -> bool:
        return any(has_signed(subject, claim.auth_hash) for subject in subjects)

    def proves(claim: Claim) -> bool:
        return fits(claim, (subject for subject in claim.subjects if not is_placeholder("customer_id", subject)))

    right = {claim.index for claim in decoded.claims if proves(claim)}
    others = [claim for claim in decoded.claims if claim.index not in right]
    wrong = {claim.index for claim in others if claim.is_required and not fits(claim, claim.subjects + claim.others)}
    if wrong and wrong >= _indexes(decoded.events) | _indexes(decoded.identifies) and not decoded.refusals:
        raise Unauthenticated(_MESSAGE, code=codes.WRONG_AUTH_HASH)
    decoded.events = [_marked(event, right) for event in decoded.events if event.index not in wrong]
    decoded.identifies = [_marked(identify, right) for identify in decoded.identifies if identify.index not in wrong]
    decoded.refusals += [
        Refusal(index=index, code=codes.WRONG_AUTH_HASH, message=_MESSAGE, field="auth_hash", reported=True)
        for index in sorted(wrong)
    ]
    return frozenset(claim.index for claim in others if _names_somebody(claim)) - wrong


def _names_somebody(claim: Claim) -> bool:
    return not all(is_placeholder("customer_id", subject) for subject in claim.subjects)


def _indexes(items: list[Item]) -> set[int]:
    return {item.index for item in items}


def _marked(item: Item, right: set[int]) -> Item:
    return msgspec.structs.replace(item, signed=True) if item.index in right else item
