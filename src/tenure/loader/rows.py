"""What the loader makes of journal entries: rows for each table of the warehouse, and links. Pure.

The rows of a table are tuples in the order of its Arrow schema in `SCHEMAS`; `table` turns them into columns.
Times in rows are integers since 1970 UTC, in the unit of their column: `occurred_at` and `set_at` in
milliseconds, `received_at` in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from tenure.control.store import Link
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import content_hash, event_ids, identifiers, identity_key

_TEXT = pa.string()
_KEY = pa.binary(16)
_MILLISECONDS = pa.timestamp("ms", tz="UTC")
_MICROSECONDS = pa.timestamp("us", tz="UTC")
_IDENTIFIERS = [("customer_id", _TEXT), ("uid", _TEXT), ("email", _TEXT), ("anonymous_id", _TEXT), ("user_id", _TEXT)]

SCHEMAS = {
    "event": pa.schema(
        [
            ("app", _TEXT),
            ("customer_key", _KEY),
            ("occurred_at", _MILLISECONDS),
            ("event_id", _KEY),
            ("name", _TEXT),
            *_IDENTIFIERS,
            ("properties", _TEXT),
            ("context", _TEXT),
            ("message_id", _TEXT),
            ("received_at", _MICROSECONDS),
            ("receipt", _KEY),
            ("position", pa.uint32()),
            ("dialect", _TEXT),
            ("verified", pa.bool_()),
            ("precedence", _KEY),
            ("superseded", pa.uint8()),
        ]
    ),
    "first_copy": pa.schema(
        [
            ("event_id", _KEY),
            ("app", _TEXT),
            ("precedence", _KEY),
            ("receipt", _KEY),
            ("position", pa.uint32()),
            ("content", pa.binary(8)),
            ("customer_key", _KEY),
            ("occurred_at", _MILLISECONDS),
        ]
    ),
    "arrival": pa.schema(
        [
            ("app", _TEXT),
            ("receipt", _KEY),
            ("kind", _TEXT),
            ("position", pa.uint32()),
            ("part", pa.uint16()),
            ("event_id", _KEY),
            ("content", pa.binary(8)),
            ("received_at", _MICROSECONDS),
            ("dialect", _TEXT),
            ("outcome", _TEXT),
            ("code", _TEXT),
        ]
    ),
    "quarantine": pa.schema(
        [
            ("app", _TEXT),
            ("received_at", _MICROSECONDS),
            ("receipt", _KEY),
            ("position", pa.uint32()),
            ("part", pa.uint16()),
            ("dialect", _TEXT),
            ("outcome", _TEXT),
            ("code", _TEXT),
            ("field", _TEXT),
            ("message", _TEXT),
            ("payload", _TEXT),
        ]
    ),
    "identify": pa.schema(
        [
            ("app", _TEXT),
            ("customer_key", _KEY),
            ("set_at", _MILLISECONDS),
            ("receipt", _KEY),
            ("position", pa.uint32()),
            ("part", pa.uint16()),
            ("received_at", _MICROSECONDS),
            ("dialect", _TEXT),
            ("verified", pa.bool_()),
            *_IDENTIFIERS,
            ("traits", _TEXT),
            ("user_traits", _TEXT),
            ("channels", _TEXT),
            ("users", _TEXT),
        ]
    ),
}

_NO_ID, _NO_CONTENT = bytes(16), bytes(8)


class Copy(NamedTuple):
    """One received copy of an event, with all that decides between copies."""

    event_id: bytes
    precedence: int
    content: bytes
    customer_key: bytes
    occurred_at: int
    row: tuple[Any, ...]

    @property
    def place(self) -> tuple[bytes, int]:
        """Where it stands in the `event` table; copies with equal places replace each other by themselves."""
        return self.customer_key, self.occurred_at


class Kept(NamedTuple):
    """The copy of an event that the warehouse keeps already: what `first_copy` tells of it."""

    precedence: int
    customer_key: bytes
    occurred_at: int


class Block(msgspec.Struct):
    """The rows of some entries, before it is known which events are new."""

    copies: list[Copy] = []
    arrivals: list[tuple[Any, ...]] = []
    quarantined: list[tuple[Any, ...]] = []
    identifies: list[tuple[Any, ...]] = []
    links: list[Link] = []
    oldest: int = 0
    """Time of receipt of the oldest entry, microseconds since 1970 UTC."""


def precedence(received_at: int, receipt: bytes, index: int) -> int:
    """A total order of all arrivals, as an unsigned 128-bit integer: larger means received earlier."""
    tie = int.from_bytes(receipt[-6:], "big") << 16 | (index & 0xFFFF)
    return (1 << 128) - 1 - (received_at << 64 | tie)


def block(entries: Iterable[Entry]) -> Block:
    """The rows of some entries."""
    made = Block()
    for entry in entries:
        made.oldest = min(made.oldest or entry.received_at, entry.received_at)
        _add_events(made, entry)
        for part, identify in enumerate(entry.identifies):
            _add_identify(made, entry, part, identify)
        _add_refusals(made, entry)
    return made


def first_copies(copies: Iterable[Copy]) -> dict[bytes, Copy]:
    """Of the copies of each event, the one received first."""
    first: dict[bytes, Copy] = {}
    for copy in copies:
        rival = first.get(copy.event_id)
        if rival is None or copy.precedence > rival.precedence:
            first[copy.event_id] = copy
    return first


def event_rows(
    first: dict[bytes, Copy], kept: dict[bytes, Kept]
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows for (`event`, `first_copy`) given what the warehouse keeps of the same events already.

    A copy that was received before the one kept takes its place; where that stands elsewhere in the table, a
    superseding row removes it. The removing row carries the winner's precedence, so that a copy received
    earlier still can come back to that place.
    """
    events: list[tuple[Any, ...]] = []
    firsts: list[tuple[Any, ...]] = []
    for event_id, copy in first.items():
        rival = kept.get(event_id)
        if rival is not None:
            if rival.precedence >= copy.precedence:
                continue
            if (rival.customer_key, rival.occurred_at) != copy.place:
                events.append(_superseding(copy, rival))
        events.append(copy.row)
        firsts.append(_first_copy_row(copy))
    return events, firsts


