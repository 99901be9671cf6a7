"""May this key send one more request now? Exact over all http workers; and when nobody can tell, it may."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import structlog

from tenure.ingest.window import RedisWindows, Windows
from tenure.ingest.window_server import ServedWindows
from tenure.settings import Settings
from tenure.telemetry import RATE_LIMIT_UNCHECKED

log = structlog.get_logger()

MINUTE = 60
PAUSE_SECONDS = 1.0
"""For how long nobody is asked after there was no answer, so that requests do not wait for one each."""
QUIET_SECONDS = 30.0
"""Shortest time between two lines in the log that there is no answer."""


class Limiter:
    """Limits how often a key may send to a dialect. For one event loop."""

    def __init__(self, windows: Windows, seconds: int = MINUTE) -> None:
        self._windows = windows
        self._seconds = seconds
        self._ask_again_at = self._log_again_at = 0.0
        self._unchecked = 0
        self._reason = ""

    async def check(self, key_id: str, dialect: str, per_minute: int) -> int | None:
        """None when one more request of this key may pass, which is then counted.

        Otherwise the whole seconds (at least 1) after which it may, if the key is not used meanwhile. Raises nothing:
        what cannot be checked may pass.
        """
        if time.monotonic() < self._ask_again_at:
            self._unchecked += 1
            return None
        try:
            return await self._windows.ask(f"{key_id}:{dialect}", per_minute, self._seconds) or None
        except OSError as error:
            self._ask_again_at = time.monotonic() + PAUSE_SECONDS
            self._unchecked += 1
            self._reason = str(error) or type(error).__name__
            return None

    def measure(self) -> None:
        """Bring the metric up to date, and say in the log when requests were not checked."""
        unchecked, self._unchecked = self._unchecked, 0
        if not unchecked:
            return
        RATE_LIMIT_UNCHECKED.inc(unchecked)
        if time.monotonic() >= self._log_again_at:
            self._log_again_at = time.monotonic() + QUIET_SECONDS
            log.warning("the rate limiter does not answer; requests pass unchecked", reason=self._reason)


def build(settings: Settings, environ: Mapping[str, str] = os.environ) -> Limiter:
    """The limiter of an http worker: over Redis if there is a URL, otherwise over the supervisor that started us."""
    if settings.rate_limit_url is not None:
        return Limiter(RedisWindows(settings.rate_limit_url.get_secret_value()))
    return Limiter(ServedWindows(int(environ["TENURE_LIMITER_PORT"]), environ["TENURE_LIMITER_SECRET"]))
