"""Journals that are set aside: malformed, or with a damaged log, or older than what was acknowledged.

Nobody writes to such a file any more, and the loader leaves it alone. What can be read of it goes into another journal
(`Journal.rescue`); `N.aside.json` tells why, and what is lost. The file itself is never deleted.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import msgspec
import structlog

from tenure import state_file
from tenure.directories import sync_directory
from tenure.journal import carve as carving
from tenure.journal import received
from tenure.journal.carve import Carved
from tenure.journal.received import Changes
from tenure.journal.slot import try_lock

log = structlog.get_logger()

_MALFORMED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_malformed(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is damaged, and not that it cannot be reached."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _MALFORMED


class Aside(msgspec.Struct):
    """Why a journal is set aside, and what became of its entries."""

    file: str
    reason: str
    journal: str
    """The journal's id; empty when it cannot be found."""
    needed: int
    """The last position that was acknowledged, as far as it is known."""
    counted: int | None
    """The last position whose elements others know to be received; None when that cannot be told."""
    at: int
    """Milliseconds since 1970 UTC."""
    directory: str = ""
    is_done: bool = False
    """Whether what can be read is in another journal."""
    rescued: int = 0
    """Entries that went into another journal."""
    lost: int = 0
    """Entries that were acknowledged, are not loaded and cannot be read."""

    @property
    def path(self) -> Path:
        """The file that is set aside."""
        return Path(self.directory) / self.file

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What is known of a journal file; None when it is not set aside."""
        found = state_file.read(_note(path), lambda body: msgspec.json.decode(body, type=cls)).value
        return None if found is None else msgspec.structs.replace(found, directory=str(path.parent))

    @classmethod
    def begin(cls, path: Path, reason: str, acknowledged: Callable[[str], int | None], journal: str = "") -> Self:
        """Set a journal file aside durably; what it holds is still to be rescued."""
        there = cls.read(path)
        if there is not None:
            return there
        journal = journal or carving.carve_id(path, _logs(path)) or ""
        known = acknowledged(journal) if journal else None
        own = _counted(path)
        counted = known if own is None else max(known or 0, own.position)
        needed, now = counted or 0, time.time_ns() // 1_000_000
        made = cls(path.name, reason, journal, needed, counted, now, str(path.parent))
        made._write()
        log.error("journal set aside", file=path.name, reason=reason)
        return made

    def finish(self, after: int, positions: set[int]) -> None:
        """Note which positions were rescued, of those after one that is loaded."""
        self.rescued = len(positions)
        self.lost = max(0, self.needed - after) - sum(position <= self.needed for position in positions)
        self.is_done = True
        self._write()

    def _write(self) -> None:
        state_file.write(_note(self.path), msgspec.json.encode(msgspec.structs.replace(self, directory="")))


def carve(path: Path, after: int) -> Iterator[Carved]:
    """The intact entries of a journal file and its logs after a position."""
    return carving.carve(path, _logs(path), after)


def asides(directory: Path) -> list[Aside]:
    """All journals of a directory that are set aside."""
    found = [Aside.read(path.with_name(path.name.partition(".")[0] + ".sqlite")) for path in _notes(directory)]
    return [aside for aside in found if aside is not None]


def keep_dropped_log(db: sqlite3.Connection, path: Path, *, is_mine: bool = False) -> bool:
    """Keep a copy of the log if SQLite has left out committed frames of it; returns whether there is such a copy.

    `is_mine`: the caller has the lock of the slot. Call it before anything is written or the connection is closed,
    either of which removes the frames.
    """
    copy, live = _dropped(path), path.with_name(f"{path.name}-wal")
    if copy.exists():
        return True
    if not is_mine:
        lock = try_lock(path.parent, int(path.stem))
        if lock is None:
            return False  # it has a writer, which has looked itself
        lock.close()
    if not live.exists() or not live.stat().st_size:
        return False
    # Asked of SQLite, and not read from its index: to close a file that SQLite has open, too, would drop its locks.
    busy, used, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()  # recovers the log, if nobody has yet
    if busy or used < 0:
        return False
    committed = carving.committed_frames(live)
    # Frames that are whole and not used are no damage: their writer was killed before it had told the other processes,
    # so it had not acknowledged them either.
    if committed <= used or carving.frames_match(live, used, committed):
        return False
    shutil.copyfile(live, copy.with_name(f"{copy.name}.new"))
    state_file.sync_file(copy.with_name(f"{copy.name}.new"))
    copy.with_name(f"{copy.name}.new").replace(copy)
    sync_directory(path.parent)
    log.error("the log of a journal is damaged; kept a copy", file=path.name, frames=committed, used=used)
    return True


def counted_aside(directory: Path) -> list[Changes]:
    """What the journals that are set aside have counted, as far as SQLite can read them."""
    found = [_counted(aside.path) for aside in asides(directory)]
    return [one for one in found if one is not None]


def _counted(path: Path) -> Changes | None:
    """What a journal has counted, through the last position that was ever written; None when SQLite cannot read it."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.execute("BEGIN")
            journal = str(db.execute("SELECT id FROM journal").fetchone()[0])
            newest = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'entry'").fetchone()
            return Changes(journal, 0 if newest is None else int(newest[0]), received.read(db))
    except (sqlite3.Error, TypeError):
        return None


def _logs(path: Path) -> list[Path]:
    return [_dropped(path), path.with_name(f"{path.name}-wal")]


def _dropped(path: Path) -> Path:
    return path.with_name(f"{path.stem}.dropped-wal")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.stem}.aside.json")


def _notes(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.aside.json"))
