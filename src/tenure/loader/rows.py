"""What the loader makes of journal entries: rows for each table of the warehouse, and links. Pure.

The rows of a table are tuples in the order of `columns.COLUMNS`. Times in rows are integers since 1970 UTC, in the
unit of their column: `occurred_at` and `set_at` in milliseconds, `received_at` in microseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from tenure.control.link import Link
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import (
    Identifier,
    content_hash,
    customer_key,
    element_ids,
    event_ids,
    identifiers,
    identity_key,
)
from tenure.loader import facts, links, subscription_facts
from tenure.loader.tombstones import NOTHING_ERASED, Tombstones
from tenure.subscriptions import sources
from tenure.subscriptions.sources import Reading

_NO_ID, _NO_CONTENT = bytes(16), bytes(8)


class Copy(NamedTuple):
    """One received copy of an event, with all that decides between copies."""

    event_id: bytes
    precedence: int
    content: bytes
    customer_key: bytes
    occurred_at: int
    row: tuple[Any, ...]
    facts: Sequence[tuple[Any, ...]] = ()
    """Rows for `subscription_fact`."""

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
    facts: list[tuple[Any, ...]] = []
    unreadable: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    """Billing events that say nothing of subscriptions, by dialect and problem."""
    links: list[Link] = []
    same_ids: dict[tuple[str, str, str], Link] = {}
    """By app, dialect and customer id: the first to say that this is a customer, whose the billing id then is."""
    identifiers: dict[bytes, tuple[str, bytes, str, str]] = {}
    """Rows for `identifier` by key: every identifier that is mentioned, or the same as one."""
    mentions: set[tuple[str | None, ...]] = set()
    """The combinations of identifiers that `identifiers` has already: most events repeat one."""
    erased_ids: dict[bytes, str] = {}
    """Ids of events and identifies that were not kept because their customer is erased, with their app."""
    erased_links: list[Link] = []
    """Links that elements say which were not kept because of that."""
    erased: int = 0
    """Elements that were not kept because of that."""
    oldest: int = 0
    """Time of receipt of the oldest entry, microseconds since 1970 UTC."""


def precedence(received_at: int, receipt: bytes) -> int:
    """The place of a request in the order of all that was received: an unsigned 128-bit integer, larger for earlier.

    Its elements follow each other: that at index i has this number minus i (i below 65,536).
    """
    tie = int.from_bytes(receipt[-6:], "big") << 16
    return (1 << 128) - 1 - (received_at << 64 | tie)


def block(entries: Iterable[Entry], tombstones: Tombstones = NOTHING_ERASED) -> Block:
    """The rows of some entries. Of what `tombstones` call erased, the arrival alone is left."""
    made = Block()
    for entry in entries:
        made.oldest = min(made.oldest or entry.received_at, entry.received_at)
        gone = _add_events(made, entry, tombstones)
        _add_identifies(made, entry, gone, tombstones)
        _add_refusals(made, entry, tombstones)
        _add_replayed(made, entry, tombstones)
    made.links += made.same_ids.values()
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


def subscription_rows(first: dict[bytes, Copy], kept: dict[bytes, Kept]) -> tuple[list[tuple[Any, ...]], list[Kept]]:
    """Rows for `subscription_fact` of the copies that are kept from now on, and those whose facts no longer count."""
    winning = [copy for event_id, copy in first.items()
               if event_id not in kept or copy.precedence > kept[event_id].precedence]  # fmt: skip
    return (
        [row for copy in winning for row in copy.facts],
        [kept[copy.event_id] for copy in winning if copy.event_id in kept],
    )


def erased_event_rows(erased: Mapping[bytes, str], kept: Mapping[bytes, Kept]) -> list[tuple[Any, ...]]:
    """Rows for `erased_event`: ids of what was not kept, save those of which the warehouse keeps a copy."""
    return [(event_id, app, bytes(16)) for event_id, app in erased.items() if event_id not in kept]


def _add_events(made: Block, entry: Entry, tombstones: Tombstones) -> set[int]:
    """Returns the indexes of the events that are erased: what came in the same element goes with them."""
    gone: set[int] = set()
    if not entry.events:
        return gone
    app, dialect, received_at = entry.app, entry.dialect, entry.received_at
    receipt = bytes.fromhex(entry.receipt)
    first, sent_at = precedence(received_at, receipt), entry.sent_at
    how = received_at, dialect, "accepted", "", entry.path, entry.key_prefix
    ids = event_ids(app, dialect, entry.events, entry.receipt, entry.idempotency_key)
    for event, event_id in zip(entry.events, ids, strict=True):
        index = event.index
        if tombstones and (event_id in tombstones.ids or tombstones.is_old(entry, event)):
            _add_erased(made, entry, "event", (index, 0), event_id)
            made.erased_links += links.every(entry, event, event_id)
            gone.add(index)
            continue
        key = customer_key(app, event)
        verified = entry.verified or event.signed
        occurred_at = sent_at // 1_000 if event.occurred_at is None else event.occurred_at
        order = first - index
        content = content_hash(app, dialect, event)
        row = (
            app, key, occurred_at, event_id, event.name, event.customer_id or "", event.uid or "",
            event.billing_id or "", event.email or "", event.anonymous_id or "", event.user_id or "",
            event.properties, event.context, event.message_id or "", received_at, receipt, index, dialect,
            verified, order, 0,
        )  # fmt: skip
        dated = event if entry.replay is None else msgspec.structs.replace(event, occurred_at=occurred_at)
        read = sources.facts(dialect, dated, received_at)
        stated: Sequence[tuple[Any, ...]] = ()
        if read.facts or read.problem:
            said = subscription_facts.Said(app, key, event_id, received_at, receipt, index, order)
            stated = _stated(made, entry, event, read, said)
        made.copies.append(Copy(event_id, order, content, key, occurred_at, row, stated))
        _add_identifiers(made, app, event)
        made.arrivals.append((app, receipt, "event", index, 0, event_id, content, *how, verified))
        _add_links(made, entry, event)
        if (opened := links.of_churn_event(entry, event, event_id)) is not None:
            made.links.append(opened)
    return gone


def _stated(
    made: Block, entry: Entry, event: Event, read: Reading, said: subscription_facts.Said
) -> Sequence[tuple[Any, ...]]:
    """The rows of the facts that a billing event states; none when it may be anybody's word."""
    verified = entry.verified or event.signed
    problem = read.problem or (None if verified else sources.UNVERIFIED)
    if problem:
        made.unreadable[entry.dialect, problem] += 1
    return subscription_facts.rows(said, read.facts) if verified else ()


