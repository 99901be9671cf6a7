"""The import itself: rows into entries, entries into the journal."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Protocol

import msgspec

from tenure import entry as entry_format
from tenure.delivery import Delivery
from tenure.entry import Entry, Record
from tenure.event import Event, Identify, Refusal
from tenure.identity import placeholders
from tenure.importer.mapping import FieldMapping, Taken
from tenure.importer.row import Damaged, Source
from tenure.importer.state import Counts, State
from tenure.mode import MODES, app_of

ENTRY_ROWS = 2_000
ENTRY_CHARACTERS = 1024 * 1024
"""An entry ends when its rows are this many, or this large: which rows it has depends on the file alone."""
APPEND_ENTRIES = 8
"""Entries made durable together."""
COMMIT_APPENDS = 6
"""Appends after which the state is committed: the most that is done again after a crash."""


class Watch(Protocol):
    """Whoever shows how far the import is."""

    def began(self, mapping: FieldMapping) -> None:
        """The file is open, and this is how its columns are understood."""

    def reading(self, rows: int, fraction: float) -> None:
        """So much has been read; `fraction` of the file, from 0 to 1."""

    def waiting(self, entries: int) -> None:
        """Waits for the loader, which has so many entries before it."""

    def refused(self, refusal: Refusal) -> None:
        """A row was refused."""


class Import:
    """One file on its way into the journal of one app."""

    def __init__(self, app: str, source: Source, mapping: FieldMapping, state: State, watch: Watch) -> None:
        self._app = app
        self._source = source
        self._mapping = mapping
        self._state = state
        self._watch = watch
        self._damage: Damaged | None = None

    def read(self, delivery: Delivery) -> None:
        """Bring the rest of the file into the journal. Raises Damaged, when all that can be read is in it."""
        entries = self._entries()
        appends = 0
        while some := list(islice(entries, APPEND_ENTRIES)):
            delivery.append(some, self._watch.waiting)
            appends += 1
            if appends % COMMIT_APPENDS == 0:
                self._state.commit()
        self._state.commit()
        if self._damage is not None:
            raise self._damage

    def _entries(self) -> Iterator[Record]:
        """Each entry. The state counts an entry when it is given out."""
        rows: list[Taken] = []
        size = 0
        try:
            for row in self._source.rows(self._state.counts.rows):
                taken = self._identified(self._mapping.take(row, len(rows)))
                rows.append(taken)
                size += sum(map(_size, taken.items))
                if len(rows) == ENTRY_ROWS or size >= ENTRY_CHARACTERS:
                    yield from self._entries_of(rows)
                    rows, size = [], 0
        except Damaged as damage:
            self._damage = damage
        if rows:
            yield from self._entries_of(rows)

    def _identified(self, taken: Taken) -> Taken:
        said = taken.as_before
        if said is None or said.message_id is not None or said.occurred_at is None:
            return taken
        content = content_of(said)
        ordinal = self._state.ordinal(said.occurred_at, content)
        return taken.with_message_id(message_id(content, ordinal))

    def _entries_of(self, rows: list[Taken]) -> list[Record]:
        """The entries of some rows: one for each mode that they are of."""
        counts = self._state.counts
        before = counts.rows
        count(counts, rows, self._watch)
        self._watch.reading(counts.rows, self._source.fraction)
        of_mode = {mode: [taken for taken in rows if taken.mode == mode] for mode in MODES}
        return [self._entry(mode, some, before) for mode, some in of_mode.items() if some]

    def _entry(self, mode: str, rows: list[Taken], before: int) -> Record:
        """The entry of some rows of one mode, which are among those that come after `before` rows."""
        counts = self._state.counts
        entry = Entry(
            app=app_of(self._app, mode),
            receipt=self._state.receipt(counts.entries),
            received_at=self._state.received_at,
            dialect=self._mapping.DIALECT,
            verified=True,
            key_prefix="",
            events=[taken.event for taken in rows if taken.event is not None],
            identifies=[taken.identify for taken in rows if taken.identify is not None],
            refusals=[taken.refusal for taken in rows if taken.refusal is not None],
        )
        self._state.note_rows(counts.entries, before)
        counts.entries += 1
        return entry_format.record(entry)


def rehearse(source: Source, mapping: FieldMapping, counts: Counts, watch: Watch) -> None:
    """Count what an import would read, without keeping anything. Raises Damaged."""
    for row in source.rows(0):
        count(counts, [mapping.take(row, 0)], watch)
        if counts.rows % ENTRY_ROWS == 0:
            watch.reading(counts.rows, source.fraction)


def count(counts: Counts, rows: list[Taken], watch: Watch) -> None:
    """Add what has become of some rows."""
    counts.rows += len(rows)
    for taken in rows:
        if taken.event is not None:
            counts.events += 1
            _cover(counts, taken.event.occurred_at)
        if taken.identify is not None:
            counts.identifies += 1
            _cover(counts, taken.identify.set_at)
        for kind in {found.kind for item in (taken.event, taken.identify) if item for found in placeholders(item)}:
            counts.placeholders[kind] = counts.placeholders.get(kind, 0) + 1
        if taken.refusal is not None:
            counts.refused[taken.refusal.code] = counts.refused.get(taken.refusal.code, 0) + 1
            watch.refused(taken.refusal)


def _cover(counts: Counts, at: int | None) -> None:
    """Let the range of times reach this one."""
    if at is not None:
        counts.first_at = at if counts.first_at is None else min(counts.first_at, at)
        counts.last_at = at if counts.last_at is None else max(counts.last_at, at)


def _size(item: Event | Identify | Refusal) -> int:
    """Its characters that have no narrow limit."""
    if isinstance(item, Event):
        return len(item.properties) + len(item.context)
    return len(item.traits) if isinstance(item, Identify) else len(item.payload)


def content_of(event: Event) -> bytes:
    """16 bytes that differ when two rows differ in anything that is kept of them."""
    said = [event.name, event.occurred_at, event.customer_id, event.uid, event.email, event.anonymous_id,
            event.user_id, event.properties]  # fmt: skip
    if event.context != "{}":
        said.append(event.context)
    if event.billing_id is not None:
        said.append(event.billing_id)
    return blake2b(msgspec.msgpack.encode(said), digest_size=16, person=b"import row").digest()


def message_id(content: bytes, ordinal: int) -> str:
    """The id of a row that has none of its own: of rows with the same content, the first has ordinal 0."""
    return f"import:{content.hex()}:{ordinal}"
