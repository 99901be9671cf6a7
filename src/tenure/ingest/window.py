"""How often a key was used lately: a moving window for each key, in memory or in Redis (by the library `limits`).

A question is a key, how many uses it has, and in how many seconds. The answer 0 means that there was one left, and that
it is counted now; any other number is after how many seconds to try again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Any, Protocol

PATIENCE_SECONDS = 2.0
"""How long an answer may take: a sender waits for it."""
REDIS_CONNECTIONS = 32
"""Most connections of one http worker."""


class Windows(Protocol):
    """Something that counts uses for an http worker."""

    async def ask(self, key: str, limit: int, seconds: int) -> int:
        """0 when `key` was used less than `limit` times in the last `seconds`, and this use is counted.

        Otherwise the whole seconds until that will be so. Raises OSError (TimeoutError included) without an answer.
        """
        ...


class MemoryWindows:
    """Counts in this process, by a clock that nobody sets. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._clock = clock
        self._uses: dict[str, deque[float]] = {}
        self._until: dict[str, float] = {}
        """When the last use of a key has left its window."""

    def use(self, key: str, limit: int, seconds: int) -> int:
        """See `Windows.ask`."""
        now = self._clock()
        uses = self._uses.setdefault(key, deque())
        while uses and uses[0] <= now - seconds:
            uses.popleft()
        if len(uses) >= limit:
            return min(seconds, max(1, ceil(uses[-limit] + seconds - now)))
        uses.append(now)
        self._until[key] = now + seconds
        return 0

    def sweep(self) -> None:
        """Forget the keys that have no uses left."""
        now = self._clock()
        for key in [key for key in self._uses if self._until.get(key, now) <= now]:
            del self._uses[key]
            self._until.pop(key, None)

    def __len__(self) -> int:
        return len(self._uses)


class RedisWindows:
    """Windows in Redis, shared by every node that is given its URL. The nodes' clocks should agree."""

    def __init__(self, url: str) -> None:
        from limits.aio.strategies import MovingWindowRateLimiter
        from limits.storage import storage_from_string
        from redis.asyncio import BlockingConnectionPool
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=REDIS_CONNECTIONS,
            timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 1),  # once, for a connection that Redis has closed meanwhile
        )
        storage = storage_from_string(
            f"async+{url}", implementation="redispy", wrap_exceptions=True, connection_pool=pool
        )
        self._windows = MovingWindowRateLimiter(storage)

    async def ask(self, key: str, limit: int, seconds: int) -> int:
        """See `Windows.ask`."""
        from limits import RateLimitItemPerSecond
        from limits.errors import StorageError

        item = RateLimitItemPerSecond(limit, seconds)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if await self._windows.hit(item, key):
                    return 0
                return _wait(*await self._windows.get_window_stats(item, key), seconds)
        except StorageError as error:
            raise ConnectionError(type(error.storage_error).__name__) from error


def _wait(reset_at: float, remaining: int, seconds: int) -> int:
    """Whole seconds until the oldest use has left the window, which lets the next one in: never less than it takes.

    Redis rounds times to 0.1 ms, and a use leaves the window only after its last moment. Uses that were counted while
    this node's clock was ahead are no reason to wait longer than the window: Redis forgets them then by its own clock.
    """
    if remaining > 0:  # it has left since the question
        return 1
    return min(seconds, max(1, int(reset_at - time.time() + 0.0001) + 1))
