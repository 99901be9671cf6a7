"""Requests that are in the warehouse."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tenure.identity import KINDS, Identifier
from tenure.live.request import (
    ACCEPTED,
    CONFLICT,
    DUPLICATE,
    ERASED,
    SHOWN,
    STORED,
    WHOLE,
    Element,
    First,
    Request,
    counted,
    shortened,
)
from tenure.placeholder import is_placeholder
from tenure.warehouse.client import Tenant
from tenure.warehouse.first_copies import Standing, standing

TOGETHER: Final = 100
"""Requests that are looked up together at the most."""
LATEST: Final = 50
"""Requests that a page begins with."""
LOOKS: Final = 10
"""How often 1,000 elements are looked at, to find the last requests: fewer of them are shown when they are large."""
LOOKED_AT: Final = 100
"""Elements of a request whose outcome is told; the others of a larger one are known to be on disk."""

_LATEST = """
SELECT receipt FROM arrival WHERE receipt < {before:FixedString(16)} ORDER BY app DESC, receipt DESC LIMIT 1000
"""
_OF_RECEIPTS = "receipt IN {receipts:Array(FixedString(16))}"
# Not FINAL, as below: an outcome that takes the place of another has the larger number.
_ARRIVALS = f"""
SELECT receipt, kind, position, part, event_id, content, outcome, code, toUnixTimestamp64Micro(received_at), dialect,
    path, key_prefix, verified, count() OVER (PARTITION BY receipt)
FROM (SELECT * FROM arrival PREWHERE {_OF_RECEIPTS} ORDER BY outcome DESC LIMIT 1 BY receipt, kind, position, part)
ORDER BY receipt, event_id IN {{sought:Array(FixedString(16))}} DESC, kind = 'refusal' DESC, position, kind, part
LIMIT {{looked_at:UInt32}} BY receipt
"""  # noqa: S608 - every value is bound, here and below
# Not FINAL, which would read every column of every row that lies near: of the copies, the one received first counts.
_EVENTS = f"""
SELECT event_id, name, message_id, PROPERTIES, {", ".join(KINDS)} FROM event
PREWHERE event_id IN (SELECT event_id FROM ids)
WHERE NOT superseded AND (customer_key, occurred_at) IN (
    SELECT customer_key, occurred_at FROM first_copy WHERE event_id IN (SELECT event_id FROM ids))
