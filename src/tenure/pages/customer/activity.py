"""A year of a customer: a calendar of its days, and what they paid on the same axis of time as their events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Annotated, NamedTuple

from fastapi import FastAPI, Query, Request, Response

from tenure.customers.days import events_by_day
from tenure.customers.ledger import MAX_CHANGES, Change
from tenure.customers.subscriptions import changes_shown
from tenure.pages.charts import Chart, Series
from tenure.pages.customer.asked import PATH, AskedFor, begins, chosen, ends, part
from tenure.subscriptions.amount import rounded
from tenure.subscriptions.ledger import day_of

WEEKS = 53
LEVELS = 4
GROUP = "customer"


class Square(NamedTuple):
    """A day of the calendar: its column and row, and how busy it was, from 0 to `LEVELS`."""

    day: date
    week: int
    weekday: int
    events: int
    level: int


class Month(NamedTuple):
    """A month of the calendar in numbers; `week` is the column that it begins in."""

    first: date
    last: date
    week: int
    events: int
    days: int
    """Those with events."""


class Calendar(NamedTuple):
    """A year of days, and the same by month."""

    squares: list[Square]
    months: list[Month]
    events: int
    days: int


def add(site: FastAPI) -> None:
    """Put the part into the site."""

    @site.get(f"{PATH}/activity")
    def customer_activity(request: Request, asked: AskedFor, until: Annotated[str | None, Query()] = None) -> Response:
        last = chosen("until", until) or asked.today
        days = year(last)
        zone, tenant = asked.of.zone, asked.of.tenant
        since, end = begins(days[0], zone), ends(last, zone)
        events = events_by_day(tenant, asked.customer, since, end, zone.key, asked.at)
        billing = asked.of.store.billing.of(tenant.app)
        changes = changes_shown(tenant, asked.customer, billing, asked.at)
        return part(
            request,
            asked,
            "activity",
            "Activity",
            calendar=calendar(days, events),
            charts=charts(days, events, [] if len(changes) == MAX_CHANGES else changes, day_of(end - 1)),
            too_many=len(changes) == MAX_CHANGES,
            first=days[0],
            last=last,
            before=asked.url("activity", until=days[0] - timedelta(days=1)),
            after=asked.url("activity", until=last + timedelta(days=len(days))) if last < asked.today else None,
        )


def year(last: date) -> list[date]:
    """The days of 53 weeks up to a day; they begin on a Monday."""
    count = (WEEKS - 1) * 7 + last.weekday() + 1
    return [last - timedelta(days=ago) for ago in range(count - 1, -1, -1)]


def calendar(days: Sequence[date], events: Mapping[date, int]) -> Calendar:
    """The calendar of these days, which begin on a Monday."""
    most = max(events.values(), default=0)
    squares = [
        Square(day, at // 7, at % 7, events.get(day, 0), _level(events.get(day, 0), most))
        for at, day in enumerate(days)
    ]
    by_month: defaultdict[tuple[int, int], list[Square]] = defaultdict(list)
    for square in squares:
        by_month[square.day.year, square.day.month].append(square)
    months = [
        Month(of[0].day, of[-1].day, of[0].week, sum(one.events for one in of), sum(one.events > 0 for one in of))
        for of in by_month.values()
    ]
    return Calendar(squares, months, sum(month.events for month in months), sum(month.days for month in months))


def charts(days: Sequence[date], events: Mapping[date, int], changes: Iterable[Change], last: date) -> list[Chart]:
    """Events by day, and above them MRR where there is any: both for the same days."""
    x = [day.isoformat() for day in days]
    found = [
        Series(f"MRR ({currency})", [rising.get(day) for day in days], "steps", currency, 2 + at)
        for at, (currency, rising) in enumerate(levels(days, changes, last).items())
    ]
    made = [Chart("Monthly recurring revenue", x, found, group=GROUP, height="small")] if found else []
    counts = Series("Events", [events.get(day, 0) for day in days], "bars")
    return [*made, Chart("Events by day", x, [counts], group=GROUP, height="small")]


def levels(days: Sequence[date], changes: Iterable[Change], last: date) -> dict[str, dict[date, Decimal]]:
    """The MRR at the end of each day up to `last`, in units, by currency; what came before counts on the first."""
    moved: defaultdict[str, defaultdict[date, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for change in changes:
        moved[change.currency][max(change.day, days[0])] += change.after - change.before
    shown = [day for day in days if day <= last]
    return {
        currency: {
            day: Decimal(rounded(amount, currency))
            for day, amount in zip(shown, accumulate(by_day[day] for day in shown), strict=True)
        }
        for currency, by_day in sorted(moved.items())
    }


def _level(events: int, most: int) -> int:
    return -(-events * LEVELS // most) if events else 0
