"""The names of an app's events: how many there are and since when, what is odd about them, and advice on the names."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from tenure.customers.as_of import received_by
from tenure.customers.naming import Advice, Similar, review
from tenure.customers.unfit import Unfit
from tenure.health.history import RECENT, Elsewhere
from tenure.health.silence import BROKEN_SENDERS, State, seems_broken, state
from tenure.health.spike import LOOKED_AT, USUAL_DAYS, find_spike
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS, rfc3339

MAX_NAMES: Final = 10_000
DAILY: Final = 30
"""Days that are counted one by one."""
LATELY_SECONDS: Final = 60
"""How long it is remembered how many did what fell silent."""
EPOCH: Final = date(1970, 1, 1)


class Daily(msgspec.Struct):
    """Events on each of 30 days (UTC), oldest first; the last is today, or the day that was asked of."""

    since: date
    counts: list[int]


class Silence(msgspec.Struct):
    """The name fell silent for everyone, so that sending it may be broken. `docs/pages/events.md` says when."""

    since: str
    """The last event."""
    state: State


class DaySpike(msgspec.Struct):
    """A day of the last week had more than twice as many events as any of the 28 days before it."""

    day: date
    count: int
    before: int
    """Events on the busiest of those 28 days."""


class EventName(msgspec.Struct):
    """One name of events. `count` counts each event once, however often it was received."""

    name: str
    count: int
    first_seen: str
    last_seen: str
    dialects: list[str]
    advice: list[Advice]
    daily: Daily
    silence: Silence | None
    spike: DaySpike | None


class EventNames(msgspec.Struct):
    """The names of an app's events, the most frequent first, and those that are spellings of one another."""

    items: list[EventName]
    similar: list[Similar]
    identifiers: list[Unfit] = []
    """Identifiers that link nothing, where that is asked for."""


class _Counted(NamedTuple):
    """What was counted of a name. `days` are since 1970."""

    name: str
    events: int
    by_dialect: dict[str, int]
    by_day: dict[int, int]


_COUNTS = """
SELECT name, sum(of_day) AS total, sumMap([dialect], [of_day]), sumMapIf([day], [of_day], day >= {since:Int32})
FROM (VOLUMES) GROUP BY name HAVING total > 0 ORDER BY name = {only:String} DESC, total DESC, name LIMIT {limit:UInt32}
"""
_VOLUMES = """
SELECT name, toString(dialect) AS dialect, toInt32(day) AS day, sum(events) AS of_day
FROM volume GROUP BY name, dialect, day
"""
_VOLUMES_THEN = """
SELECT name, toString(dialect) AS dialect, toInt32(toDate32(occurred_at)) AS day, toInt64(count()) AS of_day
FROM event FINAL WHERE RECEIVED GROUP BY name, dialect, day
"""
_TIMES = """
SELECT name, toUnixTimestamp64Milli(min(first)), toUnixTimestamp64Milli(max(last)),
    toUnixTimestamp64Milli(max(least(last, fromUnixTimestamp64Milli({now:Int64}))))
FROM seen WHERE name != '' AND ONLY GROUP BY name
"""
_TIMES_THEN = """
SELECT name, toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at)),
    toUnixTimestamp64Milli(max(least(occurred_at, fromUnixTimestamp64Milli({now:Int64}))))
FROM event FINAL WHERE RECEIVED AND ONLY GROUP BY name
"""
_SENDERS = """
SELECT name, uniqUpTo(SEVERAL)(customer_key) FROM TABLE WHERE name IN {names:Array(String)} AND CONDITION
    AND toUnixTimestamp64Milli(TIME) >= {since:Array(Int64)}[indexOf({names:Array(String)}, name)] GROUP BY name
""".replace("SEVERAL", str(BROKEN_SENDERS))


def event_names(tenant: Tenant, as_of: int | None = None, only: str = "") -> EventNames:
    """Every name, up to 10,000, of events received by `as_of` (milliseconds since 1970 UTC), or `only` one of them.

    By counts that are kept; with `as_of`, and while a customer is being erased, by all events. Raises Unavailable.
    """
    now = time.time_ns() // 1_000_000 if as_of is None else as_of
    straight = as_of is not None or tenant.hides
    received, parameters = received_by(as_of)
    today = now // DAY_MS
    parameters |= {"now": now, "only": only, "limit": MAX_NAMES, "since": today - USUAL_DAYS - LOOKED_AT}
    volumes, times = (_VOLUMES_THEN, _TIMES_THEN) if straight else (_VOLUMES, _TIMES)
    rows = tenant.rows(_COUNTS.replace("VOLUMES", volumes).replace("RECEIVED", received), parameters)
    times = times.replace("RECEIVED", received).replace("ONLY", "name = {only:String}" if only else "true")
    seen = {name: found for name, *found in tenant.rows(times, parameters)}
    counted = [
        _Counted(name, count, dict(zip(*by_dialect, strict=True)), dict(zip(*by_day, strict=True)))
        for name, count, by_dialect, by_day in rows
    ]
    found = [one for one in counted if one.name in seen]  # of others the first event is being loaded, or nobody asked
    silent = _silences(tenant, found, seen, now, as_of)
    reviewed = review({one.name: one.by_dialect for one in (counted if only else found)})
    items = [
        EventName(counted.name, counted.events, rfc3339(first), rfc3339(last), sorted(counted.by_dialect),
                  reviewed.advice.get(counted.name, []), _daily(counted.by_day, today), silent.get(counted.name),
                  _spike(counted.by_day, today, first))
        for counted in found
        for first, last, _ in [seen[counted.name]]
    ]  # fmt: skip
    return EventNames(items, reviewed.similar)


def _daily(by_day: Mapping[int, int], today: int) -> Daily:
    days = range(today - DAILY + 1, today + 1)
    return Daily(EPOCH + timedelta(days[0]), [by_day.get(day, 0) for day in days])


def _spike(by_day: Mapping[int, int], today: int, first: int) -> DaySpike | None:
    counts = [by_day.get(day, 0) for day in range(today - USUAL_DAYS - LOOKED_AT + 1, today + 1)]
    found = find_spike(counts, today - first // DAY_MS)
    return None if found is None else DaySpike(EPOCH + timedelta(today - found.ago), found.events, found.before)


def _silences(
    tenant: Tenant, found: Sequence[_Counted], seen: Mapping[str, Sequence[Any]], now: int, as_of: int | None
) -> dict[str, Silence]:
    """By name: who fell silent for everyone."""
    others = {one.name: Elsewhere(one.events, seen[one.name][0], seen[one.name][2]) for one in found}
    suspects = {name: other for name, other in others.items() if seems_broken(other, now)}
    if not suspects:
        return {}
    received, parameters = received_by(as_of)
    table, at = ("seen", "last") if as_of is None else ("event FINAL", "occurred_at")
    sql = _SENDERS.replace("TABLE", table).replace("TIME", at).replace("CONDITION", received)
    since = [other.last - RECENT * DAY_MS for other in suspects.values()]
    rows = tenant.rows_lately(sql, parameters | {"names": list(suspects), "since": since}, seconds=LATELY_SECONDS)
    senders: dict[str, int] = dict(rows)  # type: ignore[arg-type] # of two columns
    states = {
        name: (other, state(other._replace(senders=senders.get(name, 0)), now)) for name, other in suspects.items()
    }
    return {name: Silence(rfc3339(other.last), found) for name, (other, found) in states.items() if found}
