"""The wiring, and the only place of it: which parts a process is made of."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

from tenure import logs
from tenure.control.database import connect
from tenure.control.key_use import WRITE_SECONDS
from tenure.control.store import Store
from tenure.ingest import limiter
from tenure.ingest.http import Ingest, Receive, Scope, Send
from tenure.ingest.intake import Intake
from tenure.ingest.keyring import REFRESH_SECONDS, Keyring
from tenure.ingest.memory import Memory
from tenure.ingest.turned_away import Door
from tenure.journal import GroupCommit, Journal
from tenure.live.follower import Follower
from tenure.orphan import exit_with_parent
from tenure.pages import site
from tenure.settings import MEBIBYTE, Settings
from tenure.warehouse.client import Warehouse
from tenure.web import api

log = structlog.get_logger()

PRUNE_SECONDS, PATIENCE_SECONDS = 0.5, 1.0


def http() -> HttpApplication:
    """What each http worker serves; granian calls it in the worker."""
    settings = Settings.load()
    logs.configure(settings, "http")
    exit_with_parent()
    return HttpApplication(settings)


class HttpApplication:
    """One http worker: ingest routes to `Ingest`, pages to the site, all else to the read API. ASGI."""

    def __init__(self, settings: Settings) -> None:
        self._store = Store(connect(settings))
        self._keyring = Keyring(self._store)
        self._limiter = limiter.build(settings)
        directory, limit = settings.journal_directory, settings.journal_max_mb * MEBIBYTE
        self._journal = GroupCommit(Journal.claim(directory, limit))
        self._door = Door(directory, self._journal.journal.slot)
        warehouse = Warehouse(settings)
        self._intake = Intake(self._keyring, self._journal, self._limiter, Memory(warehouse), self._door)
        self._ingest = Ingest(self._intake)
        self._follower = Follower(directory, warehouse, self._store.erasures)
        self._api = api.build(self._intake, self._store, warehouse)
        self._site = site.build(self._intake, self._store, warehouse, self._follower)
        self._chores: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and not await self._ingest.answer(scope, receive, send):
            await (self._site if site.owns(scope["path"]) else self._api)(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._chores = [
            asyncio.create_task(self._every(REFRESH_SECONDS, self._refresh_keys)),
            asyncio.create_task(self._every(PRUNE_SECONDS, self._prune)),
            asyncio.create_task(self._every(PATIENCE_SECONDS, self._give_up)),
            asyncio.create_task(self._every(WRITE_SECONDS, self._write_key_use)),
        ]
        self._end_streams_at_a_stop()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for chore in self._chores:
            chore.cancel()
        self._journal.close()
        await self._attempt(self._write_key_use)
        await send({"type": "lifespan.shutdown.complete"})

    def _end_streams_at_a_stop(self) -> None:
        """Streams have no end by themselves, and the server waits for them. It hears of the signal all the same: a loop
        hears by the wakeup file descriptor, whatever the handler."""
        loop = asyncio.get_running_loop()
        signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self._follower.close))

    async def _refresh_keys(self) -> None:
        await asyncio.to_thread(self._keyring.refresh)

    async def _write_key_use(self) -> None:
        await asyncio.to_thread(self._store.key_use.write)

    async def _give_up(self) -> None:
        self._ingest.bodies.give_up_on_the_slow()

    async def _prune(self) -> None:
        while self._journal.journal.prune():
            await asyncio.sleep(0)  # requests first
        self._journal.journal.scrub()
        self._intake.measure()
        self._limiter.measure()
        self._door.write()

    async def _every(self, seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._attempt(chore)

    @staticmethod
    async def _attempt(chore: Callable[[], Awaitable[None]]) -> None:
        try:
            await chore()
        except Exception:  # a chore that fails is tried again; it must not end the others
            log.exception("chore failed", chore=getattr(chore, "__name__", ""))
