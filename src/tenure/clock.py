"""The hybrid clock: the order in which everything is received, whatever the wall clock does.

A reading is a number of microseconds since 1970 UTC. It equals the wall clock, unless the wall clock shows less than
was read before: then the clock goes on slowly from its last reading until the wall clock has caught up. So readings
never go back, and a wall clock that was ahead and is set right does not reverse the order of what is received.

Use `now` for order alone. What people see is the wall clock as it was. `docs/decisions/0032-clocks.md` lists all uses.

All processes of an installation share a file, `journal/clock`, with a cell for each process. A process writes its own
cell and reads all of them, so it never waits for another one. The file is not synced: after a power cut,
`journal.restore_clock` finds the last reading in what is durable.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

FILE: Final = "clock"
"""The name of the shared file in the directory of the journals."""
SLOWDOWN: Final = 8
"""How many times slower than time itself the clock goes while the wall clock is behind it."""
LONGEST_TICK: Final = 1_000
"""Microseconds between two readings at most while the wall clock is behind: so each has a millisecond of its own where
requests are few, and the wall clock catches up where they are many."""
CELLS: Final = 16
"""Processes that have a cell of their own; more share the last one."""
LATEST: Final = 10_413_792_000_000_000
"""The year 2300 in microseconds: a later reading in the file is damage."""

_CELL = struct.Struct("<Q")
_ALL = struct.Struct(f"<{CELLS}Q")


def tick(last: int, wall: int, elapsed: int) -> int:
    """The reading that follows `last`, where the wall clock shows `wall` and `elapsed` microseconds have passed.

    Always greater than `last`.
    """
    if wall > last:
        return wall
    return last + max(1, min(elapsed // SLOWDOWN, LONGEST_TICK))


def wall_us() -> int:
    """Microseconds since 1970 UTC by the wall clock."""
    return time.time_ns() // 1_000


def uptime_ms() -> int:
    """Milliseconds since the machine started, by a clock that nobody sets and that counts sleep."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@cache
def boot() -> str:
    """The id of this run of the machine: readings of `uptime_ms` under one id can be compared. Empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _steady_us() -> int:
    return time.monotonic_ns() // 1_000


class Cells:
    """The last readings of all processes, in a file. Does nothing harmful when the file cannot be read or written."""

    def __init__(self, directory: Path) -> None:
        """Claim a cell. Raises OSError when the file cannot be opened."""
        self._file = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        missing = _ALL.size - os.fstat(self._file).st_size
        if missing > 0:
            os.pwrite(self._file, bytes(missing), _ALL.size - missing)
        self._offset = self._claim() * _CELL.size
        self._works = True

    def latest(self) -> int:
        """The greatest reading of any process; 0 when it is not known."""
        try:
            found = _ALL.unpack(os.pread(self._file, _ALL.size, 0))
        except (OSError, struct.error) as error:
            self._complain(error)
            return 0
        latest = max(found)
        return latest if latest < LATEST else max((reading for reading in found if reading < LATEST), default=0)

    def write(self, reading: int) -> None:
        """Tell the other processes."""
        try:
            os.pwrite(self._file, _CELL.pack(reading), self._offset)
        except OSError as error:
            self._complain(error)
            return
        self._works = True

    def close(self) -> None:
        """Give the cell free; its reading stays."""
        os.close(self._file)

    def _claim(self) -> int:
        """The first cell that no live process has; its lock ends with the process."""
        for cell in range(CELLS - 1):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, _CELL.size, cell * _CELL.size)
            except OSError:
                continue
            return cell
        return CELLS - 1

    def _complain(self, error: Exception) -> None:
        if self._works:
            log.warning("the file of the hybrid clock cannot be used", error=str(error))
        self._works = False


class HybridClock:
    """One process's view of the clock. Safe to share between threads."""

    def __init__(self, wall: Callable[[], int] = wall_us, steady: Callable[[], int] = _steady_us) -> None:
        """`wall` and `steady` read the wall clock and a monotonic clock, in microseconds."""
        self._wall = wall
        self._steady = steady
        self._cells: Cells | None = None
        self._last = 0
        self._read_at = steady()
        self._lock = threading.Lock()

    def share(self, directory: Path) -> None:
        """Share readings with the other processes of the installation from now on. Raises OSError."""
        with self._lock:
            before, self._cells = self._cells, None
            if before is not None:
                before.close()
            self._cells = Cells(directory)

    def now(self) -> int:
        """A reading that is greater than every earlier one of any process that shares the clock."""
        with self._lock:
            steady, cells = self._steady(), self._cells
            last = self._last if cells is None else max(self._last, cells.latest())
            self._last = tick(last, self._wall(), steady - self._read_at)
            self._read_at = steady
            if cells is not None:
                cells.write(self._last)
            return self._last

    def current(self) -> int:
        """A reading that is not less than an earlier one of this process. Cheaper than `now`, and takes no turn."""
        return max(self._last, self._wall())

    def observe(self, reading: int) -> None:
        """Return only greater readings than this one from now on, as do the processes that share the clock."""
        with self._lock:
            if self._last < reading < LATEST:
                self._last = reading
                if self._cells is not None:
                    self._cells.write(reading)


_clock = HybridClock()

now = _clock.now
current = _clock.current
observe = _clock.observe
share = _clock.share
