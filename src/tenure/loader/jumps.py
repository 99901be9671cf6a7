"""Tells when the wall clock was set back, by comparing it with a monotonic clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tenure import clock

TOLERANCE_US: Final = 60_000_000
"""Microseconds by which the wall clock may be set back without being noticed: so little changes no answer for long."""


class Jumps:
    """Looks at the wall clock from time to time. For one thread."""

    def __init__(
        self,
        shown: int = 0,
        wall: Callable[[], int] = clock.wall_us,
        uptime: Callable[[], int] = clock.uptime_ms,
    ) -> None:
        """`shown`: what the wall clock showed earlier, perhaps before a restart, in microseconds."""
        self._wall, self._uptime = wall, uptime
        self._due = shown
        """What the wall clock showed at the last look."""
        self._looked_at: int | None = None
        """The uptime at the last look; None before the first."""

    def went_back(self) -> bool:
        """Whether the wall clock shows less than it should since the last look."""
        wall, uptime = self._wall(), self._uptime()
        passed = 0 if self._looked_at is None else (uptime - self._looked_at) * 1_000
        due = self._due + passed
        self._due, self._looked_at = wall, uptime
        return wall < due - TOLERANCE_US
