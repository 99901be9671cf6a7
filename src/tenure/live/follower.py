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
from tenure.identity import Names, content_hash, event_names
from tenure.ingest.turned_away import Reason, TurnedAway, turned_away
from tenure.live import loaded
from tenure.live.erased import without_erased
from tenure.live.pending import Tail
from tenure.live.recent import LATE
from tenure.live.request import First, Request, request_of
from tenure.warehouse.client import Warehouse
from tenure.warehouse.first_copies import NOTHING_KNOWN, Known, Standing, look_up

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
        self._noted: dict[str, dict[Reason, int]] = {}
        """By app: how often each reason had been noted at the last look."""
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
        now = time.time_ns() // 1_000
        since, self._looked_at = min(self._looked_at, now), now
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
        tenant, known = self._warehouse.tenant(app), NOTHING_KNOWN
        unknown = [names for entry in entries for names in event_names(entry) if names.own not in self._first]
        with suppress(TenureError):  # what is a duplicate then shows as accepted, which it is, too
            known = look_up(lambda sql, sent: tenant.rows(sql, external=sent), unknown)
            kept = (Standing(event_id, copy) for event_id, copy in known.copies.items() if copy.counts)
            self._first |= {one.event_id: loaded.first_of(one) for one in kept}
        made = []
        for entry in entries:
            content = partial(content_hash, app, entry.dialect)
            for event, names in zip(entry.events, event_names(entry), strict=True):
                self._first.setdefault(known.id_of(names), _first(entry, event, content(event)))
            made.append(request_of(entry, partial(self._first_of, known), content=content))
        _trim(self._first)
        return made

    def _first_of(self, known: Known, names: Names) -> First | None:
        """The copy that counts: a verified one before one that is not."""
        believed = None if names.trusted else self._first.get(known.rival_of(names))
        return believed or self._first.get(known.id_of(names))

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
        before, now = self._noted.get(app), {one.reason: one.count for one in noted}
        self._noted[app] = now
        return [] if before is None else [one for one in reversed(noted) if one.count > before.get(one.reason, 0)]


def _first(entry: Entry, event: Event, content: bytes) -> First:
    return First(entry.receipt, event.index, content, is_loaded=False)


def _trim(remembered: OrderedDict[bytes, First] | OrderedDict[str, None]) -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