def table(name: str, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Rows as an Arrow table in the schema of a warehouse table."""
    schema = SCHEMAS[name]
    columns = zip(*rows, strict=True)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _add_events(made: Block, entry: Entry) -> None:
    if not entry.events:
        return
    app, dialect, received_at = entry.app, entry.dialect, entry.received_at
    receipt = bytes.fromhex(entry.receipt)
    ids = event_ids(app, dialect, entry.events, entry.receipt, entry.idempotency_key)
    for event, event_id in zip(entry.events, ids, strict=True):
        known = identifiers(event)
        key = identity_key(app, known[0])
        occurred_at = event.occurred_at if event.occurred_at is not None else received_at // 1_000
        order = precedence(received_at, receipt, event.index)
        content = content_hash(app, dialect, event)
        row = (
            app, key, occurred_at, event_id, event.name, *_identifier_columns(event), event.properties, event.context,
            event.message_id or "", received_at, receipt, event.index, dialect, entry.verified,
            order.to_bytes(16, "little"), 0,
        )  # fmt: skip
        made.copies.append(Copy(event_id, order, content, key, occurred_at, row))
        made.arrivals.append(
            (app, receipt, "event", event.index, 0, event_id, content, received_at, dialect, "accepted", "")
        )
        if entry.verified and len(known) > 1:
            _add_links(made, entry, event)


def _add_identify(made: Block, entry: Entry, part: int, identify: Identify) -> None:
    receipt = bytes.fromhex(entry.receipt)
    known = identifiers(identify)
    set_at = identify.set_at if identify.set_at is not None else entry.received_at // 1_000
    made.identifies.append(
        (
            entry.app, identity_key(entry.app, known[0]), set_at, receipt, identify.index, part, entry.received_at,
            entry.dialect, entry.verified, *_identifier_columns(identify), identify.traits, identify.user_traits,
            identify.channels, identify.users or "",
        )
    )  # fmt: skip
    made.arrivals.append(
        (entry.app, receipt, "identify", identify.index, part, _NO_ID, _NO_CONTENT, entry.received_at, entry.dialect,
         "accepted", "")
    )  # fmt: skip
    if entry.verified and len(known) > 1:
        _add_links(made, entry, identify)


def _add_refusals(made: Block, entry: Entry) -> None:
    receipt = bytes.fromhex(entry.receipt)
    for part, refusal in enumerate(entry.refusals):
        outcome = "rejected" if refusal.reported else "quarantined"
        made.arrivals.append(
            (entry.app, receipt, "refusal", refusal.index or 0, part, _NO_ID, _NO_CONTENT, entry.received_at,
             entry.dialect, outcome, refusal.code)
        )  # fmt: skip
        made.quarantined.append(
            (entry.app, entry.received_at, receipt, refusal.index, part, entry.dialect, outcome, refusal.code,
             refusal.field or "", refusal.message, refusal.payload)
        )  # fmt: skip


def _add_links(made: Block, entry: Entry, item: Event | Identify) -> None:
    known = identifiers(item)
    linked_at = entry.received_at // 1_000
    for other in known[1:]:
        made.links.append(Link(entry.app, known[0], other, entry.dialect, entry.receipt, linked_at))


def _identifier_columns(item: Event | Identify) -> tuple[str, str, str, str, str]:
    return (item.customer_id or "", item.uid or "", item.email or "", item.anonymous_id or "", item.user_id or "")


def _first_copy_row(copy: Copy) -> tuple[Any, ...]:
    app, receipt, position = copy.row[0], copy.row[14], copy.row[15]
    return (copy.event_id, app, copy.precedence.to_bytes(16, "little"), receipt, position, copy.content,
            copy.customer_key, copy.occurred_at)  # fmt: skip


def _superseding(copy: Copy, rival: Kept) -> tuple[Any, ...]:
    row = list(copy.row)
    row[1], row[2], row[-1] = rival.customer_key, rival.occurred_at, 1
    return tuple(row)
