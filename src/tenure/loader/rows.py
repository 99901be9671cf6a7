"""What the loader makes of journal entries: rows for each table of the warehouse, and links. Pure.

The rows of a table are tuples in the order of `columns.COLUMNS`. Times in rows are integers since 1970 UTC, in the
unit of their column: `occurred_at` and `set_at` in milliseconds, `received_at` in microseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from tenure import receipt as receipts
from tenure import retries
from tenure.control.link import Link
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import (
    Identifier,
    carried,
    content_hash,
    customer_key,
    element_names,
    event_names,
    family,
    identity_key,
)
from tenure.loader import facts, links, subscription_facts
from tenure.loader.tombstones import NOTHING_ERASED, Tombstones
from tenure.subscriptions import sources
from tenure.subscriptions.sources import Reading
from tenure.warehouse.first_copies import NOBODY, NOTHING_KNOWN, FirstCopy, Known

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
    said: Event | None = None
    """The event, where a verified copy may take its place: its identifiers are then mentioned by nobody."""
    version: int = 0
    """What its row in `first_copy` is to have in the place of its precedence, where another says that it is none."""

    @property
    def place(self) -> tuple[bytes, int]:
        """Where it stands in the `event` table; copies with equal places replace each other by themselves."""
        return self.customer_key, self.occurred_at


class Pair(NamedTuple):
    """What one event would be, sent by somebody who is believed, and by somebody who is not."""

    app: str
    family: str
    verified: bytes
    """The id of the verified copy, which takes the place of the other."""


class Block(msgspec.Struct):
    """The rows of some entries, before it is known which events are new."""

    copies: list[Copy] = []
    retries: list[tuple[Any, ...]] = []
    """Rows for `retry_copy`."""
    pairs: dict[bytes, Pair] = {}
    """By the id of an unverified copy: of the events that the block brings, with either trust."""
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


def precedence(ordered_at: int, receipt: bytes) -> int:
    """The place of a request in the order of all that was received: an unsigned 128-bit integer, larger for earlier.

    `ordered_at` is in microseconds by the hybrid clock. The elements of a request follow each other: the one at index i
    has this number minus i (i below 65,536).
    """
    tie = int.from_bytes(receipt[-6:], "big") << 16
    return (1 << 128) - 1 - (ordered_at << 64 | tie)


def ordered_at(precedence: int) -> int:
    """The place in the order of receipt, in microseconds, of what has a precedence."""
    return (1 << 128) - 1 - precedence >> 64


def replayed(receipt: str, index: int) -> int:
    """The precedence with which the element of a request came first, before it was replayed."""
    return precedence(receipts.time_of(receipt), bytes.fromhex(receipt)) - index


def precedence_heard(entry: Entry, index: int) -> int:
    """The precedence with which the element of an entry came first, be the entry a replay of it or not."""
    if entry.replay is not None:
        return replayed(entry.replay.receipt, index)
    return precedence(entry.ordered_at, bytes.fromhex(entry.receipt)) - index


def precedence_after(ordered_at: int) -> int:
    """The number that is less than the precedence of all that was received by then, and of nothing later."""
    return (1 << 128) - 1 - ((ordered_at + 1) << 64)


def block(entries: Iterable[Entry], tombstones: Tombstones = NOTHING_ERASED, known: Known = NOTHING_KNOWN) -> Block:
    """The rows of some entries, of whose ids so much is `known`. Of what `tombstones` call erased, the arrival alone is
    left."""
    made = Block()
    for entry in entries:
        gone = _add_events(made, entry, tombstones, known)
        _add_identifies(made, entry, gone, tombstones, known)
        _add_refusals(made, entry, tombstones)
        _add_replayed(made, entry, tombstones)
    made.links += made.same_ids.values()
    return made


def mention(made: Block, copies: Iterable[Copy]) -> None:
    """Add the identifiers of copies that might have given way to verified ones, and do not."""
    for copy in copies:
        if copy.said is not None:
            add_identifiers(made, copy.row[0], copy.said)


def first_copies(copies: Iterable[Copy]) -> dict[bytes, Copy]:
    """Of the copies of each event, the one received first."""
    first: dict[bytes, Copy] = {}
    for copy in copies:
        rival = first.get(copy.event_id)
        if rival is None or copy.precedence > rival.precedence:
            first[copy.event_id] = copy
    return first


def event_rows(
    first: dict[bytes, Copy], kept: Mapping[bytes, FirstCopy]
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


def subscription_rows(
    first: dict[bytes, Copy], kept: Mapping[bytes, FirstCopy]
) -> tuple[list[tuple[Any, ...]], list[FirstCopy]]:
    """Rows for `subscription_fact` of the copies that are kept from now on, and those whose facts no longer count."""
    winning = [copy for event_id, copy in first.items()
               if event_id not in kept or copy.precedence > kept[event_id].precedence]  # fmt: skip
    return (
        [row for copy in winning for row in copy.facts],
        [kept[copy.event_id] for copy in winning if copy.event_id in kept],
    )


def erased_event_rows(erased: Mapping[bytes, str], kept: Mapping[bytes, FirstCopy]) -> list[tuple[Any, ...]]:
    """Rows for `erased_event`: ids of what was not kept, save those of which the warehouse keeps a copy."""
    return [(event_id, app, bytes(16)) for event_id, app in erased.items() if event_id not in kept]


def _add_events(made: Block, entry: Entry, tombstones: Tombstones, known: Known) -> set[int]:
    """Returns the indexes of the events that are erased: what came in the same element goes with them."""
    gone: set[int] = set()
    if not entry.events:
        return gone
    app, dialect, received_at = entry.app, entry.dialect, entry.received_at
    receipt = bytes.fromhex(entry.receipt)
    first, sent_at = precedence(entry.ordered_at, receipt), entry.sent_at
    how = received_at, dialect, "accepted", "", entry.path, entry.key_prefix
    for event, names, window in zip(entry.events, event_names(entry), retries.windows(entry), strict=True):
        index, event_id, rival = event.index, known.id_of(names), known.rival_of(names)
        verified = names.trusted
        if window is not None:
            heard = precedence_heard(entry, index)
            made.retries.append((app, window.key, heard, event_id, verified, window.seconds))
        if rival != event_id:
            unverified, believed = (rival, event_id) if verified else (event_id, rival)
            made.pairs[unverified] = Pair(app, names.family, believed)
        if tombstones and tombstones.takes(entry, event, event_id, rival):
            _add_erased(made, entry, "event", (index, 0), verified=verified, event_id=event_id)
            made.erased_links += links.every(entry, event, event_id)
            gone.add(index)
            continue
        key = customer_key(app, event)
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
        read = sources.facts(dialect, dated, entry.ordered_at)
        stated: Sequence[tuple[Any, ...]] = ()
        if read.facts or read.problem:
            said = subscription_facts.Said(app, key, event_id, received_at, receipt, index, order,
                                           precedence_heard(entry, index))  # fmt: skip
            stated = _stated(made, entry, event, read, said)
        doubted = event if event_id in made.pairs else None
        made.copies.append(Copy(event_id, order, content, key, occurred_at, row, stated, doubted))
        if doubted is None:
            add_identifiers(made, app, event)
        made.arrivals.append((app, receipt, "event", index, 0, event_id, content, *how, verified))
        _add_links(made, entry, event)
        made.links += links.subscribed(entry, event, read.facts)
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


def _add_identifies(made: Block, entry: Entry, gone: Set[int], tombstones: Tombstones, known: Known) -> None:
    if not entry.identifies:
        return
    for part, (identify, names) in enumerate(zip(entry.identifies, element_names(entry), strict=True)):
        element_id, rival = known.id_of(names), known.rival_of(names)
        if tombstones and (identify.index in gone or tombstones.takes(entry, identify, element_id, rival)):
            _add_erased(made, entry, "identify", (identify.index, part), verified=names.trusted)
            made.erased_ids[element_id] = entry.app
            made.erased_links += links.every(entry, identify)
        else:
            _add_identify(made, entry, part, identify, element_id)


def _add_identify(made: Block, entry: Entry, part: int, identify: Identify, element_id: bytes) -> None:
    receipt = bytes.fromhex(entry.receipt)
    # Without a time of its own it follows what was said before: so it gets one that never goes back.
    set_at = identify.set_at if identify.set_at is not None else entry.first_ordered_at // 1_000
    verified = entry.verified or identify.signed
    key = customer_key(entry.app, identify)
    order = precedence(entry.ordered_at, receipt) - identify.index
    sequence = facts.NO_SEQUENCE if identify.sequence is None else identify.sequence
    made.identifies.append(
        (
            entry.app, key, set_at, receipt, identify.index, part, entry.received_at,
            entry.dialect, verified, identify.customer_id or "", identify.uid or "", identify.billing_id or "",
            identify.email or "", identify.anonymous_id or "", identify.user_id or "", identify.traits,
            identify.user_traits, identify.channels, identify.users or "", order, sequence,
        )
    )  # fmt: skip
    made.arrivals.append(_arrival(entry, "identify", (identify.index, part), "accepted", element_id, verified=verified))
    said = facts.Said(entry.app, key, set_at, element_id, verified, entry.dialect, entry.received_at, receipt,
                      identify.index, part, order, sequence)  # fmt: skip
    made.facts += facts.rows(said, facts.statements(identify))
    _add_links(made, entry, identify)
    add_identifiers(made, entry.app, identify)


def add_identifiers(made: Block, app: str, item: Event | Identify) -> None:
    """Note what the keys of an element's identifiers stand for."""
    churn_event_id = item.churn_event_id if isinstance(item, Event) else None
    said = (app, item.customer_id, item.uid, item.billing_id, item.email, item.anonymous_id, churn_event_id)
    if said in made.mentions:
        return
    made.mentions.add(said)
    for found in carried(item):
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
    if known is None or known.evidence > (entry.ordered_at, entry.receipt, item.index):
        made.same_ids[place] = found = links.same_id(entry, item, value)
        _add_identifier(made, entry.app, found.other)


