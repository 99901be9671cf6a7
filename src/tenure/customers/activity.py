"""What a customer did: how often each event came in the last days, against as many days before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS, rfc3339

MAX_NAMES = 1_000
"""Names that are told apart, the most frequent; the totals count all."""
WINDOWS = (7, 30, 90)
"""Days of each window. It ends at the moment of the question and begins after the same moment so many days ago."""


class Window(msgspec.Struct):
    """How often something came in a window, and `before` it in one of the same length.

    `change` is (count - before) / before: 0.5 is half as many again, -1 is none any more, null when there was none.
    """

    count: int
    before: int
    change: float | None


class EventActivity(msgspec.Struct):
    """One name of events of one customer. Times are RFC 3339 in UTC."""

    name: str
    count: int
    first_seen: str
    last_seen: str
    last_7_days: Window
    last_30_days: Window
    last_90_days: Window


class Activity(msgspec.Struct):
    """All events of one customer, and by name the most frequent first. `verified_share` is from 0 to 1.

    Events that are dated after the moment of the question count, but in no window.
    """

    count: int
    verified_share: float | None
    first_seen: str | None
    last_seen: str | None
    last_7_days: Window
    last_30_days: Window
    last_90_days: Window
    by_name: list[EventActivity]


_WINDOW = "countIf(age >= 0 AND age < {0}), countIf(age >= {0} AND age < {1})"
_WINDOWS = ", ".join(_WINDOW.format(days * DAY_MS, 2 * days * DAY_MS) for days in WINDOWS)
_SQL = f"""
SELECT name, count(), countIf(verified), min(at), max(at), {_WINDOWS}
FROM (
    SELECT name, verified, toUnixTimestamp64Milli(occurred_at) AS at, {{now:Int64}} - at AS age
    FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND RECEIVED
)
GROUP BY GROUPING SETS ((), (name)) ORDER BY grouping(name) DESC, count() DESC, name LIMIT {{limit:UInt32}}
"""  # noqa: S608 - the numbers are those above; every value is bound


def activity(tenant: Tenant, customer: Customer, now: int, as_of: int | None = None) -> Activity:
    """The activity up to `now`, by what had been received by `as_of` (both milliseconds since 1970 UTC).

    Raises Unavailable.
    """
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "now": now, "limit": MAX_NAMES + 1}
    total, *by_name = tenant.rows(_SQL.replace("RECEIVED", received), parameters)
    _, count, verified, first, last, *counts = total
    return Activity(
        count,
        verified / count if count else None,
        rfc3339(first) if count else None,
        rfc3339(last) if count else None,
        *_windows(counts),
        [_event_activity(row) for row in by_name],
    )


def _event_activity(row: Sequence[Any]) -> EventActivity:
    name, count, _, first, last, *counts = row
    return EventActivity(name, count, rfc3339(first), rfc3339(last), *_windows(counts))


def _windows(counts: Sequence[int]) -> tuple[Window, Window, Window]:
    week, month, quarter = zip(counts[::2], counts[1::2], strict=True)
    return _window(*week), _window(*month), _window(*quarter)


def _window(count: int, before: int) -> Window:
    return Window(count, before, round((count - before) / before, 4) if before else None)
