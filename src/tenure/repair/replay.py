"""A quarantined element's way through its dialect again, and the entry that it becomes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from tenure.entry import Entry, Replay
from tenure.errors import BadRequest
from tenure.event import Decoded, Refusal
from tenure.repair.steps import Element, Step, apply
from tenure.wire import registry
from tenure.wire.codes import KEPT
from tenure.wire.json import canonical, parse
from tenure.wire.whisperr import MAX_AGE

_BULK, _USERS = "/v1/api/events/bulk", "/v1/api/events/customer-update/set-users/bulk"
_WHISPERR, _WHISPERR_ONE = "/v1/events/batch", "/v1/events/track"
_WINDBACK, _CUSTOMERSCORE, _STRIPE = "/api/v1/track", "/api/tracker/track", "/v1/billing/stripe/{app}"

_BODIES: Final[dict[str, Callable[[Element], object]]] = {
    _BULK: lambda element: [element],
    _USERS: lambda element: [element],
    _WINDBACK: lambda element: {"events": [element]},
    _CUSTOMERSCORE: lambda element: {"trackerKey": "-", "events": [element]},
    _STRIPE: lambda element: {"object": "list", "data": [element]},
    _WHISPERR: lambda element: {"events": [element]},
    _WHISPERR_ONE: lambda element: element,
}
"""The operations whose quarantined elements are whole, and the body that brings one element alone. The tracker key was
checked when the element came first."""
_BY_DIALECT = {"churnkey": _BULK, "windback": _WINDBACK, "customerscore": _CUSTOMERSCORE, "stripe": _STRIPE}
"""For elements from before paths were kept."""
_OPERATIONS = {operation.path: operation for operation in registry.ALL}


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One element as it is in quarantine. `received_at` in microseconds since 1970 UTC."""

    app: str
    receipt: str
    part: int
    received_at: int
    dialect: str
    path: str
    key_prefix: str
    verified: bool
    refusal: Refusal


def can_be_replayed(dialect: str, path: str) -> bool:
    """Whether what this operation quarantines is a whole element. The rest is what was left of one that was taken, or
    a row of a file."""
    return (path or _BY_DIALECT.get(dialect, "")) in _BODIES


def repaired(found: Quarantined, steps: Sequence[Step]) -> Element:
    """The element after the steps. Raises BadRequest when it is no object, or was cut."""
    try:
        element = parse(found.refusal.payload.encode())
    except BadRequest:
        raise BadRequest("The element was too large to be kept whole.", code="cut_off") from None
    if not isinstance(element, dict):
        raise BadRequest("The element is no object: a rule cannot change it.", code="wrong_type")
    return apply(steps, element)


def decoded(found: Quarantined, element: Element, at: int) -> Decoded:
    """What the dialect makes of a repaired element, as of `at` (microseconds since 1970 UTC).

    Raises Refused, with the reason, when it cannot be used still.
    """
    path = found.path or _path(found.dialect, element)
    if path not in _BODIES:
        message = "What is here is a part of an element whose rest was taken: it cannot be replayed."
        raise BadRequest(message, code="not_replayable")
    body = canonical(_BODIES[path](element)).encode()
    made = _OPERATIONS[path].decode(body, _clock_of(found, at) // 1_000)
    if not made.events and not made.identifies:
        first = made.refusals[0]
        raise BadRequest(first.message, code=first.code, field=first.field)
    return made


def replayed(found: Quarantined, steps: Sequence[Step], *, repair: str, at: int) -> Entry:
    """The entry of a repaired element, as of `at` (microseconds since 1970 UTC). The same for the same arguments.

    Raises Refused when it cannot be used still.
    """
    made = decoded(found, repaired(found, steps), at)
    return Entry(
        app=found.app,
        receipt=receipt_of(found, at),
        received_at=at,
        dialect=found.dialect,
        verified=found.verified,
        key_prefix=found.key_prefix,
        events=made.events,
        identifies=made.identifies,
        refusals=made.refusals,
        path=found.path,
        replay=Replay(
            receipt=found.receipt,
            received_at=found.received_at,
            part=found.part,
            refusal=found.refusal,
            repair=repair,
        ),
    )


def _clock_of(found: Quarantined, at: int) -> int:
    """The clock by which an element is judged: that of its receipt, unless it was too new by that one."""
    if found.refusal.code not in KEPT:
        return found.received_at
    return max(found.received_at, min(at, found.received_at + MAX_AGE * 1_000))  # lest it is too old by now


def receipt_of(found: Quarantined, at: int) -> str:
    """The receipt of an element's replay: a UUIDv7 of this time, which the element alone decides otherwise."""
    random = int.from_bytes(
        blake2b(f"{found.receipt}.{found.part}".encode(), digest_size=10, person=b"replay").digest()
    )
    rand_a, rand_b = random >> 64 & 0xFFF, random & (1 << 62) - 1
    return f"{(at // 1_000) << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b:032x}"


def _path(dialect: str, element: dict[str, Any]) -> str:
    if dialect == "churnkey" and "users" in element and "event" not in element:
        return _USERS
    return _BY_DIALECT.get(dialect, "")
