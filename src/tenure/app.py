"""The wiring, and the only place of it: which parts an http worker is made of.

The ingest routes answer first. The read API and the pages take most of a second to import, so a thread builds them
soon after the worker accepts connections; requests for them wait until then.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Awaitable, Callable

import structlog

from tenure.control.database import connect
from tenure.control.key_use import WRITE_SECONDS
from tenure.control.store import Store
from tenure.errors import Unavailable
from tenure.ingest import limiter
from tenure.ingest.http import Ingest, Receive, Scope, Send
from tenure.ingest.intake import Intake
from tenure.ingest.keyring import REFRESH_SECONDS, Keyring
from tenure.ingest.memory import Memory
from tenure.ingest.skew import COMPARE_SECONDS, ClockWatch
from tenure.ingest.turned_away import Door
from tenure.journal import GroupCommit, Journal, restore_clock
from tenure.journal.node import node_of
from tenure.live.follower import Follower
from tenure.readiness import answer_early
from tenure.settings import MEBIBYTE, Settings
from tenure.unforeseen import Started, answer_unforeseen
from tenure.warehouse.client import Warehouse
from tenure.watch import LOOK_SECONDS, Watch

log = structlog.get_logger()

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PRUNE_SECONDS, COUNT_SECONDS, PATIENCE_SECONDS = 0.5, 0.8, 1.0
READING_SECONDS = 0.25
"""How long the read API waits to be built while nobody asks for it: the events that waited for this worker go first."""


def without_leading_slashes(scope: Scope) -> Scope:
    """The request with one slash at the start of its path: a client's base URL may end with one."""
    if not scope["path"].startswith("//") or not scope["path"].strip("/"):
        return scope
    path, raw = scope["path"].lstrip("/"), scope.get("raw_path", b"").lstrip(b"/")
    return {**scope, "path": f"/{path}", "raw_path": b"/" + raw}


class HttpApplication:
    """One http worker: ingest routes to `Ingest`, all else to the pages and the read API. ASGI.

    `ready` is called when it can take events.
    """

    def __init__(self, settings: Settings, ready: Callable[[], None] = lambda: None) -> None:
        self._store = Store(connect(settings))
        self._keyring = Keyring(self._store)
        self._limiter = limiter.build(settings)
        directory, limit = settings.journal_directory, settings.journal_max_mb * MEBIBYTE
        known = self._store.received.position
        self._journal = GroupCommit(Journal.claim(directory, limit, known), known)
        restore_clock(directory, self._store.erasures.last_ordered_at())
        self._door = Door(directory, self._journal.journal.slot)
        self._warehouse = Warehouse(settings)
        self._intake = Intake(self._keyring, self._journal, self._limiter, Memory(self._warehouse), self._door)
        self._ingest = Ingest(self._intake)
        self._follower = Follower(directory, self._warehouse, self._store.erasures)
        self._watch = Watch(settings, self._journal, self._store.incidents)
        self._clock_watch = ClockWatch(self._intake.skew, self._store.incidents)
        self._node = node_of(directory)
        self._ready = ready
        self._reading: asyncio.Future[Application] | None = None
        self._chores: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            scope = without_leading_slashes(scope)
            if not await self._ingest.answer(scope, receive, send):
                await self._answer_reader(scope, receive, send)

    async def _answer_reader(self, scope: Scope, receive: Receive, send: Send) -> None:
        built = self._reading is not None and self._reading.done()
        if not built and await answer_early(scope, send, self._intake, self._watch):
            return
        answer = Started(send)
        try:
            reading = await asyncio.shield(self._reading_side())  # shielded: other requests wait for the same one
            await reading(scope, receive, answer)
        except Exception:  # logged here alone, and once: the frameworks within answer it, and raise it again
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if not answer.started:
                await answer_unforeseen(send)

    def _reading_side(self) -> asyncio.Future[Application]:
        """The read API and the pages. Building them begins at the first call, and again after a failure."""
        if self._reading is None or (self._reading.done() and self._reading.exception() is not None):
            self._reading = asyncio.get_running_loop().run_in_executor(None, self._build_reading_side)
        return self._reading

    def _build_reading_side(self) -> Application:
        from tenure.pages import site
        from tenure.web import api

        pages = site.build(self._intake, self._store, self._warehouse, self._follower)
        read_api = api.build(self._intake, self._store, self._warehouse, self._watch)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await (pages if site.owns(scope["path"]) else read_api)(scope, receive, send)

        return answer

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._chores = [
            asyncio.create_task(self._every(REFRESH_SECONDS, self._refresh_keys)),
            asyncio.create_task(self._every(PRUNE_SECONDS, self._prune)),
            asyncio.create_task(self._every(COUNT_SECONDS, self._write_counts)),
            asyncio.create_task(self._every(PATIENCE_SECONDS, self._give_up)),
            asyncio.create_task(self._every(WRITE_SECONDS, self._write_key_use)),
            asyncio.create_task(self._every(LOOK_SECONDS, self._watch.look)),
            asyncio.create_task(self._every(COMPARE_SECONDS, self._compare_clocks)),
        ]
        self._end_streams_at_a_stop()
        await send({"type": "lifespan.startup.complete"})
        self._ready()
        asyncio.get_running_loop().call_later(READING_SECONDS, self._reading_side)
        await receive()
        for chore in self._chores:
            chore.cancel()
        await self._attempt(self._write_counts)
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

    async def _compare_clocks(self) -> None:
        await asyncio.to_thread(self._clock_watch.look)

    async def _write_key_use(self) -> None:
        await asyncio.to_thread(self._store.key_use.write)

    async def _write_counts(self) -> None:
        """Let others know what this journal acknowledged, so that it is known should the journal be lost."""
        journal = self._journal.journal
        changes = journal.changes()
        if changes is None:
            return
        try:
            await asyncio.to_thread(self._store.received.write, changes, self._node)
        except BaseException:
            journal.keep_changes(changes)
            raise

    async def _give_up(self) -> None:
        self._ingest.bodies.give_up_on_the_slow()

    async def _prune(self) -> None:
        if self._journal.journal.look() is not None:
            self._journal.replace_abandoned()
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
        except Unavailable as error:
            log.warning("chore failed", chore=getattr(chore, "__name__", ""), error=error.message)
        except (OSError, sqlite3.Error) as error:
            log.warning("chore failed", chore=getattr(chore, "__name__", ""), error=str(error))
        except Exception:  # a chore that fails is tried again; it must not end the others
            log.exception("chore failed", chore=getattr(chore, "__name__", ""))
