"""What is in quarantine: in groups of one reason, and element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tenure import receipt as receipts
from tenure.control.repairs import Match
from tenure.event import Refusal
from tenure.repair.replay import Quarantined, can_be_replayed
from tenure.warehouse.client import Tenant

QUARANTINED, REJECTED, REPLAYED = "quarantined", "rejected", "replayed"
"""quarantined: kept whole, since the sender was not told or the fault may be ours; rejected: the sender was told;
replayed: repaired, and sent on."""
GROUPS = 200
"""Reasons that are listed, the ones with most elements first."""


class Group(msgspec.Struct, frozen=True):
    """Elements that were refused for the same reason. Times are in milliseconds since 1970 UTC."""

    outcome: str
    match: Match
    count: int
    first: int
    last: int
    message: str
    """What the reason is for one of them."""

    @property
    def can_be_repaired(self) -> bool:
        """Whether a rule can bring its elements in."""
        return self.outcome == QUARANTINED and can_be_replayed(self.match.dialect, self.match.path)


class Place(NamedTuple):
    """Where an element stands in the order of receipt."""

    received_at: int
    receipt: str
    part: int


class Element(msgspec.Struct, frozen=True):
    """An element and what became of it: `replay` is the receipt of its replay, by the rule `repair`."""

    found: Quarantined
    outcome: str
    replay: str | None = None
    repair: str | None = None

    @property
    def place(self) -> Place:
        """Of the element in the order of receipt."""
        return Place(self.found.received_at, self.found.receipt, self.found.part)


_GROUPS = """
SELECT outcome, dialect, path, code, field, count() AS elements, toUnixTimestamp64Milli(min(received_at)),
    toUnixTimestamp64Milli(max(received_at)), any(message)
FROM quarantine FINAL WHERE outcome IN ('quarantined', 'rejected')
GROUP BY outcome, dialect, path, code, field ORDER BY elements DESC, outcome, dialect, path, code, field
LIMIT {limit:UInt32}
"""
_OF_MATCH = "dialect = {dialect:String} AND path = {path:String} AND code = {code:String} AND field = {field:String}"
_IS_EARLIER = "receipt <= toFixedString(unhex({until:String}), 16)"
_COUNT = f"""
SELECT countIf(outcome = 'quarantined' AND {_IS_EARLIER}),
    countIf(repair = {{repair:String}})
FROM quarantine FINAL WHERE {_OF_MATCH}
"""  # noqa: S608 - every value is bound, here and below
_COLUMNS = """app, receipt, part, toUnixTimestamp64Micro(received_at), dialect, path, key_prefix, verified, position,
    code, message, field, payload, outcome, replay, repair"""
_PLACE = "(received_at, receipt, part)"
_ASKED = "(fromUnixTimestamp64Micro({at:Int64}), {receipt:FixedString(16)}, {part:UInt16})"
_TO_REPAIR = f"""
SELECT {_COLUMNS} FROM quarantine FINAL
WHERE {_OF_MATCH} AND outcome = 'quarantined' AND {_IS_EARLIER}
    AND received_at >= fromUnixTimestamp64Micro({{at:Int64}}) AND {_PLACE} > {_ASKED}
ORDER BY quarantine.received_at, receipt, part LIMIT {{limit:UInt32}}
"""  # noqa: S608
_NEWEST = f"""
SELECT {_COLUMNS} FROM quarantine FINAL
WHERE {_OF_MATCH} AND outcome = {{outcome:String}}
    AND received_at <= fromUnixTimestamp64Micro({{at:Int64}}) AND {_PLACE} < {_ASKED}
ORDER BY quarantine.received_at DESC, receipt DESC, part DESC LIMIT {{limit:UInt32}}
"""  # noqa: S608
_OF_REQUEST = f"""
SELECT {_COLUMNS} FROM quarantine FINAL
WHERE receipt = {{receipt:FixedString(16)}} OR replay = {{receipt:FixedString(16)}}
ORDER BY quarantine.received_at, part
"""  # noqa: S608
_FIRST = Place(0, "0" * 32, 0)
_LAST = Place(2**53, "f" * 32, 0)


def groups(tenant: Tenant) -> list[Group]:
    """Why elements were refused, and how many are there still. Raises Unavailable, as all here."""
    return [
        Group(row[0], Match(*row[1:5]), int(row[5]), int(row[6]), int(row[7]), row[8])
        for row in tenant.rows(_GROUPS, {"limit": GROUPS})
    ]


def count(tenant: Tenant, match: Match, *, until: int, repair: str) -> tuple[int, int]:
    """How many elements there are to repair, and how many a rule has replayed."""
    parameters = msgspec.structs.asdict(match) | {"until": _last_receipt(until), "repair": repair}
    left, done = tenant.rows(_COUNT, parameters)[0]
    return int(left), int(done)


def to_repair(tenant: Tenant, match: Match, *, until: int, after: Place | None, limit: int) -> list[Quarantined]:
    """Elements in quarantine that were received until then (microseconds by the hybrid clock), in order."""
    until_receipt = _last_receipt(until)
    parameters = msgspec.structs.asdict(match) | _parameters(after or _FIRST)
    parameters |= {"until": until_receipt, "limit": limit}
    return [_element(row).found for row in tenant.rows(_TO_REPAIR, parameters)]


def newest(tenant: Tenant, match: Match, outcome: str, *, before: Place | None = None, limit: int) -> list[Element]:
    """Elements of a group, the last received first."""
    parameters = msgspec.structs.asdict(match) | _parameters(before or _LAST) | {"outcome": outcome, "limit": limit}
    return [_element(row) for row in tenant.rows(_NEWEST, parameters)]


def of_request(tenant: Tenant, receipt: str) -> list[Element]:
    """What was refused of a request, and what the request is the replay of."""
    return [_element(row) for row in tenant.rows(_OF_REQUEST, {"receipt": bytes.fromhex(receipt)})]


def _last_receipt(until: int) -> str:
    """The greatest receipt that can have been made until a reading of the hybrid clock."""
    return receipts.at(until, (1 << 62) - 1)


def _parameters(place: Place) -> dict[str, Any]:
    return {"at": place.received_at, "receipt": bytes.fromhex(place.receipt), "part": place.part}


def _element(row: Sequence[Any]) -> Element:
    (app, receipt, part, received_at, dialect, path, key_prefix, verified, position, code, message, field, payload,
     outcome, replay, repair) = row  # fmt: skip
    refusal = Refusal(
        index=position, code=code, message=message, field=field or None, reported=outcome == REJECTED, payload=payload
    )
    found = Quarantined(
        app=app,
        receipt=bytes(receipt).hex(),
        part=int(part),
        received_at=int(received_at),
        dialect=dialect,
        path=path,
        key_prefix=key_prefix,
        verified=bool(verified),
        refusal=refusal,
    )
    sent_on = bytes(replay) != bytes(16)
    return Element(found, outcome, bytes(replay).hex() if sent_on else None, repair or None)
