"""Events that wait in an SQLite file, and so survive a crash of the process or of the machine.

Several processes may use one file: each appends, and one at a time sends. Who sends holds an exclusive lock on a second
file beside it, which the system releases however the process ends.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike

from tenure_client.errors import QueueFault
from tenure_client.queue import Item

VERSION = 1
"""Of the tables, as SCHEMA writes it."""
BUSY_SECONDS = 5.0

# The total is kept by triggers, so that the bound of a shared file costs no count of its rows. Keys are never used
# twice (AUTOINCREMENT): one process must not remove what another has appended since.
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS event (key INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS total (events INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO total SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM total);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON event
    BEGIN UPDATE total SET events = events + 1, bytes = bytes + length(new.body); END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON event
    BEGIN UPDATE total SET events = events - 1, bytes = bytes - length(old.body); END;
PRAGMA user_version = 1;
COMMIT;
"""


class DiskQueue:
    """In the file `path`, which is made when it is missing. Raises `QueueFault`."""

    shared = True

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._file: sqlite3.Connection | None = None
        self._claim: sqlite3.Connection | None = None
        self.size()

    def size(self) -> tuple[int, int]:
        """Events and bytes that wait, of all processes."""
        with self._opened() as file:
            events, total = file.execute("SELECT events, bytes FROM total").fetchone()
            return int(events), int(total)

    def append(self, body: bytes) -> None:
        """Keep one event; it is on the disk when this returns."""
        with self._opened() as file:
            file.execute("INSERT INTO event (body) VALUES (?)", (body,))

    def head(self, events: int) -> list[Item]:
        """The oldest, at most so many."""
        with self._opened() as file:
            rows = file.execute("SELECT key, body FROM event ORDER BY key LIMIT ?", (events,))
            return [Item(key, bytes(body)) for key, body in rows]

    def remove(self, items: list[Item]) -> None:
        """Forget these; the file keeps its size and uses the room again."""
        with self._opened() as file:
            file.execute("BEGIN IMMEDIATE")
            file.executemany("DELETE FROM event WHERE key = ?", [(item.key,) for item in items])
            file.execute("COMMIT")

    def claim(self) -> bool:
        """Become the one process that sends; False while another is."""
        if self._claim is not None:
            return True
        with self._faults():
            lock = sqlite3.connect(self._path + "-sender", timeout=0, isolation_level=None, check_same_thread=False)
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as fault:
                lock.close()
                if "locked" not in str(fault):  # the code of the error is there from Python 3.11 on only
                    raise
                return False
            self._claim = lock
            return True

    def suspend(self) -> None:
        """Close the file: SQLite's locks do not survive a fork. The next call opens it again."""
        for connection in (self._claim, self._file):
            if connection is not None:
                connection.close()
        self._claim = self._file = None

    def start_child(self) -> None:
        """What waits belongs to every process of the file."""

    def close(self) -> None:
        """Close the file; what waits is sent by the next client of the same path."""
        self.suspend()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._faults():
            if self._file is None:
                self._file = self._open()
            try:
                yield self._file
            except sqlite3.Error:
                if self._file.in_transaction:
                    self._file.rollback()
                raise

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        # The core's lock lets one thread in at a time.
        file = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            version = file.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise QueueFault(f"{self._path} was written by a later version of this client; use that one.")
            if version < VERSION:
                file.executescript(SCHEMA)
        except BaseException:
            file.close()
            raise
        return file

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as fault:
            raise QueueFault(f"The queue in {self._path} cannot be used: {fault}.") from fault
