"""What was received before, as far as it can be told while a client waits for its answer.

Whether an event is a duplicate is settled when it is loaded, and its receipt tells. A client that asks at once is
told what is known by then: from what this process took a moment ago, and from the warehouse, if it answers in time.
When it does not, or when another process took the first copy within the last second, the answer is that the event
waits to be stored, which is true of every event that is durable on disk.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from tenure.entry import Entry
from tenure.errors import Unavailable
from tenure.identity import Names, content_hash, event_names
from tenure.warehouse.client import Warehouse
from tenure.warehouse.first_copies import NOTHING_KNOWN, Known, look_up

log = structlog.get_logger()

REMEMBERED: Final = 50_000
"""Events of this process that are remembered: about 10 MB; more than wait to be loaded, save in a backlog."""
PATIENCE_SECONDS: Final = 0.25
"""How long an answer waits for the warehouse."""
PAUSE_SECONDS: Final = 5.0
"""How long the warehouse is not asked again when it did not answer."""
QUESTIONS: Final = 4
"""Requests that may wait for the warehouse at a time."""

DUPLICATE, CONFLICT = "duplicate", "conflict"


class _Described(NamedTuple):
    """An event that can be recognised."""

    position: int
    names: Names
    content: bytes


class Memory:
    """Knows events by their id and the hash of their content."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._recent: OrderedDict[bytes, bytes] = OrderedDict()
        self._asking = 0
        self._not_before = 0.0

    async def known(self, entry: Entry) -> dict[int, str]:
        """By index: `duplicate` or `conflict`, for the events of a request that were received before."""
        described = sorted(self._described(entry), key=lambda one: not one.names.trusted)  # whom the others give way to
        unknown = [one.names for one in described if one.names.own not in self._recent]
        found = await self._in_warehouse(entry.app, unknown)
        contents = {event_id: copy.content for event_id, copy in found.copies.items() if copy.counts}
        known: dict[int, str] = {}
        for position, names, content in described:
            own, rival = found.id_of(names), found.rival_of(names)
            first = None if names.trusted else contents.get(rival, self._recent.get(rival))
            first = first or contents.get(own, self._recent.get(own))
            if first is None:
                contents[own] = content
            else:
                known[position] = DUPLICATE if first == content else CONFLICT
        return known

    def remember(self, entry: Entry) -> None:
        """Take note of a request that is durable on disk."""
        for _, names, content in self._described(entry):
            self._recent.setdefault(names.own, content)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def _described(self, entry: Entry) -> list[_Described]:
        """The events that can be recognised: those whose id is not their receipt's."""
        app, dialect, key = entry.app, entry.dialect, entry.idempotency_key
        return [
            _Described(event.index, names, content_hash(app, dialect, event))
            for event, names in zip(entry.events, event_names(entry), strict=True)
            if event.message_id is not None or key is not None or event.precise
        ]

    async def _in_warehouse(self, app: str, named: Sequence[Names]) -> Known:
        """What the warehouse knows of some events; nothing when it does not answer in time."""
        if not named or self._asking >= QUESTIONS or time.monotonic() < self._not_before:
            return NOTHING_KNOWN
        self._asking += 1
        question = asyncio.get_running_loop().run_in_executor(None, self._ask, app, named)
        question.add_done_callback(self._answered)
        done, _ = await asyncio.wait([question], timeout=PATIENCE_SECONDS)
        return question.result() if done and question.exception() is None else NOTHING_KNOWN

    def _ask(self, app: str, named: Sequence[Names]) -> Known:
        tenant = self._warehouse.tenant(app)
        return look_up(lambda sql, sent: tenant.rows(sql, external=sent), named)

    def _answered(self, question: asyncio.Future[Known]) -> None:
        self._asking -= 1
        error = question.exception()
        if error is None:
            return
        self._not_before = time.monotonic() + PAUSE_SECONDS
        if not isinstance(error, Unavailable):
            log.error("cannot tell what is known", error=str(error))
