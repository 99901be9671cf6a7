"""Time, in one place so that tests can replace it."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """The real clock; all in seconds."""

    def time(self) -> float:
        """Since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Since some moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Wait, and let other tasks run."""
        await asyncio.sleep(seconds)
