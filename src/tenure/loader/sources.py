"""The journals that the loader reads. One that cannot be read is reported, and is not in the way of the others."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import structlog

from tenure.control.incidents import Incident, Kind
from tenure.control.store import Store
from tenure.journal import MEBIBYTE, Aside, JournalReader, Row, asides, open_all
from tenure.journal.aside import is_malformed
from tenure.journal.reader import ANY
from tenure.telemetry import JOURNAL_LOST

log = structlog.get_logger()

RETRY_SECONDS = 5.0
"""How often a journal that cannot be opened is tried again."""


class Sources:
    """The readable journals of one directory."""

    def __init__(self, directory: Path, store: Store) -> None:
        self._directory = directory
        self._incidents = store.incidents
        self._acknowledged = store.received.position
        self._readers: dict[Path, JournalReader] = {}
        self._unreadable: set[Path] = set()
        self._opened_at = float("-inf")
        self._gaps: set[str] = set()

    def readers(self) -> list[JournalReader]:
        """A reader for each journal that can be opened; new ones are found, known ones stay open."""
        present = {path for path in self._directory.glob("*.sqlite") if Aside.read(path) is None}
        retry = self._unreadable and time.monotonic() - self._opened_at > RETRY_SECONDS
        if retry or present != self._readers.keys() | self._unreadable:
            self._open()
        return list(self._readers.values())

    def rows(
        self,
        reader: JournalReader,
        after: int,
        *,
        through: int | None = None,
        max_bytes: int = 16 * MEBIBYTE,
        max_rows: int = ANY,
    ) -> list[Row]:
        """Rows of a journal, as `JournalReader.read`; none when it cannot be read.

        A malformed journal is set aside: its writer, or whoever prunes it, brings what can be read into another one.
        """
        try:
            found = reader.read(after, through=through, max_bytes=max_bytes, max_rows=max_rows)
        except sqlite3.Error as error:
            self._give_up(reader, error)
            return []
        self._note_gaps(reader, after, found)
        return found

    def has(self, reader: JournalReader) -> bool:
        """Whether a journal can be read still."""
        return self._readers.get(reader.path) is reader

    def pending(self, reader: JournalReader, loaded: int) -> int:
        """Requests of a journal that wait to be loaded; 0 when it cannot be read."""
        try:
            return reader.pending(loaded)[0]
        except sqlite3.Error as error:
            self._give_up(reader, error)
            return 0

    def report_asides(self) -> None:
        """Report the journals that were set aside."""
        for aside in asides(self._directory):
            self._incidents.report(_incident(aside))

    def _open(self) -> None:
        for reader in self._readers.values():
            reader.close()
        opened = open_all(self._directory)
        self._readers = {reader.path: reader for reader in opened.readers}
        self._opened_at = time.monotonic()
        for path in self._unreadable - {one.path for one in opened.unreadable}:
            self._incidents.resolve(Kind.JOURNAL_UNREADABLE, path.name)
        self._unreadable = {one.path for one in opened.unreadable}
        for one in opened.unreadable:
            if one.is_malformed:
                Aside.begin(one.path, f"it is malformed ({one.problem})", self._acknowledged)
            else:
                self._report_unreadable(one.path, one.problem)

    def _give_up(self, reader: JournalReader, error: sqlite3.Error) -> None:
        del self._readers[reader.path]
        reader.close()
        if is_malformed(error):
            Aside.begin(reader.path, f"it is malformed ({error})", self._acknowledged, reader.id)
        else:
            self._unreadable.add(reader.path)
            self._report_unreadable(reader.path, str(error))

    def _report_unreadable(self, path: Path, problem: str) -> None:
        text = (
            f"The journal {path.name} cannot be read ({problem}). What waits in it is not loaded; the others are. "
            " Check the disk and the file's owner and mode; it is tried again by itself."
        )
        self._incidents.report(Incident(kind=Kind.JOURNAL_UNREADABLE, place=path.name, text=text, incomplete=True))

    def _note_gaps(self, reader: JournalReader, after: int, found: list[Row]) -> None:
        """Positions follow each other without a gap: see where they do not. The first ones may be pruned."""
        expected = after + 1 if after else None
        for row in found:
            if expected is not None and row.position > expected:
                self._report_gap(reader.id, expected, row.position - 1)
            expected = row.position + 1

    def _report_gap(self, journal: str, first: int, last: int) -> None:
        place = f"{journal}:{first}-{last}"
        if place in self._gaps:
            return
        self._gaps.add(place)
        JOURNAL_LOST.inc(last - first + 1)
        text = (
            f"{last - first + 1} acknowledged requests, positions {first} to {last} of the journal {journal}, "
            "are not in it any more. `tenure check` tells apps and times. Check the disk."
        )
        self._incidents.report(Incident(kind=Kind.JOURNAL_LOST, place=place, text=text, incomplete=True))


def _incident(aside: Aside) -> Incident:
    told = f"The journal {aside.file} was set aside: {aside.reason}."
    if not aside.is_done:
        text = f"{told} What can be read of it goes into another journal as soon as a writer takes it over."
        return Incident(kind=Kind.JOURNAL_UNREADABLE, place=aside.file, text=text, incomplete=True)
    if aside.lost:
        text = (
            f"{told} {aside.rescued} waiting requests went into another journal; {aside.lost} that were acknowledged "
            "cannot be read. `tenure check` tells apps and times. Check the disk."
        )
        return Incident(kind=Kind.JOURNAL_LOST, place=aside.file, text=text, incomplete=True)
    text = (
        f"{told} Its {aside.rescued} waiting requests went into another journal, and none is lost. Check the disk. The "
        "file holds events: delete it when you need it no more, then accept this."
    )
    return Incident(kind=Kind.JOURNAL_UNREADABLE, place=aside.file, text=text)
