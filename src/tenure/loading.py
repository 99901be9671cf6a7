"""Seeing to it that journals are loaded, for commands that write to one themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tenure.errors import AlreadyRunning
from tenure.journal import Journal, JournalReader, Loaded
from tenure.settings import Settings
from tenure.supervisor import Supervisor

POLL_SECONDS = 0.1


class Loading:
    """A context within which the data directory's journals are loaded: by the `tenure serve` that runs on it, or,
    as long as there is none, by an engine and a loader that this process starts and, leaving, stops."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Self:
        self._tend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()

    def wait_until_loaded(self, journal: Journal, on_progress: Callable[[int], None]) -> None:
        """Return when the warehouse has everything that is in a journal.

        `on_progress` is told, several times a second, how many requests still wait. It goes on for as long as
        the warehouse cannot be reached: the logs of the loader tell why, and what is written is safe.
        """
        directory = self._settings.journal_directory
        reader = JournalReader(journal.path)
        try:
            while waiting := reader.pending(Loaded.read(directory).positions.get(journal.id, 0))[0]:
                on_progress(waiting)
                self._tend()
                time.sleep(POLL_SECONDS)
            on_progress(0)
        finally:
            reader.close()

    def _tend(self) -> None:
        """Keep the roles running that are ours; take over when a server that had them has stopped."""
        if self._supervisor is not None:
            self._supervisor.tend()
            return
        supervisor = Supervisor(self._settings, with_http=False)
        try:
            supervisor.start()
        except AlreadyRunning:
            return
        self._supervisor = supervisor
