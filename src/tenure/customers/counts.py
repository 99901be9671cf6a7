"""How often a customer did what and when: their events, read once for all that is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tenure import churn_event
from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.health.history import DAYS
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS

MAX_ROWS: Final = 20_000
"""Names that are told apart, and days of one name each: of names the most frequent; of days verified ones first, names
with a sign, the latest."""
WINDOWS: Final = (7, 30, 90)
"""Days of each window. It ends at the moment of the question and begins after the same moment so many days ago."""
AHEAD: Final = -1
"""The day of what is dated after the moment of the question."""
OLD: Final = DAYS
"""The day of all that is older than is told apart."""
BILLING_DIALECT: Final = "stripe"


class Named(NamedTuple):
    """The events of one name. Times are milliseconds since 1970 UTC."""

    name: str
    events: int
    verified: int
    first: int
    last: int
    windows: Sequence[int]
    """Of each of `WINDOWS` the events in it, and in as many days before it."""


class NamedDay(NamedTuple):
    """The events of one name on a day, so many times 24 hours ago, verified or not."""

    name: str
    verified: bool
    ago: int
    events: int
    last: int
    event_id: bytes
    """Of the last event."""
    by_billing: bool
    """A billing system sent them all."""


class Counts(NamedTuple):
    """All events of a customer up to `now`, in milliseconds since 1970 UTC like all times here."""

    now: int
    total: Named
    names: Sequence[Named]
    """The most frequent first."""
    days: Sequence[NamedDay]
    verified: int
    """Verified events that are not dated ahead, and below the time of the first."""
    verified_since: int
    ahead: int
    of_users: int
    """Events that name a user."""
    churn_events: int


_WINDOW = "countIf(age >= 0 AND age < {0}), countIf(age >= {0} AND age < {1})"
_WINDOWS = ", ".join(_WINDOW.format(days * DAY_MS, 2 * days * DAY_MS) for days in WINDOWS)
_SQL = f"""
SELECT grouping(name, verified) AS part, name, verified, ago, count(), countIf(verified), min(at), max(at),
    argMax(event_id, (at, event_id)), min(dialect = {{billing:String}}), countIf(verified AND ago >= 0),
    minIf(at, verified AND ago >= 0), countIf(ago < 0), countIf(user_id != ''),
    countIf(dialect = {{churn:String}} AND name IN {{opening:Array(String)}}), {_WINDOWS}
FROM (
    SELECT name, verified, dialect, event_id, user_id, toUnixTimestamp64Milli(occurred_at) AS at,
        {{now:Int64}} - at AS age, if(age < 0, {AHEAD}, least(intDiv(age, {DAY_MS}), {OLD})) AS ago
    FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND RECEIVED
)
GROUP BY GROUPING SETS ((), (name), (name, verified, ago))
ORDER BY part DESC, if(part = 1, count(), 0) DESC, verified DESC, has({{speaking:Array(String)}}, name) DESC, ago, name
LIMIT {{limit:UInt32}} BY part
"""  # noqa: S608 - the numbers are those above; every value is bound


def read_counts(
    tenant: Tenant, customer: Customer, speaking: Sequence[str], now: int, as_of: int | None = None
) -> Counts:
    """The events by what had been received by `as_of` (milliseconds); of names, `speaking` are kept before others.

    Raises Unavailable.
    """
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "now": now, "speaking": list(speaking), "limit": MAX_ROWS,
                   "billing": BILLING_DIALECT, "churn": churn_event.DIALECT,
                   "opening": sorted(churn_event.OPENING)}  # fmt: skip
    total, *rows = tenant.rows(_SQL.replace("RECEIVED", received), parameters)
    verified, since, ahead, of_users, churn_events = total[10:15]
    return Counts(
        now=now,
        total=_named(total),
        names=[_named(row) for row in rows if row[0]],
        days=[_day(row) for row in rows if not row[0]],
        verified=verified,
        verified_since=since,
        ahead=ahead,
        of_users=of_users,
        churn_events=churn_events,
    )


def _named(row: Sequence[Any]) -> Named:
    events, verified, first, last = row[4:8]
    return Named(row[1], events, verified, first, last, row[15:])


def _day(row: Sequence[Any]) -> NamedDay:
    return NamedDay(row[1], bool(row[2]), row[3], row[4], row[7], bytes(row[8]), bool(row[9]))
