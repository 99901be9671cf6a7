"""How far an import has come, in a SQLite file that is there while it is not complete.

It makes an import resumable, and it keeps in bounded memory how often each row has been seen. What makes a
crash harmless is the order: entries are appended to the journal first, then `commit` says so. Entries
between the two are appended again, and they are the same to the last byte: same rows, same ordinals, same
receipt, same `received_at`. So they change nothing, not even a count.
"""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from pathlib import Path

import msgspec

from tenure import clock, receipt
from tenure.directories import make_directory
from tenure.errors import AlreadyRunning

_SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (
    fingerprint TEXT NOT NULL,
    first_receipt TEXT NOT NULL,
    received_at INTEGER NOT NULL,  -- microseconds since 1970 UTC: of every entry after this commit, until the next
    counts TEXT NOT NULL
);
-- By time first: in a file in order of time, new rows are neighbours, and few pages are written.
CREATE TABLE IF NOT EXISTS seen (
    occurred_at INTEGER NOT NULL,
    content BLOB NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (occurred_at, content)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, first_row INTEGER NOT NULL);
"""
_COUNT = """
INSERT INTO seen VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times
"""
_FORMAT = 2
"""Of the entries: what an earlier version began is begun anew, and recognized row by row."""
_FINGERPRINT_BYTES = 64 * 1024
_CACHE_KIB = 32 * 1024


class Counts(msgspec.Struct):
    """What has been read of a file so far."""

    rows: int = 0
    events: int = 0
    identifies: int = 0
    first_at: int | None = None
    """The earliest time of a row that was taken, milliseconds since 1970 UTC."""
    last_at: int | None = None
    refused: dict[str, int] = {}
    """By code."""
    entries: int = 0
    """Journal entries, each with its own receipt."""
    placeholders: dict[str, int] = {}
    """Rows that have a placeholder for an identifier, by its kind."""


class State:
    """The state of the import of one file into one app. One process at a time has it open."""

    def __init__(self, directory: Path, app: str, file: Path, fingerprint: str) -> None:
        make_directory(directory)
        name = blake2b(f"{app}/{file.resolve()}".encode(errors="surrogateescape"), digest_size=16).hexdigest()
        self._path = directory / f"{name}.sqlite"
        self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            self._lock()
        except sqlite3.OperationalError as error:
            self._db.close()
            raise AlreadyRunning(f"another import of {file} is running ({error})") from None
        self._begin(fingerprint)

    def ordinal(self, occurred_at: int, content: bytes) -> int:
        """How many rows with this time and content there were before this one, which counts from now on."""
        return int(self._db.execute(_COUNT, (occurred_at, content)).fetchone()[0]) - 1

    def note_rows(self, entry: int, first_row: int) -> None:
        """Keep how many rows come before those of an entry, both from 0."""
        self._db.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (entry, first_row))

    def row(self, receipt: str, position: int) -> int | None:
        """The row, from 0, that has this place in the entry with this receipt; None when it is not of this import."""
        entry = int(receipt, 16) - self._first_receipt
        if not 0 <= entry < self.counts.entries:
            return None
        (first_row,) = self._db.execute("SELECT first_row FROM entry WHERE number = ?", (entry,)).fetchone()
        return int(first_row) + position

    def receipt(self, entry: int) -> str:
        """The receipt of the journal entry with this number, from 0. They follow each other without gaps."""
        return f"{self._first_receipt + entry:032x}"

    def commit(self) -> None:
        """Make durable that everything counted so far is in the journal."""
        self.received_at = clock.now()
        self._db.execute("UPDATE progress SET received_at = ?, counts = ?", (self.received_at, self._encoded_counts()))
        self._db.execute("COMMIT")
        self._db.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        """Forget what has not been committed, and let others open it."""
        self._db.close()

    def remove(self) -> None:
        """The import is complete: nothing is left to resume."""
        self.close()
        for suffix in ("-wal", "-shm", ""):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _lock(self) -> None:
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN IMMEDIATE")

    def _begin(self, fingerprint: str) -> None:
        """Go on where an import of the very same file stopped, or else from the beginning."""
        find = "SELECT first_receipt, received_at, counts FROM progress WHERE fingerprint = ?"
        kept = self._db.execute(find, (fingerprint,)).fetchone()
        if kept is not None:
            self._first_receipt, self.received_at = int(kept[0], 16), int(kept[1])
            self.counts = msgspec.json.decode(kept[2], type=Counts)
            return
        self._first_receipt = int(receipt.new(), 16) >> 32 << 32  # room to count on
        self.received_at = clock.now()
        self.counts = Counts()
        self._db.execute("DELETE FROM progress")
        self._db.execute("DELETE FROM seen")
        self._db.execute("DELETE FROM entry")
        row = (fingerprint, f"{self._first_receipt:032x}", self.received_at, self._encoded_counts())
        self._db.execute("INSERT INTO progress VALUES (?, ?, ?, ?)", row)
        self.commit()

    def _encoded_counts(self) -> str:
        return msgspec.json.encode(self.counts).decode()


def fingerprint(file: Path, options: object) -> str:
    """Differs when the file has changed, or when it is to be read in another way (`options`: any struct)."""
    status = file.stat()
    with file.open("rb") as opened:
        start = opened.read(_FINGERPRINT_BYTES)
    parts = msgspec.json.encode([_FORMAT, status.st_size, status.st_mtime_ns, options])
    return blake2b(parts + start, digest_size=16).hexdigest()
