"""The writing side of journals: see the package."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn
from uuid import uuid4

import structlog

from tenure.directories import make_directory, sync_directory
from tenure.entry import Record
from tenure.errors import TenureError, Unavailable
from tenure.journal import received
from tenure.journal.aside import Aside, carve, is_malformed, keep_dropped_log
from tenure.journal.loaded import Loaded
from tenure.journal.received import Changes, Place
from tenure.journal.slot import try_lock

log = structlog.get_logger()

PRUNE_ROWS = 500
"""Rows removed in one transaction, so that pruning never delays an append by much."""
RETRY_SECONDS = 5
"""When a client that was refused is to try again."""
SCRUB_BYTES = 32 * 1024 * 1024
"""Payloads in a journal with which it is rewritten at the most."""
STATEMENTS = 520
"""SQL statements that stay prepared: one for each size of a group."""
RESCUE_ROWS = 500
"""Entries of another journal that are appended together."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    position INTEGER PRIMARY KEY AUTOINCREMENT,  -- AUTOINCREMENT: never used twice, even when all are pruned
    receipt TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL
);
"""

_INSERT = "INSERT INTO entry (receipt, checksum, payload) VALUES (?, ?, ?)"
_DELIVERED = "INSERT INTO delivery VALUES (?, ?) ON CONFLICT DO UPDATE SET entries = excluded.entries"

Acknowledged = Callable[[str], int | None]
"""The last position of a journal, by its id, of which others know that it was acknowledged, and have counted it.

0: they know of none; None: they cannot tell now.
"""


def nothing_known(_: str) -> int | None:
    """Know nothing of any journal."""
    return None


class _DroppedFrames(Exception):
    """SQLite left out committed frames of a journal's log."""


