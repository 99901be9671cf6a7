"""The way into the warehouse for commands that make entries themselves: a journal, and a loader that reads it.

A `tenure serve` that runs on the data directory has a loader. When none runs, or it stops meanwhile, the command
starts the loader (and the engine) itself; a `tenure serve` is refused until the command is done then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Self

from tenure.errors import AlreadyRunning, Unavailable
from tenure.journal import Journal, Loaded, readers
from tenure.settings import MEBIBYTE, Settings
from tenure.supervisor import Supervisor

TEND_SECONDS = 0.5
POLL_SECONDS = 0.1

Waits = Callable[[int], None]
"""Called again and again while entries, so many, are waited for."""


class Running:
    """Sees to it that a loader (and the engine) runs on a data directory, starting both where no server does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor: Supervisor | None = None

    def tend(self) -> None:
        """Keep them running. Cheap to call often."""
        if self._supervisor is not None:
            self._supervisor.tend()
            return
        supervisor = Supervisor(self._settings, with_http=False)
        try:
            supervisor.start()
        except AlreadyRunning:
            return  # a server has the directory
        self._supervisor = supervisor

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

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.journal_directory
        self._journal = Journal.claim(self._directory, settings.journal_max_mb * MEBIBYTE)
        self._running = Running(settings)
        self._tended_at = 0.0

    def append(self, entries: Sequence[tuple[str, bytes]], waits: Waits) -> None:
        """Put (receipt, payload) pairs on disk; while the journal is full, wait for the loader.

        Raises Unavailable when the disk refuses, or when the journal could not hold them even when empty.
        """
        while True:
            self.tend()
            try:
                self._journal.append(entries)
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
