"""The lists in a request: every element is taken or refused by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tenure.errors import BadRequest
from tenure.event import MAX_QUARANTINED_PAYLOAD, MAX_REFUSED_PAYLOAD, Decoded, Refusal
from tenure.mode import LIVE
from tenure.wire import codes
from tenure.wire.json import canonical

Take = Callable[[Mapping[str, object], int, Decoded], None]
"""Reads one element and, when all of it can be used, adds it to `Decoded` under its index."""
Mode = Callable[[Mapping[str, object]], str]
"""Tells of an element, whether it can be used or not, of which mode it is (`tenure.mode`)."""


def always_live(_: Mapping[str, object]) -> str:
    """Tell that an element is live: the dialect knows nothing else."""
    return LIVE


def check_count(elements: list[object], limit: int) -> None:
    """`BadRequest` unless there are 1 to `limit` elements."""
    if not elements:
        raise BadRequest("The list is empty; it must have at least one element.", code=codes.NO_EVENTS)
    if len(elements) > limit:
        message = f"The list has {len(elements)} elements; at most {limit} are taken in one request."
        raise BadRequest(message, code=codes.TOO_MANY_EVENTS)


def take_each(
    elements: list[object], take: Take, decoded: Decoded, *, reported: bool, mode: Mode = always_live
) -> None:
    """Takes every element that can be used; each of the others becomes a `Refusal`."""
    for index, element in enumerate(elements):
        try:
            if not isinstance(element, dict):
                raise BadRequest("An element of the list must be an object.", code=codes.WRONG_TYPE)
            note_mode(decoded, index, mode(element))
            take(element, index, decoded)
        except BadRequest as fault:
            decoded.refusals.append(refusal(fault, index, element, reported=reported))


def note_mode(decoded: Decoded, index: int, mode: str) -> None:
    """Note of which mode an element is."""
    if mode != LIVE:
        decoded.modes[index] = mode


def take_some(elements: list[object], take: Take, decoded: Decoded) -> None:
    """As `take_each`, for the dialects that report a request only as a whole.

    Beside a good element the bad ones are quarantined; without any, `BadRequest` for the first bad one.
    """
    take_each(elements, take, decoded, reported=False)
    if len(decoded.refusals) == len(elements):
        first = decoded.refusals[0]
        others = f" None of the {len(elements)} elements can be used." if len(elements) > 1 else ""
        raise BadRequest(first.message + others, code=first.code, field=first.field, index=first.index)


def refusal(fault: BadRequest, index: int, value: object, *, reported: bool) -> Refusal:
    """The record that `value`, of the element `index`, was refused for `fault`."""
    reported = reported and fault.code not in codes.KEPT
    return Refusal(
        index=index,
        code=fault.code,
        message=fault.message,
        field=fault.field,
        reported=reported,
        payload=canonical(_without_signature(value))[: MAX_REFUSED_PAYLOAD if reported else MAX_QUARANTINED_PAYLOAD],
    )


def _without_signature(value: object) -> object:
    """Who reads what was refused must not be able to speak for the customer."""
    if isinstance(value, dict) and "auth_hash" in value:
        return {**value, "auth_hash": "(left out)"}
    return value
