"""The journal: accepted requests on disk, between the acknowledgement and the warehouse.

A journal is one SQLite file in WAL mode with `synchronous=FULL`, one row per request with a checksum. It has
exactly one writer, the process that claimed its slot, which appends and also prunes; the loader only reads.
So nothing that the loader does, not even hanging, can hold up an append.

    directory/0.lock    held (flock) by the writer of slot 0
    directory/0.sqlite  its journal
    directory/loaded.json  what the loader has put into the warehouse durably, per journal id (see `Loaded`)
    directory/awaited      is there while somebody waits for the loader, which removes it before it reads
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

import msgspec

from tenure.errors import Unavailable
from tenure.telemetry import JOURNAL_SECONDS

AWAITED = "awaited"
PRUNE_ROWS = 500
"""Rows removed in one transaction, so that pruning never delays an append by much."""
RETRY_SECONDS = 5
"""When a client that was refused is to try again."""
SCRUB_BYTES = 32 * 1024 * 1024
"""Payloads in a journal with which it is rewritten at the most."""
GROUP_REQUESTS = 512
"""Requests committed together at the most."""
MEBIBYTE = 1024 * 1024

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


class Row(NamedTuple):
    """One request in a journal. `intact` is False when the payload does not match its checksum."""

    position: int
    receipt: str
    payload: bytes
    intact: bool


class Loaded(msgspec.Struct):
    """How far the loader has come: written by the loader alone, read by all.

    `positions[journal id]` is the last position that is in the warehouse durably. `plan` holds the ranges
    (after, through) of the block being inserted, so that a loader that starts after a crash inserts the very
    same block again under the same deduplication token.
    """

    positions: dict[str, int] = {}
    plan: dict[str, tuple[int, int]] = {}
    erasures: int = 0
    """How many erasures there were when the plan was made: with more, the block may not be the same."""
    scrub: int = 0
    """Grows when writers are to free their files of what is pruned (see `Journal.scrub`)."""

    @classmethod
    def read(cls, directory: Path) -> Loaded:
        """What was last written; nothing loaded when there is no file yet."""
        try:
            return msgspec.json.decode((directory / "loaded.json").read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()

    def write(self, directory: Path) -> None:
        """Replace the file atomically and durably."""
        temporary = directory / "loaded.json.new"
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(self))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / "loaded.json")
        sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Make renames and new files in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Journal:
    """The writing side of one slot. Not thread-safe: one thread at a time."""

    def __init__(self, directory: Path, slot: int, lock: IO[bytes], max_bytes: int) -> None:
        self.directory = directory
        self.path = directory / f"{slot}.sqlite"
        self.slot = slot
        self.max_bytes = max_bytes
        self._lock = lock
        self._failed_at = float("-inf")
        self._db = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=10, cached_statements=GROUP_REQUESTS
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA journal_size_limit=67108864")
        self._db.execute("PRAGMA temp_store=MEMORY")  # no copy of the journal elsewhere when it is rewritten
        self._db.executescript(_SCHEMA)
        self.id = self._own_id()
        sync_directory(directory)
        self.bytes, self.rows = self._measure()

    @classmethod
    def claim(cls, directory: Path, max_bytes: int) -> Journal:
        """The journal of the first slot that no live process writes to."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        slot = 0
        while True:
            lock = _try_lock(directory, slot)
            if lock is not None:
                return cls(directory, slot, lock, max_bytes)
            slot += 1

    def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Commit (receipt, payload) pairs, at most 10,000, together; returns when they are on disk.

        Raises Unavailable when the journal is full or the disk refuses, and then none of them is kept.
        """
        if not entries:
            return
        size = sum(len(payload) for _, payload in entries)
        if self.bytes + size > self.max_bytes:
            self.prune()
            if self.bytes + size > self.max_bytes:
                raise Unavailable(
                    "the journal is full: the warehouse is behind", code="journal_full", retry_after=RETRY_SECONDS
                )
        values = [value for receipt, payload in entries for value in (receipt, zlib.crc32(payload), payload)]
        try:
            # One statement, which is its own transaction.
            self._db.execute(_INSERT + ", (?, ?, ?)" * (len(entries) - 1), values)
        except sqlite3.Error as error:
            self._failed_at = time.monotonic()
            message = f"the journal cannot be written: {error}"
            raise Unavailable(message, code="journal_failed", retry_after=RETRY_SECONDS) from error
        self.bytes += size
        self.rows += len(entries)

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
        except sqlite3.Error:
            self._rollback()
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
        if asked <= self._db.execute("PRAGMA user_version").fetchone()[0]:
            return True
        unpruned = "SELECT 1 FROM entry WHERE position <= ? LIMIT 1"
        through = loaded.positions.get(self.id, 0)
        if self.bytes > SCRUB_BYTES or self._db.execute(unpruned, (through,)).fetchone():
            return False
        try:
            self._db.execute("PRAGMA busy_timeout=100")  # whoever appends waits for this
            self._db.execute("VACUUM")
            if self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return False  # a reader is in the way
            self._db.execute(f"PRAGMA user_version={asked}")
        except sqlite3.Error:
            return False
        finally:
            self._db.execute("PRAGMA busy_timeout=10000")
        return True

    @property
    def refusing(self) -> str | None:
        """Why a request would be refused now, if it would: full, or the disk has refused a moment ago."""
        if self.bytes >= self.max_bytes:
            return "the journal is full: the warehouse is behind"
        if time.monotonic() - self._failed_at < RETRY_SECONDS:
            return "the journal cannot be written: the disk refuses"
        return None

    def close(self) -> None:
        """Close the file and give the slot free."""
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

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


class JournalReader:
    """The reading side of one journal file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA query_only=1")
        self.id = str(self._db.execute("SELECT id FROM journal").fetchone()[0])

    def read(self, after: int, *, through: int | None = None, max_bytes: int = 16 * MEBIBYTE) -> list[Row]:
        """Rows after a position in order, as many as fit in `max_bytes` (at least one)."""
        rows: list[Row] = []
        size = 0
        cursor = self._db.execute(
            "SELECT position, receipt, payload, checksum FROM entry "
            "WHERE position > ? AND position <= ? ORDER BY position",
            (after, through if through is not None else 2**62),
        )
        for position, receipt, payload, checksum in cursor:
            size += len(payload)
            if rows and size > max_bytes:
                break
            rows.append(Row(position, receipt, payload, zlib.crc32(payload) == checksum))
        cursor.close()
        return rows

    def find(self, receipt: str) -> Row | None:
        """The request with this receipt, if it is in the journal still."""
        found = self._db.execute(
            "SELECT position, receipt, payload, checksum FROM entry WHERE receipt = ?", (receipt,)
        ).fetchone()
        if found is None:
            return None
        position, receipt, payload, checksum = found
        return Row(position, receipt, payload, zlib.crc32(payload) == checksum)

    def pending(self, loaded: int) -> tuple[int, int]:
        """(requests, bytes) that wait to be loaded."""
        row = self._db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM entry WHERE position > ?", (loaded,)
        ).fetchone()
        return int(row[0]), int(row[1])

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