def _add_erased(
    made: Block, entry: Entry, kind: str, place: tuple[int, int], *, verified: bool, event_id: bytes = _NO_ID
) -> None:
    """The arrival of an element (index, part) that is not kept, because its customer is erased. It says by whose word
    the element came: nothing else is left that tells whose its id was."""
    made.erased += 1
    if event_id != _NO_ID:
        made.erased_ids[event_id] = entry.app
    made.arrivals.append(_arrival(entry, kind, place, "erased", event_id, verified=verified))


def _arrival(
    entry: Entry,
    kind: str,
    place: tuple[int, int],
    outcome: str,
    element_id: bytes = _NO_ID,
    *,
    code: str = "",
    verified: bool,
) -> tuple[Any, ...]:
    """The row for `arrival` of an element without content, at `place`: (index, part)."""
    return (
        entry.app, bytes.fromhex(entry.receipt), kind, *place, element_id, _NO_CONTENT, entry.received_at,
        entry.dialect, outcome, code, entry.path, entry.key_prefix, verified,
    )  # fmt: skip


def _first_copy_row(copy: Copy) -> tuple[Any, ...]:
    app, receipt, position = copy.row[0], copy.row[15], copy.row[16]
    return (copy.event_id, app, copy.version or copy.precedence, receipt, position, copy.content,
            copy.customer_key, copy.occurred_at, family(copy.row[17]), copy.row[18], NOBODY)  # fmt: skip


def _superseding(copy: Copy, rival: FirstCopy) -> tuple[Any, ...]:
    row = list(copy.row)
    row[1], row[2], row[-1] = rival.customer_key, rival.occurred_at, 1
    return tuple(row)
