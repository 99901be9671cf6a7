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
from tenure.importer.outcome import stored
from tenure.importer.row import Damaged, Source
from tenure.importer.run import Import, Watch, rehearse
from tenure.importer.state import Counts, State, fingerprint
from tenure.importer.statements import StatementMapping
from tenure.settings import Settings


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
            return source, kind.choose(self.wishes, source.columns, unit=source.unit, numeric_text=source.numeric_text)
        except ImportInvalid:
            source.close()
            raise


class Summary(msgspec.Struct, kw_only=True):
    """What an import has done, that of earlier runs which were interrupted included."""

    rows: int
    events: int
    refused: dict[str, int]
    """By code."""
    stored: int | None
    """None when nothing was kept (a dry run)."""
    duplicates: int | None
    """Events that were there already, or came more than once in the file under one message id."""
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
    delivery = Delivery(settings)
    try:
        problem = _read(Import(app, source, mapping, state, watch), delivery)
        if problem is None and fingerprint(file, reading) != as_it_was:
            problem = ImportInvalid(f"{file} changed while it was read: import it again, which adds what is missing")
        delivery.drain(watch.waiting)
        first_copies = stored(settings, app, state, delivery)
        if problem is None:
            state.remove()
        return Result(_summary(state.counts, first_copies, started), problem or _nothing_taken(file, state.counts))
    finally:
        delivery.close()
        state.close()
        source.close()


def rehearse_file(file: Path, reading: Reading, watch: Watch) -> Result:
    """Read and check everything, keep nothing. Raises ImportInvalid."""
    started = time.monotonic()
    source, mapping = reading.open(file)
    watch.began(mapping)
    counts = Counts()
    try:
        rehearse(source, mapping, counts, watch)
    except Damaged as damage:
        return Result(_summary(counts, None, started), damage)
    finally:
        source.close()
    return Result(_summary(counts, None, started), _nothing_taken(file, counts))


def _read(work: Import, delivery: Delivery) -> ImportInvalid | None:
    try:
        work.read(delivery)
    except Damaged as damage:
        return damage
    return None


def _nothing_taken(file: Path, counts: Counts) -> ImportInvalid | None:
    return ImportInvalid(f"not one row of {file} could be taken") if counts.rows and not counts.events else None


def _summary(counts: Counts, first_copies: int | None, started: float) -> Summary:
    return Summary(
        rows=counts.rows,
        events=counts.events,
        refused=counts.refused,
        stored=first_copies,
        duplicates=None if first_copies is None else counts.events - first_copies,
        receipts=counts.entries,
        seconds=round(time.monotonic() - started, 3),
    )
