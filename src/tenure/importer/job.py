"""An import from its beginning to its end: read, load, count, and clear away what it was resumed from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from tenure.delivery import Delivery
from tenure.errors import ImportInvalid
from tenure.importer.mapping import FieldMapping, Wishes
from tenure.importer.open_file import Form, open_file
from tenure.importer.outcome import Conflict, Outcome, outcome
from tenure.importer.row import Damaged, Source
from tenure.importer.run import Import, Watch, rehearse
from tenure.importer.state import Counts, State, fingerprint
from tenure.importer.statements import StatementMapping
from tenure.settings import Settings
from tenure.wire.times import rfc3339


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be read: all that makes two imports of one file differ."""

    form: Form
    wishes: Wishes
    subscriptions: bool = False
    """Its rows are statements about subscriptions, not events."""

    def open(self, file: Path) -> tuple[Source, FieldMapping]:
        """The file and what its columns give. Raises ImportInvalid."""
        source = open_file(file, self.form)
        kind = StatementMapping if self.subscriptions else FieldMapping
        try:
            mapping = kind.choose(self.wishes, source.layout)
        except ImportInvalid:
            source.close()
            raise
        if isinstance(mapping, StatementMapping):
            first = open_file(file, self.form)
            try:
                mapping.lines.read(first.rows(0), mapping)
            finally:
                first.close()
        return source, mapping


class Summary(msgspec.Struct, kw_only=True):
    """What an import has done, that of earlier runs which were interrupted included."""

    rows: int
    events: int
    identifies: int
    """Rows that set attributes."""
    refused: dict[str, int]
    """By code."""
    placeholders: dict[str, int]
    """Rows with a placeholder in the place of an identifier, by its kind: they are kept under their others."""
    preset: str | None
    """Whose export the file was read as."""
    first_at: str | None
    """The earliest time of a row that was taken."""
    last_at: str | None
    stored: int | None
    """None when nothing was kept (a dry run)."""
    duplicates: int | None
    """Events that were there already, or came more than once in the file under one message id."""
    conflicts: int | None
    """Events that were not stored, since an import brought another one under their message id before."""
    conflict_examples: list[str]
    receipts: int
    seconds: float
    """Of this run."""


class Result(NamedTuple):
    """What was done, and why it was not everything."""

    summary: Summary
    problem: ImportInvalid | None


def import_file(settings: Settings, app: str, file: Path, reading: Reading, watch: Watch) -> Result:
    """Bring a file into an app; returns when its events are in the warehouse durably.

    Raises ImportInvalid before anything is kept; AlreadyRunning when another process imports the file now.
    """
    started = time.monotonic()
    source, mapping = reading.open(file)
    watch.began(mapping)
    as_it_was = fingerprint(file, reading)
    state = State(settings.data / "imports", app, file, as_it_was)
    delivery = Delivery(settings, state.receipt(0), state.counts.entries)
    try:
        problem = _read(Import(app, source, mapping, state, watch), delivery)
        if problem is None and _has_changed(file, reading, as_it_was):
            problem = ImportInvalid(f"{file} changed while it was read: import it again, which adds what is missing")
        delivery.drain(watch.waiting)
        found = outcome(settings, app, state, delivery)
        summary = _summary(state.counts, mapping, found, started)
        summary.conflict_examples = _places(found.conflicts, state, *reading.open(file))
        if problem is None:
            state.remove()
        return Result(summary, problem or _nothing_taken(file, state.counts) or _conflict(summary))
    finally:
        delivery.close()
        state.close()
        source.close()


def _has_changed(file: Path, reading: Reading, was: str) -> bool:
    """One that is gone was read to its end all the same: an erasure removes what was downloaded."""
    try:
        return fingerprint(file, reading) != was
    except FileNotFoundError:
        return False


def rehearse_file(file: Path, reading: Reading, watch: Watch) -> Result:
    """Read and check everything, keep nothing. Raises ImportInvalid."""
    started = time.monotonic()
    source, mapping = reading.open(file)
    watch.began(mapping)
    counts = Counts()
    try:
        rehearse(source, mapping, counts, watch)
    except Damaged as damage:
        return Result(_summary(counts, mapping, None, started), damage)
    finally:
        source.close()
    return Result(_summary(counts, mapping, None, started), _nothing_taken(file, counts))


def _read(work: Import, delivery: Delivery) -> ImportInvalid | None:
    try:
        work.read(delivery)
    except Damaged as damage:
        return damage
    return None


def _nothing_taken(file: Path, counts: Counts) -> ImportInvalid | None:
    taken = counts.events + counts.identifies
    return ImportInvalid(f"not one row of {file} could be taken") if counts.rows and not taken else None


def _conflict(summary: Summary) -> ImportInvalid | None:
    if not summary.conflicts:
        return None
    return ImportInvalid(
        f"{summary.conflicts:,} rows were not stored: they have the message id of another row, and say something else. "
        "If the column of message ids is not unique, leave it out: --map another, or --properties without it"
    )


def _places(conflicts: list[Conflict], state: State, source: Source, mapping: FieldMapping) -> list[str]:
    """Where in the file the conflicts are. Reads it again, as far as the last of them."""
    pairs = [
        (state.row(conflict.receipt, conflict.position), state.row(conflict.first_receipt, conflict.first_position))
        for conflict in conflicts
    ]
    wanted = {row for pair in pairs for row in pair if row is not None}
    places: dict[int | None, str] = {}
    try:
        for number, row in enumerate(source.rows(0) if wanted else ()):
            if number in wanted:
                places[number] = f"{mapping.unit} {row.place}"
            if number >= max(wanted):
                break
    finally:
        source.close()
    text = "{} has the message id of {}, and says something else"
    return [text.format(places[row], places.get(first, "a row of an earlier import")) for row, first in pairs]


def _summary(counts: Counts, mapping: FieldMapping, found: Outcome | None, started: float) -> Summary:
    conflicts = None if found is None else found.conflicting
    return Summary(
        rows=counts.rows,
        events=counts.events,
        identifies=counts.identifies,
        refused=counts.refused,
        placeholders=counts.placeholders,
        preset=mapping.preset,
        first_at=None if counts.first_at is None else rfc3339(counts.first_at),
        last_at=None if counts.last_at is None else rfc3339(counts.last_at),
        stored=None if found is None else found.stored,
        duplicates=None if found is None else counts.events - found.stored - found.conflicting,
        conflicts=conflicts,
        conflict_examples=[],
        receipts=counts.entries,
        seconds=round(time.monotonic() - started, 3),
    )
