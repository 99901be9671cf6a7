"""How often a customer did what and when: their events, read once for all that is told of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from tenure import churn_event
from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.health.history import DAYS
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS, EARLIEST, LATEST

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
    """The events of one name. Times are milliseconds since 1970 UTC; `first` is LATEST, and the others EARLIEST, for
    none."""

    name: str
    events: int
    verified: int
    first: int
    last: int
    windows: tuple[int, ...]
    """Of each of `WINDOWS` the events in it, and in as many days before it."""
    verified_last: int = EARLIEST
    ahead: int = 0
    """Events that are dated ahead: they are counted, and none of the times is of them."""


class NamedDay(NamedTuple):
    """The events of one name on a day, so many times 24 hours ago, verified or not."""

    name: str
    verified: bool
    ago: int
    events: int
    first: int
    last: int
    event_id: bytes
    """Of the last event."""
    by_billing: bool
    """A billing system sent them all."""
    of_users: int
    """Those that name a user."""
    churn_events: int
    received: int = EARLIEST


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
    churn_events: int
    received: int = EARLIEST
    """When the last was received."""


_DAYS = f"""
SELECT name, verified, ago, count(), min(at), max(at), argMax(event_id, (at, event_id)),
    min(dialect = {{billing:String}}), countIf(user_id != ''),
    countIf(dialect = {{churn:String}} AND name IN {{opening:Array(String)}}), max(taken_at)
FROM (
    SELECT name, verified, dialect, event_id, user_id, toUnixTimestamp64Milli(received_at) AS taken_at,
        toUnixTimestamp64Milli(occurred_at) AS at,
        {{now:Int64}} - at AS age, if(age < 0, {AHEAD}, least(intDiv(age, {DAY_MS}), {OLD})) AS ago
    FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND RECEIVED
)
GROUP BY name, verified, ago
ORDER BY verified DESC, has({{speaking:Array(String)}}, name) DESC, ago, name LIMIT {{limit:UInt32}}
"""  # noqa: S608 - the numbers are those above; every value is bound
_WINDOW = "countIf(age >= 0 AND age < {0}), countIf(age >= {0} AND age < {1})"
_WINDOWS = ", ".join(_WINDOW.format(days * DAY_MS, 2 * days * DAY_MS) for days in WINDOWS)
# For customers with more days than are told apart.
_NAMES = f"""
SELECT name, count(), countIf(verified), min(if(age >= 0, at, {LATEST})), max(if(age >= 0, at, {EARLIEST})), {_WINDOWS},
    max(if(verified AND age >= 0, at, {EARLIEST})), countIf(age < 0), countIf(verified AND age >= 0),
    minIf(at, verified AND age >= 0), countIf(age < 0), countIf(user_id != ''),
    countIf(dialect = {{churn:String}} AND name IN {{opening:Array(String)}}), max(taken_at)
FROM (
    SELECT name, verified, dialect, user_id, toUnixTimestamp64Milli(received_at) AS taken_at,
        toUnixTimestamp64Milli(occurred_at) AS at, {{now:Int64}} - at AS age
    FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND RECEIVED
)
GROUP BY GROUPING SETS ((), (name)) ORDER BY grouping(name) DESC, count() DESC, name LIMIT {{limit:UInt32}}
"""  # noqa: S608 - as above


def read_counts(
    tenant: Tenant, customer: Customer, speaking: Sequence[str], now: int, as_of: int | None = None
) -> Counts:
    """The events by what had been received by `as_of` (milliseconds); of names, `speaking` are kept before others.

    Raises Unavailable.
    """
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "now": now, "limit": MAX_ROWS, "churn": churn_event.DIALECT,
                   "opening": sorted(churn_event.OPENING)}  # fmt: skip
    of_days = {"speaking": list(speaking), "billing": BILLING_DIALECT}
    days = [_day(row) for row in tenant.rows(_DAYS.replace("RECEIVED", received), parameters | of_days)]
    if len(days) < MAX_ROWS:
        return summed(now, days)
    total, *names = tenant.rows(_NAMES.replace("RECEIVED", received), parameters)
    return Counts(now, _named(total), [_named(row) for row in names], days, *total[7 + 2 * len(WINDOWS) :])


def summed(now: int, days: Sequence[NamedDay]) -> Counts:
    """What all days come to."""
    by_name: defaultdict[str, list[NamedDay]] = defaultdict(list)
    for day in days:
        by_name[day.name].append(day)
    names = [_sum(name, found) for name, found in by_name.items()]
    past = [day for day in days if day.verified and day.ago >= 0]
    return Counts(
        now=now,
        total=_sum("", days),
        names=sorted(names, key=lambda named: (-named.events, named.name.encode())),
        days=days,
        verified=sum(day.events for day in past),
        verified_since=min((day.first for day in past), default=0),
        ahead=sum(day.events for day in days if day.ago == AHEAD),
        of_users=sum(day.of_users for day in days),
        churn_events=sum(day.churn_events for day in days),
        received=max((day.received for day in days), default=EARLIEST),
    )


def _sum(name: str, days: Sequence[NamedDay]) -> Named:
    come = [day for day in days if day.ago >= 0]
    bounds = [bound for length in WINDOWS for bound in ((0, length), (length, 2 * length))]
    return Named(
        name,
        _events(days),
        _events(day for day in days if day.verified),
        min((day.first for day in come), default=LATEST),
        max((day.last for day in come), default=EARLIEST),
        tuple(_events(day for day in days if since <= day.ago < until) for since, until in bounds),
        max((day.last for day in come if day.verified), default=EARLIEST),
        _events(day for day in days if day.ago == AHEAD),
    )


def _events(days: Iterable[NamedDay]) -> int:
    return sum(day.events for day in days)


def _named(row: Sequence[Any]) -> Named:
    name, events, verified, first, last = row[:5]
    windows, after = tuple(row[5 : 5 + 2 * len(WINDOWS)]), row[5 + 2 * len(WINDOWS) :]
    return Named(name, events, verified, first, last, windows, *after[:2])


def _day(row: Sequence[Any]) -> NamedDay:
    name, verified, ago, events, first, last, event_id, by_billing, of_users, churn_events, received = row
    return NamedDay(name, bool(verified), ago, events, first, last, bytes(event_id), bool(by_billing), of_users,
                    churn_events, received)  # fmt: skip
