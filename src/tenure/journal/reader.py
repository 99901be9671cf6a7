"""The reading side of journals."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from tenure import clock
from tenure.journal import received
from tenure.journal.aside import Aside, is_malformed, keep_dropped_log
from tenure.journal.loaded import Loaded
from tenure.journal.received import Changes
from tenure.receipt import time_of

log = structlog.get_logger()

MEBIBYTE = 1024 * 1024
LATEST_REQUESTS = 1_024
"""Among so many last requests is the one with the greatest receipt: twice as many as are committed together."""
ANY = 2**62
"""More rows than there are."""
COUNTED = 1_000
"""So many waiting requests are measured one by one; the bytes of more are estimated."""


class Row(NamedTuple):
    """One request in a journal. `intact` is False when the payload does not match its checksum."""

    position: int
    receipt: str
    payload: bytes
    intact: bool


class JournalReader:
    """The reading side of one journal file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        try:
            self._db.execute("PRAGMA query_only=1")
            keep_dropped_log(self._db, path)
            self.id = str(self._db.execute("SELECT id FROM journal").fetchone()[0])
        except BaseException:
            self._db.close()
            raise

    def read(
        self, after: int, *, through: int | None = None, max_bytes: int = 16 * MEBIBYTE, max_rows: int = ANY
    ) -> list[Row]:
        """Rows after a position in order, as many as fit in `max_bytes` (at least one), and `max_rows` at the most."""
        rows: list[Row] = []
        size = 0
        cursor = self._db.execute(
            "SELECT position, receipt, payload, checksum FROM entry "
            "WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
            (after, through if through is not None else ANY, max_rows),
        )
        for position, receipt, payload, checksum in cursor:
            size += len(payload)
            if rows and size > max_bytes:
                break
            rows.append(Row(position, receipt, payload, zlib.crc32(payload) == checksum))
        cursor.close()
        return rows

    def find(self, receipt: str) -> list[Row]:
        """The entries with this receipt that are in the journal still: one for each mode that the request is of."""
        found = self._db.execute("SELECT position, receipt, payload, checksum FROM entry WHERE receipt = ?", (receipt,))
        return [Row(at, name, payload, zlib.crc32(payload) == checksum) for at, name, payload, checksum in found]

    def pending(self, loaded: int) -> tuple[int, int]:
        """(requests, bytes) that wait to be loaded.

        Costs the same however many wait: of more than `COUNTED` requests the bytes are what they take in the file.
        """
        first, last = self._db.execute(
            "SELECT (SELECT min(position) FROM entry), (SELECT max(position) FROM entry)"
        ).fetchone()
        if last is None or last <= loaded:
            return 0, 0
        requests = last - max(loaded, first - 1)  # positions have no gaps
        if requests > COUNTED:
            return requests, self.used_bytes() * requests // (last - first + 1)
        size = self._db.execute("SELECT sum(length(payload)) FROM entry WHERE position > ?", (loaded,)).fetchone()[0]
        return requests, int(size or 0)

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def oldest(self, loaded: int) -> tuple[int, str] | None:
        """(position, receipt) of the first request that waits to be loaded."""
        query = "SELECT position, receipt FROM entry WHERE position > ? ORDER BY position LIMIT 1"
        found = self._db.execute(query, (loaded,)).fetchone()
        return None if found is None else (int(found[0]), str(found[1]))

    def delivered(self, source: str) -> int:
        """How many entries of a source are in this journal, loaded ones included."""
        try:
            found = self._db.execute("SELECT entries FROM delivery WHERE source = ?", (source,)).fetchone()
        except sqlite3.OperationalError:  # of an older version
            return 0
        return 0 if found is None else int(found[0])

    def received(self) -> Changes:
        """Everything that this journal has counted."""
        self._db.execute("BEGIN")
        try:
            return Changes(self.id, self.newest(), received.read(self._db))
        finally:
            self._db.execute("COMMIT")

    def latest_receipt(self) -> str | None:
        """The greatest receipt of the last requests that are not pruned."""
        found = self._db.execute(
            "SELECT max(receipt) FROM (SELECT receipt FROM entry ORDER BY position DESC LIMIT ?)",
            (LATEST_REQUESTS,),
        ).fetchone()[0]
        return None if found is None else str(found)

    def scrubbed(self) -> int:
        """The last scrub that its writer has done."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def newest(self) -> int:
        """The last position that was ever written, pruned or not; 0 when there is none."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
        return 0 if found is None else int(found[0])

    def last(self) -> int:
        """The last position that is not pruned yet; 0 when there is none."""
        return int(self._db.execute("SELECT coalesce(max(position), 0) FROM entry").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class Unreadable(NamedTuple):
    """A journal that cannot be opened."""

    path: Path
    problem: str
    is_malformed: bool


class Opened(NamedTuple):
    """The journals of a directory that are not set aside."""

    readers: list[JournalReader]
    unreadable: list[Unreadable]


def open_all(directory: Path) -> Opened:
    """Open every journal that is not set aside, and tell which cannot be opened."""
    found = Opened([], [])
    for path in sorted(directory.glob("*.sqlite")):
        if Aside.read(path) is not None:
            continue
        try:
            found.readers.append(JournalReader(path))
        except TypeError:
            continue  # its writer is creating it this very moment; it holds nothing yet
        except (sqlite3.Error, OSError) as error:
            if "no such table" not in str(error):  # the same
                malformed = isinstance(error, sqlite3.Error) and is_malformed(error)
                found.unreadable.append(Unreadable(path, str(error), malformed))
    return found


def readers(directory: Path) -> list[JournalReader]:
    """A reader for every journal that can be opened; the loader reports the others."""
    found = open_all(directory)
    for one in found.unreadable:
        log.warning("journal cannot be opened", file=one.path.name, problem=one.problem)
    return found.readers


def used_bytes(directory: Path) -> dict[str, int]:
    """Bytes that hold something in each journal's file, by its slot. Raises sqlite3.Error."""
    used = {}
    for reader in readers(directory):
        try:
            used[reader.path.stem] = reader.used_bytes()
        finally:
            reader.close()
    return used


def last_positions(directory: Path) -> dict[str, int]:
    """The last position of each journal, by its id; 0 where all is pruned."""
    last = {}
    for reader in readers(directory):
        try:
            last[reader.id] = reader.last()
        finally:
            reader.close()
    return last


def restore_clock(directory: Path, *known: int) -> None:
    """Share the hybrid clock with the processes of this installation, and let it exceed all that is durable.

    `known` are readings from elsewhere. What cannot be read says nothing: taking requests goes first.
    """
    with suppress(OSError):
        clock.share(directory)
    for reading in known:
        clock.observe(reading)
    with suppress(OSError):
        clock.observe(Loaded.read(directory).order)
    for path in directory.glob("*.sqlite"):
        with suppress(sqlite3.Error, TypeError, ValueError), closing(JournalReader(path)) as reader:
            if (receipt := reader.latest_receipt()) is not None:
                clock.observe(time_of(receipt))
