"""The names of an app's events, with how many there are and since when, and advice on the names."""

from __future__ import annotations

import msgspec

from tenure.customers.as_of import received_by
from tenure.customers.naming import Advice, Similar, review
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
    advice: list[Advice]


class EventNames(msgspec.Struct):
    """The names of an app's events, the most frequent first, and those that are spellings of one another."""

    items: list[EventName]
    similar: list[Similar]


_SQL = """
SELECT name, sum(events), toUnixTimestamp64Milli(min(first)), toUnixTimestamp64Milli(max(last)),
    arraySort(groupArray((toString(dialect), events)))
FROM (
    SELECT name, dialect, count() AS events, min(occurred_at) AS first, max(occurred_at) AS last
    FROM event FINAL WHERE RECEIVED GROUP BY name, dialect
)
GROUP BY name ORDER BY sum(events) DESC, name LIMIT {limit:UInt32}
"""


def event_names(tenant: Tenant, as_of: int | None = None) -> EventNames:
    """Every name, up to 10,000, of events received by `as_of` (milliseconds since 1970 UTC). Raises Unavailable."""
    received, parameters = received_by(as_of)
    rows = list(tenant.rows(_SQL.replace("RECEIVED", received), parameters | {"limit": MAX_NAMES}))
    reviewed = review({name: dict(by_dialect) for name, *_, by_dialect in rows})
    items = [
        EventName(name, count, rfc3339(first), rfc3339(last), [dialect for dialect, _ in by_dialect],
                  reviewed.advice.get(name, []))
        for name, count, first, last, by_dialect in rows
    ]  # fmt: skip
    return EventNames(items, reviewed.similar)
