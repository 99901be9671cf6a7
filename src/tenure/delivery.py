"""The way into the warehouse for commands that make entries themselves: a journal, and a loader that reads it.

A `tenure serve` that runs on the data directory has a loader. When none runs, or it stops meanwhile, the command
starts the loader (and the engine) itself; a `tenure serve` is refused until the command is done then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from tenure.control.database import connect
from tenure.control.received import ReceivedLedger
from tenure.entry import Record
from tenure.errors import AlreadyRunning, Unavailable
from tenure.free_space import Disk, SpaceGuard
from tenure.journal import Journal, Loaded, readers, restore_clock
from tenure.journal.node import node_of
from tenure.settings import MEBIBYTE, Settings
from tenure.supervisor import Supervisor
from tenure.warehouse.engine_failure import OpenFailure

TEND_SECONDS = 0.5
POLL_SECONDS = 0.1
FAILED_STARTS = 5
"""Of the engine, in a row, after which nothing is waited for."""

Waits = Callable[[int], None]
"""Called again and again while entries, so many, are waited for."""


class Running:
    """Sees to it that a loader (and the engine) runs on a data directory, starting both where no server does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor: Supervisor | None = None
        self._warehouse = settings.data / "warehouse"
        self._failures: set[int] = set()
        """When the engine failed to start, each time since it last did, as far as it could say so."""

    def tend(self) -> None:
        """Keep them running. Cheap to call often. Raises Unavailable when the engine cannot be started."""
        if self._supervisor is not None:
            self._supervisor.tend()
        self._check_engine()
        if self._supervisor is not None:
            return
        supervisor = Supervisor(self._settings, with_http=False)
        try:
            supervisor.start()
        except AlreadyRunning:
            return  # a server has the directory
        self._supervisor = supervisor

    def _check_engine(self) -> None:
        """Give up when it has failed to start again and again, here or in the server that has the directory."""
        failure = OpenFailure.path(self._warehouse)
        try:
            self._failures.add(failure.stat().st_mtime_ns)
        except OSError:
            self._failures.clear()
        own = 0 if self._supervisor is None else self._supervisor.failed_engine_starts
        if max(own, len(self._failures)) < FAILED_STARTS:
            return
        found = OpenFailure.read(self._warehouse)
        reason = "its process ends or hangs" if found is None else found.text
        raise Unavailable(
            f"the engine failed to start {FAILED_STARTS} times: {reason}. What was read is kept and is loaded once it "
            "starts; `tenure check` says more, and `tenure restore-parts` may mend it",
            code="engine_unavailable",
        )

    def __enter__(self) -> Self:
        self.tend()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what was started here."""
        if self._supervisor is not None:
            self._supervisor.stop()


class Delivery:
    """Appends entries and sees to it that they are loaded."""

    def __init__(self, settings: Settings, source: str, first: int = 0) -> None:
        """Deliver the entries of a source from the number `first` on.

        A source gives the same entries in the same order each time. Those that are in a journal since an earlier
        attempt are left out, so that each is counted as received once.
        """
        self._directory = settings.journal_directory
        self._ledger = ReceivedLedger(connect(settings))
        self._journal = Journal.claim(self._directory, settings.journal_max_mb * MEBIBYTE, self._ledger.position)
        restore_clock(self._directory)
        self._source = source
        self._next = first
        self._delivered = max(first, *_delivered(self._directory, source))
        self._running = Running(settings)
        self._space = SpaceGuard(Disk.JOURNAL, self._directory, settings.min_free_mb)
        self._tended_at = 0.0

    def append(self, entries: Sequence[Record], waits: Waits) -> None:
        """Put the next entries of the source on disk; while the journal is full, wait for the loader.

        Raises Unavailable when the disk refuses or is nearly full, or when they would not fit into an empty journal.
        """
        known, self._next = max(0, self._delivered - self._next), self._next + len(entries)
        while True:
            self.tend()
            try:
                self._journal.append(entries[known:], (self._source, self._next))
                return
            except Unavailable as error:
                if error.code != "journal_full" or not self._journal.rows:
                    raise
            waits(self._journal.rows)
            time.sleep(POLL_SECONDS)

    def drain(self, waits: Waits) -> None:
        """Return when all that is in the journals now is in the warehouse durably.

        In all journals: an import that was killed may have left entries in one that a server has taken over.
        """
        last = self._last_positions()
        while left := self._left(last):
            self.tend()
            waits(left)
            time.sleep(POLL_SECONDS)
        self._prune()

    def tend(self) -> None:
        """Prune what has been loaded, and keep a loader running. Cheap to call often."""
        if time.monotonic() - self._tended_at < TEND_SECONDS:
            return
        self._prune()
        self._journal.disk_full = self._space.reason if self._space.look() else None
        self._running.tend()
        self._tended_at = time.monotonic()

    def __enter__(self) -> Self:
        self.tend()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what was started here. What is in the journal still is loaded by whoever runs next."""
        self._running.close()
        self._journal.close()

    def _prune(self) -> None:
        while self._journal.prune():
            pass
        self._journal.scrub()
        with suppress(Unavailable, SQLAlchemyError):  # the next time, then
            if (changes := self._journal.changes()) is not None:
                self._ledger.write(changes, node_of(self._directory))

    def _last_positions(self) -> dict[str, int]:
        """The position of the last entry of every journal that holds entries to load."""
        positions = Loaded.read(self._directory).positions
        last = {}
        for reader in readers(self._directory):
            loaded = positions.get(reader.id, 0)
            for first in reader.read(loaded, max_bytes=1):
                last[reader.id] = first.position + reader.pending(loaded)[0] - 1
            reader.close()
        return last

    def _left(self, last: dict[str, int]) -> int:
        """How many entries before these positions are still to load."""
        positions = Loaded.read(self._directory).positions
        return sum(max(0, position - positions.get(journal, 0)) for journal, position in last.items())


def _delivered(directory: Path, source: str) -> list[int]:
    """How many entries of a source are in each journal."""
    found = []
    for reader in readers(directory):
        found.append(reader.delivered(source))
        reader.close()
    return found
