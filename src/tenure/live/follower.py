"""Tells everybody who watches an app in one process what comes in: one look at the journals serves all of them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from tenure.control.erasures import Erasures
from tenure.entry import Entry
from tenure.errors import TenureError
from tenure.event import Event
from tenure.identity import content_hash, event_ids
from tenure.ingest.turned_away import TurnedAway, turned_away
from tenure.live import loaded
from tenure.live.erased import without_erased
from tenure.live.pending import Tail
from tenure.live.recent import LATE
from tenure.live.request import First, Request, request_of
from tenure.warehouse.client import Warehouse

log = structlog.get_logger()

LOOK_SECONDS: Final = 0.3
REMEMBERED: Final = 20_000
"""Events, and requests, that are remembered, to know a duplicate before the first copy is loaded."""


class Missed(NamedTuple):
    """So many requests, of any app, came too fast to be shown."""

    requests: int


Seen = Request | TurnedAway | Missed


class Subscription:
    """One who watches an app. What is not taken in time is dropped, and counted."""

    WAITING: Final = 100
    """Looks that may wait for a slow reader."""

    def __init__(self, app: str) -> None:
        self.app = app
        self._waiting: asyncio.Queue[list[Seen] | None] = asyncio.Queue(self.WAITING)

    def put(self, seen: list[Seen] | None) -> None:
        """Tell; None: there will be no more."""
        if self._waiting.full():
            dropped = self._waiting.get_nowait() or []
            if seen is not None:
                seen = [Missed(len(dropped)), *seen]
        self._waiting.put_nowait(seen)

    async def get(self, seconds: float) -> list[Seen] | None:
        """What was seen, in time; empty when nothing was for so long, None at the end."""
        try:
            async with asyncio.timeout(seconds):
                return await self._waiting.get()
        except TimeoutError:
            return []


class Follower:
    """Follows the journals while somebody watches. For one event loop; what takes time runs in threads."""

    def __init__(self, directory: Path, warehouse: Warehouse, erasures: Erasures) -> None:
        self._directory = directory
        self._erasures = erasures
        self._warehouse = warehouse
        self._watching: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._first: OrderedDict[bytes, First] = OrderedDict()
        self._shown: OrderedDict[str, None] = OrderedDict()
        self._noted: dict[str, int] = {}
        self._looked_at = 0

    @asynccontextmanager
    async def watch(self, app: str) -> AsyncIterator[Subscription]:
        """Watch an app."""
        subscription = Subscription(app)
        self._watching.add(subscription)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        try:
            yield subscription
        finally:
            self._watching.discard(subscription)

    def close(self) -> None:
        """Tell all who watch that there is no more."""
        for subscription in self._watching:
            subscription.put(None)

    async def _follow(self) -> None:
        tail = await asyncio.to_thread(Tail, self._directory)
        self._looked_at, self._noted = time.time_ns() // 1_000, {}
        try:
            while self._watching:
                apps = {subscription.app for subscription in self._watching}
                try:
                    seen = await asyncio.to_thread(self._look, tail, apps)
                except Exception:  # the next look may be better; nobody is to be left without one
                    log.exception("cannot see what comes in")
                    seen = {}
                for subscription in list(self._watching):
                    if found := seen.get(subscription.app):
                        subscription.put(found)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            tail.close()

    def _look(self, tail: Tail, apps: Collection[str]) -> dict[str, list[Seen]]:
        since, self._looked_at = self._looked_at, time.time_ns() // 1_000
        news = tail.read(apps)
        of_app: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in without_erased(news.entries, self._erasures):
            of_app[entry.app].append(entry)
        seen: dict[str, list[Seen]] = {}
        for app in apps:
            found: list[Seen] = [*self._new(self._requests(app, of_app[app]))]
            if news.missed:
                caught = [*self._new(self._caught_up(app, since))]
                found += [*caught, Missed(max(0, news.missed - len(caught)))]
            seen[app] = [*found, *self._turned_away(app)]
        return seen

    def _requests(self, app: str, entries: list[Entry]) -> list[Request]:
        if not entries:
            return []
        unknown = [event_id for entry in entries for event_id in _ids(entry) if event_id not in self._first]
        with suppress(TenureError):  # what is a duplicate then shows as accepted, which it is, too
            self._first |= loaded.first_copies(self._warehouse.tenant(app), unknown)
        made = []
        for entry in entries:
            content = partial(content_hash, app, entry.dialect)
            for event, event_id in zip(entry.events, _ids(entry), strict=True):
                self._first.setdefault(event_id, _first(entry, event, content(event)))
            made.append(request_of(entry, self._first.get, content=content))
        _trim(self._first)
        return made

    def _caught_up(self, app: str, since: int) -> list[Request]:
        """What was loaded and pruned before it could be seen in a journal."""
        try:
            latest = loaded.latest(self._warehouse.tenant(app))
        except TenureError:
            return []
        return [request for request in reversed(latest) if request.received_at >= since - LATE]

    def _new(self, requests: Iterable[Request]) -> Iterable[Request]:
        for request in requests:
            if request.receipt not in self._shown:
                self._shown[request.receipt] = None
                yield request
        _trim(self._shown)

    def _turned_away(self, app: str) -> list[TurnedAway]:
        noted = turned_away(self._directory, app)
        before = self._noted.setdefault(app, max((one.last for one in noted), default=0))
        self._noted[app] = max((before, *(one.last for one in noted)))
        return [one for one in reversed(noted) if one.last > before]


def _ids(entry: Entry) -> list[bytes]:
    return event_ids(entry.app, entry.dialect, entry.events, entry.receipt, entry.idempotency_key)


def _first(entry: Entry, event: Event, content: bytes) -> First:
    return First(entry.receipt, event.index, content, is_loaded=False)


def _trim(remembered: OrderedDict[bytes, First] | OrderedDict[str, None]) -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