def _add_identifies(made: Block, entry: Entry, gone: Set[int], tombstones: Tombstones) -> None:
    if not entry.identifies:
        return
    ids = element_ids(entry.app, entry.dialect, entry.identifies, entry.receipt, entry.idempotency_key)
    for part, (identify, element_id) in enumerate(zip(entry.identifies, ids, strict=True)):
        known = identify.index in gone or element_id in tombstones.ids
        if tombstones and (known or tombstones.is_old(entry, identify)):
            _add_erased(made, entry, "identify", (identify.index, part))
            made.erased_ids[element_id] = entry.app
            made.erased_links += links.every(entry, identify)
        else:
            _add_identify(made, entry, part, identify, element_id)


def _add_identify(made: Block, entry: Entry, part: int, identify: Identify, element_id: bytes) -> None:
    receipt = bytes.fromhex(entry.receipt)
    set_at = identify.set_at if identify.set_at is not None else entry.sent_at // 1_000
    verified = entry.verified or identify.signed
    key = customer_key(entry.app, identify)
    made.identifies.append(
        (
            entry.app, key, set_at, receipt, identify.index, part, entry.received_at,
            entry.dialect, verified, identify.customer_id or "", identify.uid or "", identify.billing_id or "",
            identify.email or "", identify.anonymous_id or "", identify.user_id or "", identify.traits,
            identify.user_traits, identify.channels, identify.users or "",
        )
    )  # fmt: skip
    made.arrivals.append(_arrival(entry, "identify", (identify.index, part), "accepted", element_id, verified=verified))
    order = precedence(entry.received_at, receipt) - identify.index
    said = facts.Said(entry.app, key, set_at, element_id, verified, entry.dialect, entry.received_at, receipt,
                      identify.index, part, order)  # fmt: skip
    made.facts += facts.rows(said, facts.statements(identify))
    _add_links(made, entry, identify)
    _add_identifiers(made, entry.app, identify)


