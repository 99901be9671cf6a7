"""Appends from an event loop."""

from __future__ import annotations

import asyncio
import sqlite3
import time

import structlog

from tenure.entry import Record
from tenure.errors import TenureError
from tenure.journal.writer import Acknowledged, Journal, nothing_known
from tenure.telemetry import JOURNAL_SECONDS

log = structlog.get_logger()

GROUP_REQUESTS = 512
"""Requests committed together at the most."""


class GroupCommit:
    """Appends from an event loop: the requests that are ready together share one commit.

    The commit runs in the loop's own thread. Handing it to another one costs more in waiting for a processor and for
    the interpreter's lock than an fsync takes; and what arrives meanwhile is read by the server's threads and
    shares the next commit.
    """

    def __init__(self, journal: Journal, acknowledged: Acknowledged = nothing_known) -> None:
        self.journal = journal
        self._acknowledged = acknowledged
        self._waiting: list[tuple[tuple[Record, ...], asyncio.Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def append(self, *records: Record) -> None:
        """Returns when all records of a request are on disk. Raises Unavailable as `Journal.append`; none is then."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((records, done))
        if len(self._waiting) == 1:
            loop.call_soon(self.commit)  # after what else is ready now, which may append too
        await done

    def commit(self) -> None:
        """Commit what waits, and tell those who wait."""
        group, self._waiting = self._waiting[:GROUP_REQUESTS], self._waiting[GROUP_REQUESTS:]
        if self._waiting and self._loop is not None:
            self._loop.call_soon(self.commit)
        started = time.perf_counter()
        error: Exception | None = None
        try:
            self.journal.append([record for records, _ in group for record in records])
        except Exception as caught:
            error = caught
            self.replace_abandoned()
        JOURNAL_SECONDS.observe(time.perf_counter() - started)
        for _, done in group:
            if done.done():  # its client has gone; the commit stands all the same
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def replace_abandoned(self) -> None:
        """Go on in another journal when this one is malformed or gone. Until there is one, requests are refused."""
        if self.journal.abandoned is None:
            return
        try:
            self.journal = self.journal.replace(self._acknowledged)
        except (TenureError, sqlite3.Error, OSError) as error:
            log.error("no other journal can be opened; requests are refused", error=str(error))

    def close(self) -> None:
        """Commit what waits still, then close the journal."""
        while self._waiting:
            self.commit()
        self.journal.close()