ORDER BY precedence DESC LIMIT 1 BY event_id
"""  # noqa: S608 - names of ours
_IDENTIFIES = f"""
SELECT receipt, position, part, if(traits = '{{}}', user_traits, traits), {", ".join(KINDS)} FROM identify FINAL
WHERE {_OF_RECEIPTS}
"""  # noqa: S608
_REFUSALS = f"""
SELECT receipt, part, position, field, message, replay, if({{whole:Bool}}, payload, '') FROM quarantine FINAL
WHERE {_OF_RECEIPTS}
"""  # noqa: S608
_REPLAY_OF = """
SELECT replay, receipt FROM quarantine FINAL WHERE replay IN {receipts:Array(FixedString(16))}
"""
_NONE = bytes(16)

Rows = Sequence[Sequence[Any]]


def latest(tenant: Tenant, limit: int = LATEST) -> list[Request]:
    """The requests that were received last, the last first. Raises Unavailable, as all here."""
    receipts: dict[str, None] = {}
    before = b"\xff" * 16
    for _ in range(LOOKS):
        rows = tenant.rows(_LATEST, {"before": before})
        receipts |= dict.fromkeys(bytes(row[0]).hex() for row in rows)
        if not rows or len(receipts) >= limit:
            break
        before = bytes(rows[-1][0])
    return requests(tenant, list(receipts)[:limit])


def request(tenant: Tenant, receipt: str) -> Request | None:
    """One request, with the content of its elements; None when it is not there."""
    found = requests(tenant, [receipt], whole=True)
    return found[0] if found else None


def requests(
    tenant: Tenant, receipts: Sequence[str], sought: Iterable[bytes] = (), *, whole: bool = False
) -> list[Request]:
    """The requests with these receipts, at most 100, the last received first. Events with the ids `sought` are shown
    before other elements; `whole`: with the content of elements, and more of them."""
    if not receipts:
        return []
    shown = WHOLE if whole else SHOWN
    asked: dict[str, Any] = {"receipts": [bytes.fromhex(receipt) for receipt in receipts[:TOGETHER]]}
    arrivals: defaultdict[str, list[Any]] = defaultdict(list)
    for row in tenant.rows(_ARRIVALS, asked | {"sought": [*sought] or [_NONE], "looked_at": LOOKED_AT}):
        arrivals[bytes(row[0]).hex()].append(row)
    rows = [row for of_one in arrivals.values() for row in of_one]
    in_sight = [row for of_one in arrivals.values() for row in of_one[:shown]]
    sql = _EVENTS.replace("PROPERTIES", "properties" if whole else "''")
    first = first_copies(tenant, _ids(rows))
    shown_ids = [first[one].event_id for one in _ids(in_sight) if one in first]
    known = _Known(
        first,
        {bytes(row[0]): row[1:] for row in _ask(tenant, sql, shown_ids)},
        _by_place(tenant.rows(_REFUSALS, asked | {"whole": whole}) if _has(in_sight, "refusal") else []),
        _identifies(tenant.rows(_IDENTIFIES, asked) if whole and _has(in_sight, "identify") else []),
    )
    replays = {bytes(row[0]).hex(): bytes(row[1]).hex() for row in tenant.rows(_REPLAY_OF, asked)}
    found = [_request(receipt, of_one, known, replays.get(receipt, ""), shown) for receipt, of_one in arrivals.items()]
    return sorted(found, key=lambda request: (request.received_at, request.receipt), reverse=True)


def first_copies(tenant: Tenant, ids: Sequence[bytes]) -> dict[bytes, First]:
    """What the warehouse keeps of the events with these ids, or of verified ones in their place."""
    found = standing(lambda sql, sent: tenant.rows(sql, external=sent), ids)
    return {one: first_of(kept) for one, kept in found.items()}


def first_of(kept: Standing) -> First:
    """What is kept, as the copy that came first."""
    copy = kept.copy
    return First(copy.receipt.hex(), copy.position, copy.content, is_loaded=True, event_id=kept.event_id,
                 is_retry=kept.is_retry)  # fmt: skip


class _Known(NamedTuple):
    """What is known of the elements of some requests."""

    first: Mapping[bytes, First]
    events: Mapping[bytes, Sequence[Any]]
    reasons: Mapping[tuple[str, int], Sequence[Any]]
    identifies: Mapping[tuple[str, int, int], Sequence[Any]]

    def outcome(self, receipt: str, row: Sequence[Any]) -> tuple[str, str]:
        """What became of an element, and the receipt of the first copy if it is another."""
        _, kind, position, _, event_id, content, outcome, *_ = row
        if outcome != "accepted":
            return outcome, ""
        if kind != "event":
            return STORED, ""
        first = self.first.get(bytes(event_id))
        if first is None:
            return ERASED, ""
        if (first.receipt, first.position) == (receipt, position):
            return STORED, ""
        return (DUPLICATE if first.content == bytes(content) else CONFLICT), first.receipt

    def element(self, receipt: str, row: Sequence[Any]) -> Element:
        """An element, with all that is known of it."""
        _, kind, position, part, event_id, _, _, code, *_, verified, _ = row
        outcome, of = self.outcome(receipt, row)
        if kind == "refusal":
            index, field, message, replay, content = self.reasons.get((receipt, part), (position, "", "", _NONE, ""))
            return Element(
                index=index, kind=kind, outcome=outcome, code=code, field=field, message=message,
                of=bytes(replay).hex() if bytes(replay) != _NONE else "", content=shortened(content),
            )  # fmt: skip
        if kind == "event":
            first = self.first.get(bytes(event_id))
            name, message_id, content, *values = self.events.get(first.event_id if first else b"", ("", "", ""))
        else:
            name, message_id, (content, *values) = "", "", self.identifies.get((receipt, position, part), ("",))
        carried = [Identifier(kind, value) for kind, value in zip(KINDS, values, strict=False) if value]
        placeholders = tuple(one for one in carried if is_placeholder(one.kind, one.value))
        return Element(
            index=position,
            kind=kind,
            outcome=outcome,
            name=name,
            identifiers=tuple([one for one in carried if one not in placeholders] or carried[:1]),
            placeholders=placeholders,
            verified=bool(verified),
            event_id=bytes(event_id).hex() if kind == "event" else "",
            message_id=message_id,
            is_retry=outcome == DUPLICATE and self.first[bytes(event_id)].is_retry,
            of=of,
            content=shortened(content),
        )


def _request(receipt: str, rows: Sequence[Any], known: _Known, replay_of: str, shown: int) -> Request:
    received_at, dialect, path, key_prefix, _, total = rows[0][8:]
    outcomes = Counter(known.outcome(receipt, row)[0] for row in rows)
    outcomes[ACCEPTED] += int(total) - len(rows)
    return Request(
        receipt=receipt,
        received_at=int(received_at),
        dialect=dialect,
        path=path,
        key_prefix=key_prefix,
        replay_of=replay_of,
        elements=[known.element(receipt, row) for row in rows[:shown]],
        outcomes=counted(outcomes),
    )


def _has(rows: Rows, kind: str) -> bool:
    return any(row[1] == kind for row in rows)


def _ids(rows: Rows) -> list[bytes]:
    return [bytes(row[4]) for row in rows if row[1] == "event"]


def _by_place(rows: Rows) -> dict[tuple[str, int], Sequence[Any]]:
    return {(bytes(row[0]).hex(), row[1]): row[2:] for row in rows}


def _identifies(rows: Rows) -> dict[tuple[str, int, int], Sequence[Any]]:
    return {(bytes(row[0]).hex(), row[1], row[2]): row[3:] for row in rows}


def _ask(tenant: Tenant, sql: str, ids: Sequence[bytes]) -> Rows:
    if not ids:
        return []
    from clickhouse_connect.driver.external import ExternalData

    sent = ExternalData(file_name="ids", data=b"".join(ids), fmt="RowBinary", structure="event_id FixedString(16)")
    return tenant.rows(sql, external=sent)
