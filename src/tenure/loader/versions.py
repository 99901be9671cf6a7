"""Versions of the rows that the loader makes anew: counts that never go back, whatever the wall clock does.

A version looks like a time in microseconds, since rows of older releases have one. The first one exceeds every version
that the warehouse has, so a row that was made while the wall clock was ahead is replaced by the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from tenure import clock
from tenure.warehouse.client import Warehouse

STEP: Final = 1_000
"""From one version to the next at least. The scores use numbers between: one more than the row that they replace."""

_LATEST = """
SELECT greatest(
    (SELECT max(version) FROM customer),
    (SELECT max(version) FROM ledger),
    (SELECT toUInt64(greatest(0, toUnixTimestamp64Micro(max(changed)))) FROM seen)
)
"""

_LATEST_RECEIPT = """
SELECT greatest(
    (SELECT toUInt64(greatest(0, toUnixTimestamp64Micro(max(received_at)))) FROM event),
    (SELECT toUInt64(greatest(0, toUnixTimestamp64Micro(max(received_at)))) FROM identify)
)
"""


def latest_receipt_time(warehouse: Warehouse) -> int:
    """The latest time of receipt of what the warehouse has, in microseconds; it reads a column of two tables whole.

    What older releases stored is ordered by it. Raises Unavailable and ClickHouseError.
    """
    return int(warehouse.client.query(_LATEST_RECEIPT).result_rows[0][0])


class Versions:
    """The versions of one loader. Safe to share between threads."""

    def __init__(self, warehouse: Warehouse, known: int = 0, wall: Callable[[], int] = clock.wall_us) -> None:
        """`known` is a version that is in use, beside those in the warehouse."""
        self._warehouse = warehouse
        self._wall = wall
        self._last = known
        self._is_first = True
        self._lock = threading.Lock()

    def next(self) -> int:
        """A version that is greater than all before. Raises Unavailable and ClickHouseError until one has been made."""
        with self._lock:
            if self._is_first:
                self._last = max(self._last, int(self._warehouse.client.query(_LATEST).result_rows[0][0]))
                self._is_first = False
            self._last = max(self._last + STEP, self._wall())
            return self._last