def _add_identifiers(made: Block, app: str, item: Event | Identify) -> None:
    churn_event_id = item.churn_event_id if isinstance(item, Event) else None
    said = (app, item.customer_id, item.uid, item.billing_id, item.email, item.anonymous_id, churn_event_id)
    if said in made.mentions:
        return
    made.mentions.add(said)
    for found in identifiers(item):
        _add_identifier(made, app, found)


def _add_identifier(made: Block, app: str, found: Identifier) -> None:
    key = identity_key(app, found)
    made.identifiers[key] = (app, key, found.kind, found.value)


def _add_refusals(made: Block, entry: Entry, tombstones: Tombstones) -> None:
    receipt = bytes.fromhex(entry.receipt)
    for part, refusal in enumerate(entry.refusals):
        erased = bool(tombstones) and tombstones.names(entry.app, refusal.payload)
        outcome = "rejected" if refusal.reported else "erased" if erased else "quarantined"
        place = refusal.index or 0, part
        made.arrivals.append(_arrival(entry, "refusal", place, outcome, code=refusal.code, verified=entry.verified))
        if erased:
            made.erased += 1
            continue
        made.quarantined.append(
            (entry.app, entry.received_at, receipt, refusal.index, part, entry.dialect, outcome, refusal.code,
             refusal.field or "", refusal.message, refusal.payload, entry.path, entry.key_prefix, entry.verified,
             _NO_ID, "")
        )  # fmt: skip


def _add_replayed(made: Block, entry: Entry, tombstones: Tombstones) -> None:
    """The element that the entry brings again is no longer in quarantine: its rows there take the place of the old.

    They are inserted together with what became of it, so that the books count it once, and at all times.
    """
    replay = entry.replay
    if replay is None:
        return
    receipt, refusal, outcome = bytes.fromhex(replay.receipt), replay.refusal, "replayed"
    made.arrivals.append(
        (entry.app, receipt, "refusal", refusal.index or 0, replay.part, _NO_ID, _NO_CONTENT, replay.received_at,
         entry.dialect, outcome, refusal.code, entry.path, entry.key_prefix, entry.verified)
    )  # fmt: skip
    if tombstones and tombstones.names(entry.app, refusal.payload):
        made.erased += 1
        return
    made.quarantined.append(
        (entry.app, replay.received_at, receipt, refusal.index, replay.part, entry.dialect, outcome, refusal.code,
         refusal.field or "", refusal.message, refusal.payload, entry.path, entry.key_prefix, entry.verified,
         bytes.fromhex(entry.receipt), replay.repair)
    )  # fmt: skip


def _add_links(made: Block, entry: Entry, item: Event | Identify) -> None:
    made.links += links.said(entry, item)
    if (value := links.billing_id(entry, item)) is None:
        return
    place = entry.app, entry.dialect, value
    known = made.same_ids.get(place)
    if known is None or known.evidence > (entry.received_at, entry.receipt, item.index):
        made.same_ids[place] = found = links.same_id(entry, item, value)
        _add_identifier(made, entry.app, found.other)


def _add_erased(made: Block, entry: Entry, kind: str, place: tuple[int, int], event_id: bytes = _NO_ID) -> None:
    """The arrival of an element (index, part) that is not kept, because its customer is erased."""
    made.erased += 1
    if event_id != _NO_ID:
        made.erased_ids[event_id] = entry.app
    made.arrivals.append(_arrival(entry, kind, place, "erased", event_id))


def _arrival(
    entry: Entry,
    kind: str,
    place: tuple[int, int],
    outcome: str,
    element_id: bytes = _NO_ID,
    *,
    code: str = "",
    verified: bool = False,
) -> tuple[Any, ...]:
    """The row for `arrival` of an element without content, at `place`: (index, part)."""
    return (
        entry.app, bytes.fromhex(entry.receipt), kind, *place, element_id, _NO_CONTENT, entry.received_at,
        entry.dialect, outcome, code, entry.path, entry.key_prefix, verified,
    )  # fmt: skip


def _first_copy_row(copy: Copy) -> tuple[Any, ...]:
    app, receipt, position = copy.row[0], copy.row[15], copy.row[16]
    return (copy.event_id, app, copy.precedence, receipt, position, copy.content,
            copy.customer_key, copy.occurred_at)  # fmt: skip


def _superseding(copy: Copy, rival: Kept) -> tuple[Any, ...]:
    row = list(copy.row)
    row[1], row[2], row[-1] = rival.customer_key, rival.occurred_at, 1
    return tuple(row)
