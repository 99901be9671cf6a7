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
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from clickhouse_connect.driver.external import ExternalData

from tenure.entry import Entry
from tenure.errors import Unavailable
from tenure.identity import content_hash, event_ids
from tenure.warehouse.client import Warehouse

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

_FIRST_COPIES = """
SELECT event_id, content FROM first_copy WHERE event_id IN (SELECT event_id FROM ids)
ORDER BY precedence DESC LIMIT 1 BY event_id
"""


class Memory:
    """Knows events by their id and the hash of their content."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._recent: OrderedDict[bytes, bytes] = OrderedDict()
        self._asking = 0
        self._not_before = 0.0

    async def known(self, entry: Entry) -> dict[int, str]:
        """By index: `duplicate` or `conflict`, for the events of a request that were received before."""
        described = self._described(entry)
        contents = {event_id: self._recent[event_id] for _, event_id, _ in described if event_id in self._recent}
        unknown = [event_id for _, event_id, _ in described if event_id not in contents]
        contents |= await self._in_warehouse(entry.app, unknown)
        known: dict[int, str] = {}
        for index, event_id, content in described:
            first = contents.setdefault(event_id, content)
            if first is not content:
                known[index] = DUPLICATE if first == content else CONFLICT
        return known

    def remember(self, entry: Entry) -> None:
        """Take note of a request that is durable on disk."""
        for _, event_id, content in self._described(entry):
            self._recent.setdefault(event_id, content)
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def _described(self, entry: Entry) -> list[tuple[int, bytes, bytes]]:
        """(index, id, content) of the events that can be recognised: those whose id is not their receipt's."""
        app, dialect, key = entry.app, entry.dialect, entry.idempotency_key
        ids = event_ids(app, dialect, entry.events, entry.receipt, key)
        return [
            (event.index, event_id, content_hash(app, dialect, event))
            for event, event_id in zip(entry.events, ids, strict=True)
            if event.message_id is not None or key is not None or event.precise
        ]

    async def _in_warehouse(self, app: str, ids: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Contents by id; empty when the warehouse does not answer in time."""
        if not ids or self._asking >= QUESTIONS or time.monotonic() < self._not_before:
            return {}
        self._asking += 1
        question = asyncio.get_running_loop().run_in_executor(None, self._ask, app, ids)
        question.add_done_callback(self._answered)
        done, _ = await asyncio.wait([question], timeout=PATIENCE_SECONDS)
        return question.result() if done and question.exception() is None else {}

    def _ask(self, app: str, ids: Sequence[bytes]) -> Mapping[bytes, bytes]:
        sent = ExternalData(file_name="ids", data=b"".join(ids), fmt="RowBinary", structure="event_id FixedString(16)")
        rows = self._warehouse.tenant(app).rows(_FIRST_COPIES, external=sent)
        return {bytes(event_id): bytes(content) for event_id, content in rows}

    def _answered(self, question: asyncio.Future[Mapping[bytes, bytes]]) -> None:
        self._asking -= 1
        error = question.exception()
        if error is None:
            return
        self._not_before = time.monotonic() + PAUSE_SECONDS
        if not isinstance(error, Unavailable):
            log.error("cannot tell what is known", error=str(error))
