"""One event: how often it came over time, the customers who did it, and examples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from tenure.customers.catalogue import EPOCH, EventName, event_names
from tenure.customers.timeline import COLUMNS, Item, item
from tenure.errors import NotFound
from tenure.loader.profile import CustomerItem
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS, rfc3339

MAX_DAYS: Final = 1_100
"""Three years."""
EXAMPLES: Final = 5
SENDERS: Final = 100
"""Rows of senders that are looked at for them."""
DOERS: Final = 10


class Volumes(msgspec.Struct):
    """Events on each day (UTC), oldest first; the last is today. `by_dialect` adds up to `counts`."""

    since: date
    counts: list[int]
    by_dialect: dict[str, list[int]]


class Doer(msgspec.Struct):
    """A customer who did it: how often, and when last."""

    customer: CustomerItem
    count: int
    last: str


class Doers(msgspec.Struct):
    """How many customers did it, and the ten who did it last."""

    count: int
    latest: list[Doer]


_VOLUMES = """
SELECT toString(dialect) AS source, toInt32(day) AS at, sum(events) AS of_day FROM volume
WHERE name = {name:String} AND day >= toDate32({since:Int32}) AND day <= toDate32({today:Int32})
GROUP BY source, at HAVING of_day > 0
"""
_COUNT = "SELECT count() FROM customer FINAL WHERE NOT deleted AND has(names, {name:String})"
_LATEST = """
SELECT customer, counts[place], toInt64(lasts[place]) * 1000 AS at
FROM (SELECT customer, counts, lasts, indexOf(names, {name:String}) AS place FROM customer FINAL WHERE NOT deleted)
WHERE place > 0 ORDER BY at DESC, customer LIMIT {limit:UInt32}
"""
_SHOWN = "SELECT customer, shown FROM customer FINAL WHERE customer IN {customers:Array(FixedString(16))}"
# A key may have several rows until they are merged.
_SENDERS = """
SELECT customer_key, toUnixTimestamp64Milli(last) FROM seen WHERE name = {name:String}
ORDER BY last DESC, customer_key LIMIT {limit:UInt32}
"""
_EXAMPLES = f"""
SELECT {COLUMNS} FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND name = {{name:String}}
AND occurred_at >= fromUnixTimestamp64Milli({{since:Int64}})
ORDER BY event.occurred_at DESC, event_id DESC LIMIT {{limit:UInt32}}
"""  # noqa: S608 - columns of ours, every value is bound


def find_event(tenant: Tenant, name: str) -> EventName:
    """What the catalogue says of a name. Raises NotFound and Unavailable."""
    items = event_names(tenant, only=name).items
    if not items:
        raise NotFound("this app has no event of that name", code="unknown_event")
    return items[0]


def volumes(tenant: Tenant, name: str, days: int) -> Volumes:
    """The last so many days, today included. Raises Unavailable."""
    today = time.time_ns() // 1_000_000 // DAY_MS
    since = today - days + 1
    by_dialect: dict[str, list[int]] = {}
    for dialect, day, count in tenant.rows(_VOLUMES, {"name": name, "since": since, "today": today}):
        by_dialect.setdefault(dialect, [0] * days)[day - since] = count
    counts = [sum(of_day) for of_day in zip(*by_dialect.values(), strict=True)] or [0] * days
    return Volumes(EPOCH + timedelta(since), counts, dict(sorted(by_dialect.items())))


def doers(tenant: Tenant, name: str) -> Doers:
    """The customers who did it, as the list of customers knows them. Raises Unavailable."""
    latest = tenant.rows(_LATEST, {"name": name, "limit": DOERS})
    if not latest:
        return Doers(0, [])
    shown = dict(_pairs(tenant.rows(_SHOWN, {"customers": [bytes(row[0]) for row in latest]})))
    return Doers(
        int(tenant.rows(_COUNT, {"name": name})[0][0]),
        [
            Doer(msgspec.json.decode(shown[key], type=CustomerItem), count, rfc3339(at))
            for key, count, at in ((bytes(key), count, at) for key, count, at in latest)
            if key in shown
        ],
    )


def examples(tenant: Tenant, name: str) -> list[Item]:
    """The last five events. Raises Unavailable."""
    rows = tenant.rows(_SENDERS, {"name": name, "limit": SENDERS})
    lasts: dict[bytes, int] = {}
    for key, last in rows:
        lasts.setdefault(bytes(key), last)
    senders = list(lasts.items())[:EXAMPLES]
    if not senders:
        return []
    # As many senders as there are examples: none is older than the last event of the last of them.
    since = senders[-1][1] if len(senders) == EXAMPLES else rows[-1][1] if len(rows) == SENDERS else -(2**52)
    parameters = {"keys": [key for key, _ in senders], "name": name, "since": since, "limit": EXAMPLES}
    return [item(row) for row in tenant.rows(_EXAMPLES, parameters)]


def _pairs(rows: Sequence[Sequence[Any]]) -> list[tuple[bytes, str]]:
    return [(bytes(key), text) for key, text in rows]
