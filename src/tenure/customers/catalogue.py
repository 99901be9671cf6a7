"""The names of an app's events, with how many there are and since when."""

from __future__ import annotations

from typing import Any

import msgspec

from tenure.warehouse.client import Tenant
from tenure.wire.times import rfc3339

MAX_NAMES = 10_000


class EventName(msgspec.Struct):
    """One name of events. `count` counts each event once, however often it was received."""

    name: str
    count: int
    first_seen: str
    last_seen: str
    dialects: list[str]


_SQL = """
SELECT name, count(), toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at)),
    arraySort(groupUniqArray(dialect))
FROM event FINAL GROUP BY name ORDER BY count() DESC, name LIMIT {limit:UInt32}
"""


def event_names(tenant: Tenant) -> list[EventName]:
    """Every name, the most frequent first. Raises Unavailable."""
    return [_name(*row) for row in tenant.rows(_SQL, {"limit": MAX_NAMES})]


def _name(name: str, count: int, first: int, last: int, dialects: Any) -> EventName:
    return EventName(name, count, rfc3339(first), rfc3339(last), list(dialects))
