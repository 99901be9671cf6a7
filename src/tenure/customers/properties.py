"""What the properties of an event hold: of all who did it lately, or of a sample of them, which says how large it is.

Events are kept by customer, so that those of one name lie scattered. Keys of customers are hashes: the first so many of
those who did it, in the order of their keys, are a sample by chance, the same each time, and lie as close as they can.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import msgspec

from tenure.customers.catalogue import EPOCH
from tenure.customers.event import last_seen
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS

SAMPLE_DAYS: Final = 30
"""Days until the last event whose properties are read."""
SAMPLE_EVENTS: Final = 50_000
"""Events whose properties are read at the most."""
LEAST_SAMPLE: Final = 200
"""So many customers are read, however scattered they lie."""
ROWS_READ: Final = 400_000
"""About so many events of all names are read for it at the most."""
PROPERTIES: Final = 40
VALUES: Final = 6
SERIES: Final = 5
LONGEST_VALUE: Final = 200
"""Bytes of JSON; longer values are not told apart."""


class Sample(msgspec.Struct):
    """What was read: the 30 days (UTC) until the last event, of these customers among those who did it then.

    Customers are counted by the identifier that they sent under.
    """

    since: date
    until: date
    customers: int
    of_customers: int
    events: int

    @property
    def is_whole(self) -> bool:
        """Whether everybody who did it then was read."""
        return self.customers == self.of_customers and self.events < SAMPLE_EVENTS


class Value(msgspec.Struct):
    """A value that came often. Those of more than 200 bytes of JSON are `long` and count together, as null."""

    value: msgspec.Raw
    long: bool
    count: int


class Property(msgspec.Struct):
    """A property on the first level: how many events of the sample have it, with how many values, the most frequent."""

    name: str
    count: int
    distinct: int
    top: list[Value]


class Properties(msgspec.Struct):
    """The properties of an event, those that most events have first; 40 at the most."""

    sample: Sample
    items: list[Property]


class Series(msgspec.Struct):
    """Events of the sample with one value, on each of its days."""

    value: msgspec.Raw
    long: bool
    counts: list[int]


class Split(msgspec.Struct):
    """The sample over time by the value of a property: the five most frequent, all others, and events without it."""

    name: str
    sample: Sample
    values: list[Series]
    other: list[int]
    missing: list[int]


_SINCE, _UNTIL = "fromUnixTimestamp64Milli({since:Int64})", "fromUnixTimestamp64Milli({until:Int64})"
_SIZE = f"""
SELECT uniqExact(customer_key), (SELECT sum(events) FROM volume) FROM seen
WHERE name = {{name:String}} AND last >= {_SINCE}
"""  # noqa: S608 - every value is bound, here and below
_CHOSEN = f"""
SELECT DISTINCT customer_key FROM seen WHERE name = {{name:String}} AND last >= {_SINCE}
ORDER BY customer_key LIMIT {{customers:UInt32}}
"""  # noqa: S608
_SAMPLE = f"""
SELECT occurred_at, properties FROM event FINAL
WHERE customer_key IN ({_CHOSEN}) AND name = {{name:String}} AND occurred_at >= {_SINCE} AND occurred_at <= {_UNTIL}
LIMIT {{events:UInt32}}
"""  # noqa: S608
_READ = f"SELECT count() FROM ({_SAMPLE})"  # noqa: S608
_VALUE = "if(length(RAW) > {longest:UInt32}, '', RAW)"
_TOP = f"""
SELECT property, value, events, sum(events) OVER (PARTITION BY property) AS all, count() OVER (PARTITION BY property)
FROM (
    SELECT pair.1 AS property, {_VALUE.replace("RAW", "pair.2")} AS value, count() AS events
    FROM (SELECT arrayJoin(JSONExtractKeysAndValuesRaw(properties)) AS pair FROM ({_SAMPLE})) GROUP BY property, value
)
ORDER BY all DESC, property, events DESC, value LIMIT {{values:UInt32}} BY property LIMIT {{limit:UInt32}}
"""  # noqa: S608
_SPLIT = f"""
SELECT grouping(has) AS total, has, value, sumMap([day], [events]) FROM (
    SELECT JSONHas(properties, {{property:String}}) AS has, toInt32(toDate32(occurred_at)) AS day,
        {_VALUE.replace("RAW", "JSONExtractRaw(properties, {property:String})")} AS value, toUInt64(count()) AS events
    FROM ({_SAMPLE}) GROUP BY has, value, day
) GROUP BY GROUPING SETS ((), (has, value)) ORDER BY total DESC, has, sum(events) DESC, value LIMIT {{limit:UInt32}}
"""  # noqa: S608


def properties(tenant: Tenant, name: str) -> Properties:
    """The properties of the events of a name. Raises NotFound and Unavailable."""
    sample, parameters = _sample(tenant, name)
    rows = tenant.rows(_TOP, parameters | {"values": VALUES, "limit": PROPERTIES * VALUES})
    found: dict[str, Property] = {}
    for of, value, count, having, distinct in rows:
        found.setdefault(of, Property(of, having, distinct, [])).top.append(Value(_raw(value), not value, count))
    return Properties(sample, list(found.values()))


def split(tenant: Tenant, name: str, of: str) -> Split:
    """The volume of a name over the days of the sample, by the value of the property `of`.

    Raises NotFound and Unavailable.
    """
    sample, parameters = _sample(tenant, name)
    rows = tenant.rows(_SPLIT, parameters | {"property": of, "limit": SERIES + 2})
    first = (sample.since - EPOCH).days
    missing = other = [0] * SAMPLE_DAYS
    series: list[Series] = []
    for total, has, value, (days, counts) in rows:
        by_day = dict(zip(days, counts, strict=True))
        daily = [by_day.get(first + day, 0) for day in range(SAMPLE_DAYS)]
        if total:
            other = daily
        elif not has:
            missing = daily
        elif len(series) < SERIES:
            series.append(Series(_raw(value), not value, daily))
    shown = [missing, *[one.counts for one in series]]
    other = [every - sum(of_day) for every, *of_day in zip(other, *shown, strict=True)]
    return Split(of, sample, series, other, missing)


def _sample(tenant: Tenant, name: str) -> tuple[Sample, dict[str, Any]]:
    """What is read, and the parameters by which it is."""
    last = last_seen(tenant, name)
    until = last // DAY_MS
    since = until - SAMPLE_DAYS + 1
    parameters = {"name": name, "since": since * DAY_MS, "until": last, "events": SAMPLE_EVENTS,
                  "longest": LONGEST_VALUE}  # fmt: skip
    ((senders, every),) = tenant.rows(_SIZE, parameters)
    chosen = min(senders, max(LEAST_SAMPLE, ROWS_READ * senders // max(1, every)))
    parameters |= {"customers": chosen}
    ((events,),) = tenant.rows(_READ, parameters)
    days = EPOCH + timedelta(since), EPOCH + timedelta(until)
    return Sample(*days, chosen, senders, events), parameters


def _raw(value: str) -> msgspec.Raw:
    return msgspec.Raw(value.encode() or b"null")
