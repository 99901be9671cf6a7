"""What waits to be loaded, counted in the journals and the loader's checkpoint.

Whoever is asked counts, so that the answer is true while the loader and the warehouse are stopped or dead. The cost of
a look does not depend on how much waits.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tenure import receipt as receipts
from tenure.journal import JournalReader, Loaded, readers

SAMPLES = 2_000
"""Looks that are remembered for each journal, to know when an entry arrived. With more, every second one is dropped."""


class Waiting(NamedTuple):
    """What was acknowledged and is not loaded. All are 0 when nothing waits."""

    requests: int
    bytes: int
    lag_seconds: float
    """Age of the oldest such request."""


class Backlog:
    """Measures what waits in the journals of one directory. Safe to share between threads.

    Ages come from the monotonic clock, from the look that first saw an entry. The wall clock decides only how old the
    entries were that were there before the first look, so that a clock that is set later changes no age.
    """

    def __init__(
        self,
        directory: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._monotonic = monotonic
        self._wall = wall
        self._arrivals: dict[str, _Arrivals] = {}
        self._looking = threading.Lock()
        self.last = Waiting(0, 0, 0.0)
        """What the last look saw."""

    def look(self) -> Waiting:
        """Measure now. Call it about once a second, so that ages are exact to about a second.

        Raises sqlite3.Error and OSError when the journals cannot be read.
        """
        with self._looking:
            positions = Loaded.read(self._directory).positions
            requests = size = 0
            lag = 0.0
            for reader in readers(self._directory):
                try:
                    loaded = positions.get(reader.id, 0)
                    lag = max(lag, self._age(reader, loaded))
                    waiting = reader.pending(loaded)
                finally:
                    reader.close()
                requests += waiting[0]
                size += waiting[1]
            self.last = Waiting(requests, size, lag)
            return self.last

    def _age(self, reader: JournalReader, loaded: int) -> float:
        now, newest = self._monotonic(), reader.newest()
        arrivals = self._arrivals.get(reader.id)
        if arrivals is None:
            arrivals = self._arrivals[reader.id] = _Arrivals(newest, now, self._wall())
        arrivals.see(newest, now)
        oldest = reader.oldest(loaded)
        if oldest is None:
            return 0.0
        position, receipt = oldest
        return arrivals.age(position, receipt, now)


class _Arrivals:
    """When the entries of one journal arrived, as far as looks can tell."""

    def __init__(self, newest: int, monotonic: float, wall: float) -> None:
        self._first_newest, self._first_monotonic, self._first_wall = newest, monotonic, wall
        self._newest: list[int] = []
        self._seen_at: list[float] = []

    def see(self, newest: int, now: float) -> None:
        """A look found that the journal's last position is `newest`."""
        if newest > (self._newest[-1] if self._newest else self._first_newest):
            self._newest.append(newest)
            self._seen_at.append(now)
        if len(self._newest) > SAMPLES:
            # Of two neighbors the later position stays, with the earlier time: an age is never too small.
            self._newest, self._seen_at = self._newest[1::2], self._seen_at[:-1:2]

    def age(self, position: int, receipt: str, now: float) -> float:
        """Seconds since the entry arrived. Forgets what is known of entries before it."""
        if position <= self._first_newest:
            before = max(0.0, self._first_wall - receipts.seconds(receipt))
            return before + now - self._first_monotonic
        index = bisect_left(self._newest, position)
        del self._newest[:index], self._seen_at[:index]
        return now - self._seen_at[0] if self._seen_at else 0.0