def readers(directory: Path) -> list[JournalReader]:
    """A reader for every journal that has come into being."""
    found = []
    for path in sorted(directory.glob("*.sqlite")):
        try:
            found.append(JournalReader(path))
        except (sqlite3.OperationalError, TypeError):
            continue  # its writer is creating it this very moment; it holds nothing yet
    return found


def last_positions(directory: Path) -> dict[str, int]:
    """The last position of each journal, by its id; 0 where all is pruned."""
    last = {}
    for reader in readers(directory):
        try:
            last[reader.id] = reader.last()
        finally:
            reader.close()
    return last


def prune_unclaimed(directory: Path) -> None:
    """Prune and scrub the journals whose writer is gone for good (fewer workers than before, an import that ended)."""
    for path in directory.glob("*.sqlite"):
        lock = _try_lock(directory, int(path.stem))
        if lock is None:
            continue
        journal = Journal(directory, int(path.stem), lock, max_bytes=0)
        try:
            while journal.prune():
                pass
            journal.scrub()
        finally:
            journal.close()


def _try_lock(directory: Path, slot: int) -> IO[bytes] | None:
    file = (directory / f"{slot}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


class GroupCommit:
    """Appends from an event loop: the requests that are ready together share one commit.

    The commit runs in the loop's own thread. Handing it to another one costs more in waiting for a processor and for
    the interpreter's lock than an fsync takes; and what arrives meanwhile is read by the server's threads and
    shares the next commit.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def append(self, receipt: str, payload: bytes) -> None:
        """Returns when the request is on disk. Raises Unavailable as `Journal.append`."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((receipt, payload, done))
        if len(self._waiting) == 1:
            loop.call_soon(self.commit)  # after what else is ready now, which may append too
        await done

    def commit(self) -> None:
        """Commit what waits, and tell those who wait."""
        group, self._waiting = self._waiting[:GROUP_REQUESTS], self._waiting[GROUP_REQUESTS:]
        if self._waiting and self._loop is not None:
            self._loop.call_soon(self.commit)
        started = time.perf_counter()
        error: Exception | None = None
        try:
            self.journal.append([(receipt, payload) for receipt, payload, _ in group])
        except Exception as caught:
            error = caught
        JOURNAL_SECONDS.observe(time.perf_counter() - started)
        for _, _, done in group:
            if done.done():  # its client has gone; the commit stands all the same
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def close(self) -> None:
        """Commit what waits still, then close the journal."""
        while self._waiting:
            self.commit()
        self.journal.close()
