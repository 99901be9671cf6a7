"""What an http worker measures of the whole installation: for `/metrics`, `/readyz` and the pages.

It looks at files only, in a thread of its own, so that it answers while the loader or the warehouse hangs.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

import structlog
from prometheus_client.core import Metric

from tenure.backlog import Backlog, Waiting
from tenure.control.incidents import Incident, Incidents, Kind, count_by_kind
from tenure.deep_result import DeepResult
from tenure.free_space import Disk, guards
from tenure.journal import GroupCommit, used_bytes
from tenure.settings import Settings
from tenure.telemetry import (
    DEEP_CHECK_AGE_SECONDS,
    DEEP_CHECK_FOUND,
    FREE_BYTES,
    INCIDENTS,
    JOURNAL_BYTES,
    LOAD_LAG_SECONDS,
    MIN_FREE_BYTES,
    PENDING_BYTES,
    PENDING_REQUESTS,
    exposition,
)

log = structlog.get_logger()

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
REMEDY: Final = "Free some space."
PATIENCE_SECONDS: Final = 1.0
"""How long to wait for the control database."""


class Watch:
    """Measures the installation of one data directory, for one http worker and its journal."""

    def __init__(self, settings: Settings, group: GroupCommit, incidents: Incidents) -> None:
        self._directory = settings.journal_directory
        self._group = group
        self._incidents = incidents
        self._backlog = Backlog(settings.journal_directory)
        self._guards = guards(settings)
        self._low_since: dict[Disk, int] = {}
        self._thread = ThreadPoolExecutor(1, "watch")

    @property
    def waiting(self) -> Waiting:
        """What waits to be loaded, as it was at most about a second ago."""
        return self._backlog.last

    @property
    def loading_stopped(self) -> str | None:
        """Why the loader does not load, if that is on purpose."""
        low = [guard.reason for guard in self._guards if guard.is_low and guard.disk is Disk.WAREHOUSE]
        return low[0] if low else None

    async def look(self) -> None:
        """Measure what changes all the time. Call it every `LOOK_SECONDS`."""
        await self._run(self._look_at_disks)
        await self._run(self._backlog.look)

    def _look_at_disks(self) -> None:
        low = [guard for guard in self._guards if guard.look()]
        now = time.time_ns() // 1_000_000
        self._low_since = {guard.disk: self._low_since.get(guard.disk, now) for guard in low}
        self._incidents.observed = [
            Incident(kind=Kind.FREE_SPACE, place=guard.disk, text=f"{guard.reason} {REMEDY}", since=since)
            for guard, since in zip(low, self._low_since.values(), strict=True)
        ]
        refusing = [guard.reason for guard in low if guard.disk is Disk.JOURNAL]
        self._group.journal.disk_full = refusing[0] if refusing else None

    async def incidents(self) -> list[Incident]:
        """Open incidents; the last known when the control database does not answer in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.to_thread(self._incidents.current)
        return self._incidents.known

    async def metrics(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        counts = count_by_kind(await self.incidents())
        incidents = INCIDENTS.metric({(kind,): count for kind, count in counts.items()})
        return await self._run(
            lambda: exposition([incidents, *self._disk_metrics(), *self._backlog_metrics(), *self._check_metrics()])
        )

    def _disk_metrics(self) -> list[Metric]:
        for guard in self._guards:
            guard.look()
        return [
            FREE_BYTES.metric({(guard.disk,): guard.space.free for guard in self._guards}),
            MIN_FREE_BYTES.metric({(guard.disk,): guard.space.limit for guard in self._guards}),
        ]

    def _check_metrics(self) -> list[Metric]:
        last = DeepResult.read(self._directory.parent)
        if last is None:
            return []
        return [
            DEEP_CHECK_AGE_SECONDS.metric({(): time.time() - last.ended_at / 1_000}),
            DEEP_CHECK_FOUND.metric({(): len(last.damaged) + len(last.differences)}),
        ]

    def _backlog_metrics(self) -> list[Metric]:
        """What is measured for this answer; what cannot be measured is left out, rather than shown as it was."""
        try:
            waiting, used = self._backlog.look(), used_bytes(self._directory)
        except (sqlite3.Error, OSError) as error:
            log.warning("journals cannot be measured", error=type(error).__name__)
            return []
        return [
            LOAD_LAG_SECONDS.metric({(): waiting.lag_seconds}),
            PENDING_REQUESTS.metric({(): waiting.requests}),
            PENDING_BYTES.metric({(): waiting.bytes}),
            JOURNAL_BYTES.metric({(slot,): size for slot, size in used.items()}),
        ]

    async def _run(self, measure: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, measure)