class Journal:
    """The writing side of one slot. Not thread-safe: one thread at a time."""

    def __init__(self, directory: Path, slot: int, lock: IO[bytes], max_bytes: int) -> None:
        self.directory = directory
        self.path = directory / f"{slot}.sqlite"
        self.slot = slot
        self.max_bytes = max_bytes
        self.abandoned: str | None = None
        """Why nothing may be appended any more, if so: the file is malformed, or gone."""
        self._lock = lock
        self._failed_at = float("-inf")
        self.disk_full: str | None = None
        """Why nothing is accepted though the journal could grow: set while too little of the disk is free."""
        self._db = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=STATEMENTS
        )
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        if keep_dropped_log(self._db, self.path, is_mine=True):  # before anything is written
            raise _DroppedFrames
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA journal_size_limit=67108864")
        self._db.execute("PRAGMA temp_store=MEMORY")  # no copy of the journal elsewhere when it is rewritten
        self._db.executescript(_SCHEMA)
        self.id = self._own_id()
        received.create(self._db)
        sync_directory(self.directory)
        self.bytes, self.rows = self._measure()
        self.position = self._newest()
        self._changed: set[Place] = set(received.read(self._db))
        self._written_position = -1
        self._files = self._identity()

    @classmethod
    def claim(cls, directory: Path, max_bytes: int, acknowledged: Acknowledged = nothing_known) -> Journal:
        """Open the journal of the first slot that no live process writes to, and that can be written to.

        A journal that is malformed, or that ends before what was acknowledged, is set aside, and what can be read of it
        that is not loaded goes into the journal that is returned. Raises TenureError when a new file cannot be made.
        """
        make_directory(directory)
        rescues: list[tuple[Aside, IO[bytes]]] = []
        slot = 0
        while True:
            lock = try_lock(directory, slot)
            if lock is not None:
                found = cls.usable(directory, slot, lock, max_bytes, acknowledged)
                if isinstance(found, cls):
                    break
                if isinstance(found, Aside):
                    rescues.append((found, lock))
                else:
                    lock.close()
            slot += 1
        for aside, lock in rescues:
            found.rescue(aside)
            lock.close()
        return found

    @classmethod
    def usable(
        cls, directory: Path, slot: int, lock: IO[bytes], max_bytes: int, acknowledged: Acknowledged
    ) -> Journal | Aside | None:
        """The journal of a slot; or, when it may not be written to, that, where something of it is to be rescued."""
        path = directory / f"{slot}.sqlite"
        if (known := Aside.read(path)) is not None:
            return None if known.is_done else known
        is_new = not path.exists()
        try:
            journal = cls(directory, slot, lock, max_bytes)
        except sqlite3.Error as error:
            if is_malformed(error):
                return Aside.begin(path, f"it is malformed ({error})", acknowledged)
            if is_new:
                raise TenureError(f"{path}: the journal cannot be made ({error})") from error
            log.error("journal cannot be opened; using another slot", file=path.name, error=str(error))
            return None
        except _DroppedFrames:
            return Aside.begin(path, "its log is damaged", acknowledged)
        needed = max(Loaded.read(directory).positions.get(journal.id, 0), acknowledged(journal.id) or 0)
        if is_new or journal.position >= needed:
            return journal
        reason = "it is older than what was acknowledged"
        aside = Aside.begin(path, reason, acknowledged, journal.id)
        journal._db.close()
        return aside

    def append(self, entries: Sequence[Record], delivered: tuple[str, int] | None = None) -> None:
        """Commit entries, at most 10,000, together with what they count; returns when they are on disk.

        `delivered` is a source of entries, and how many of it are in the journal then. Raises Unavailable when the
        journal or its disk is full or the disk refuses, and then none of them is kept.
        """
        if not entries:
            return
        if self.abandoned is not None:
            raise Unavailable(self.abandoned, code="journal_failed", retry_after=RETRY_SECONDS)
        if self.disk_full is not None:
            raise Unavailable(self.disk_full, code="disk_full", retry_after=RETRY_SECONDS)
        size = sum(len(entry.payload) for entry in entries)
        if self.bytes + size > self.max_bytes:
            self.prune()
            if self.bytes + size > self.max_bytes:
                raise Unavailable(
                    "the journal is full: the warehouse is behind", code="journal_full", retry_after=RETRY_SECONDS
                )
        counts = received.totals(entry.tally for entry in entries)
        values = [value for e in entries for value in (e.receipt, zlib.crc32(e.payload), e.payload)]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            inserted = self._db.execute(_INSERT + ", (?, ?, ?)" * (len(entries) - 1), values)
            self._db.executemany(received.ADD, received.rows(counts))
            if delivered is not None:
                self._db.execute(_DELIVERED, delivered)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._refuse(error)
        self.position = inserted.lastrowid or self.position
        self._changed.update(counts)
        self.bytes += size
        self.rows += len(entries)

    def _refuse(self, error: sqlite3.Error) -> NoReturn:
        self._rollback()
        self._failed_at = time.monotonic()
        self._note_malformed(error)
        message = f"the journal cannot be written: {error}"
        raise Unavailable(message, code="journal_failed", retry_after=RETRY_SECONDS) from error

    def _note_malformed(self, error: sqlite3.Error) -> None:
        if is_malformed(error):
            self.abandoned = f"the journal is malformed: {error}"

    def changes(self) -> Changes | None:
        """What was counted since the last time this was called; None when nothing was."""
        if not self._changed and self.position == self._written_position:
            return None
        places, self._changed = self._changed, set()
        self._written_position = self.position
        return Changes(self.id, self.position, received.read(self._db, places))

    def keep_changes(self, changes: Changes) -> None:
        """Take changes back that could not be written."""
        self._changed.update(changes.counts)
        self._written_position = -1

    def look(self) -> str | None:
        """See whether the file is still the one that was opened; returns why it may not be appended to any more."""
        if self.abandoned is None:
            if self._files != self._identity():
                self.abandoned = "the journal's file was deleted or replaced"
            elif (aside := Aside.read(self.path)) is not None:
                self.abandoned = f"the journal was set aside: {aside.reason}"
        return self.abandoned

    def replace(self, acknowledged: Acknowledged) -> Journal:
        """Claim another journal in place of this one, which is abandoned, with what is not loaded of this one.

        The file stays open and the slot locked as long as the process lives: closing could remove a file of the same
        name. Raises TenureError and Unavailable.
        """
        reason = self.abandoned or "it was given up"
        log.error("journal abandoned; using another slot", file=self.path.name, reason=reason)
        is_gone = self._files != self._identity()
        aside = Aside.begin(self.path, reason, acknowledged, self.id)
        fresh = Journal.claim(self.directory, self.max_bytes, acknowledged)
        if is_gone:
            fresh._take_over(self._db, aside)
        else:
            fresh.rescue(aside)
        return fresh

    def _take_over(self, db: sqlite3.Connection, aside: Aside) -> None:
        """Append what is not loaded of a journal whose file is gone, and which is open still."""
        after = Loaded.read(self.directory).positions.get(aside.journal, 0)
        kept = db.execute("SELECT position, receipt, payload FROM entry WHERE position > ? ORDER BY position", (after,))
        positions: set[int] = set()
        while some := kept.fetchmany(RESCUE_ROWS):
            self._take([self._counted_there(aside, *row) for row in some])
            positions.update(row[0] for row in some)
        aside.finish(after, positions)
        log.error("entries of a deleted journal are in another one", entries=len(positions), to=self.path.name)

    def rescue(self, aside: Aside) -> None:
        """Append what can be read of a journal that was set aside and is not loaded.

        What that journal acknowledged so late that nobody else knows of it counts as received here.

        At a crash this begins anew: the entries are the same then, and change nothing when they are loaded twice.
        """
        after = Loaded.read(self.directory).positions.get(aside.journal, 0)
        positions: set[int] = set()
        some: list[Record] = []
        for position, receipt, payload in carve(aside.path, after):
            positions.add(position)
            some.append(self._counted_there(aside, position, receipt, payload))
            if len(some) == RESCUE_ROWS:
                self._take(some)
                some = []
        self._take(some)
        aside.finish(after, positions)
        log.error("entries of a journal that was set aside are in another one", file=aside.path.name,
                  entries=len(positions), lost=aside.lost, to=self.path.name)  # fmt: skip

    @staticmethod
    def _counted_there(aside: Aside, position: int, receipt: str, payload: bytes) -> Record:
        """An entry of another journal; it counts as received here when nobody knows that it was received there."""
        is_counted = aside.counted is None or position <= aside.counted
        return Record(receipt, payload, None if is_counted else received.tally_of(payload))

    def _take(self, some: list[Record]) -> None:
        room, self.max_bytes = self.max_bytes, 2**62  # they were accepted before
        try:
            self.append(some)
        finally:
            self.max_bytes = room

    def prune(self) -> int:
        """Remove some rows that the warehouse has durably; returns how many (0: none are left to remove)."""
        through = Loaded.read(self.directory).positions.get(self.id, 0)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            rows, size = self._db.execute(
                "SELECT count(*), coalesce(sum(length(payload)), 0) FROM "
                "(SELECT payload FROM entry WHERE position <= ? ORDER BY position LIMIT ?)",
                (through, PRUNE_ROWS),
            ).fetchone()
            if rows:
                self._db.execute(
                    "DELETE FROM entry WHERE position IN "
                    "(SELECT position FROM entry WHERE position <= ? ORDER BY position LIMIT ?)",
                    (through, PRUNE_ROWS),
                )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            self._note_malformed(error)
            return 0
        self.bytes -= size
        self.rows -= rows
        return int(rows)

    def scrub(self) -> bool:
        """Free the file and its log of what has been pruned, if the loader asks for it; whether nothing is left to do.

        SQLite leaves deleted rows in its file until their place is used again. `user_version` tells how far we are.
        A file that is large, because loading is behind, waits until it is small: this rewrites it.
        """
        loaded = Loaded.read(self.directory)
        asked = loaded.scrub
        unpruned = "SELECT 1 FROM entry WHERE position <= ? LIMIT 1"
        through = loaded.positions.get(self.id, 0)
        try:
            if asked <= self._db.execute("PRAGMA user_version").fetchone()[0]:
                return True
            if self.bytes > SCRUB_BYTES or self._db.execute(unpruned, (through,)).fetchone():
                return False
            self._db.execute("PRAGMA busy_timeout=100")  # whoever appends waits for this
            self._db.execute("VACUUM")
            if self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return False  # a reader is in the way
            self._db.execute(f"PRAGMA user_version={asked}")
        except sqlite3.Error as error:
            self._note_malformed(error)
            return False
        finally:
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA busy_timeout=10000")
        return True

    @property
    def refusing(self) -> str | None:
        """Why a request would be refused now, if it would: full, or the disk has refused a moment ago."""
        if self.abandoned is not None:
            return self.abandoned
        if self.disk_full is not None:
            return self.disk_full
        if self.bytes >= self.max_bytes:
            return "the journal is full: the warehouse is behind"
        if time.monotonic() - self._failed_at < RETRY_SECONDS:
            return "the journal cannot be written: the disk refuses"
        return None

    def close(self) -> None:
        """Close the file and give the slot free."""
        if self._files == self._identity():  # closing removes the log by its name, which may be another's
            self._db.close()
        self._lock.close()

    def _own_id(self) -> str:
        row = self._db.execute("SELECT id FROM journal").fetchone()
        if row is None:
            row = (uuid4().hex,)
            self._db.execute("INSERT INTO journal VALUES (?)", row)
        return str(row[0])

    def _measure(self) -> tuple[int, int]:
        return tuple(self._db.execute("SELECT coalesce(sum(length(payload)), 0), count(*) FROM entry").fetchone())

    def _newest(self) -> int:
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
        return 0 if found is None else int(found[0])

    def _identity(self) -> tuple[tuple[int, int] | None, ...]:
        return _inode(self.path), _inode(self.path.with_name(f"{self.path.name}-wal"))

    def _rollback(self) -> None:
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
