"""What the properties of an event hold: of all who did it lately, or of a sample of them, which says how large it is.

Events are kept by customer, so that those of one name lie scattered. Keys of customers are hashes: the first so many of
those who did it, in the order of their keys, are a sample by chance, the same each time, and lie as close as they can.
How far into all keys they reach tells how many customers did it (the k-minimum-values estimate: Bar-Yossef et al.,
Counting Distinct Elements in a Data Stream, 2002; it is 2 % off, mostly).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from tenure.customers.catalogue import EPOCH
from tenure.errors import NotFound
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS

SAMPLE_DAYS: Final = 30
"""Days until the last event whose properties are read."""
SAMPLE_EVENTS: Final = 50_000
"""Events whose properties are read at the most."""
LEAST_SAMPLE: Final = 200
"""So many customers are read, however scattered they lie."""
MOST_SAMPLE: Final = 4_000
ROWS_READ: Final = 100_000
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
    """An estimate, where there are more than 4,000."""
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


class ValueSeries(msgspec.Struct):
    """Events of the sample with one value, on each of its days."""

    value: msgspec.Raw
    long: bool
    counts: list[int]


class Split(msgspec.Struct):
    """The sample over time by the value of a property: the five most frequent, all others, and events without it."""

    name: str
    sample: Sample
    values: list[ValueSeries]
    other: list[int]
    missing: list[int]


_LAST = """
SELECT toInt32(day) AS at FROM volume WHERE name = {name:String} AND at <= {today:Int32}
GROUP BY at HAVING sum(events) > 0 ORDER BY at DESC LIMIT 1
"""
_SINCE, _UNTIL = "fromUnixTimestamp64Milli({since:Int64})", "fromUnixTimestamp64Milli({until:Int64})"
_SENDERS = f"""
SELECT groupArray(customer_key), (SELECT sum(events) FROM volume) FROM (
    SELECT DISTINCT customer_key FROM seen WHERE name = {{name:String}} AND last >= {_SINCE}
    ORDER BY customer_key LIMIT {{most:UInt32}}
)
"""  # noqa: S608 - every value is bound, here and below
_SAMPLE = f"""
SELECT occurred_at, properties FROM event FINAL
WHERE customer_key IN {{keys:Array(FixedString(16))}} AND name = {{name:String}}
    AND occurred_at >= {_SINCE} AND occurred_at < {_UNTIL}
LIMIT {{events:UInt32}}
"""  # noqa: S608
_VALUE = "if(length(RAW) > {longest:UInt32}, '', RAW)"
# Each event adds a pair that is none: they are counted beside the values.
_TOP = f"""
SELECT none, property, value, events, sum(events) OVER same, count() OVER same FROM (
    SELECT pair.1 AS none, pair.2 AS property, {_VALUE.replace("RAW", "pair.3")} AS value, count() AS events
    FROM (
        SELECT arrayJoin(arrayPushFront(
            arrayMap(pair -> (false, pair.1, pair.2), JSONExtractKeysAndValuesRaw(properties)), (true, '', ''))) AS pair
        FROM ({_SAMPLE})
    ) GROUP BY none, property, value
) WINDOW same AS (PARTITION BY none, property)
ORDER BY none DESC, 5 DESC, property, events DESC, value
LIMIT {{values:UInt32}} BY none, property LIMIT {{limit:UInt32}}
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
    rows = tenant.rows(_TOP, parameters | {"values": VALUES, "limit": PROPERTIES * VALUES + 1})
    found: dict[str, Property] = {}
    for none, of, value, count, having, distinct in rows:
        if none:
            sample.events = count
        else:
            found.setdefault(of, Property(of, having, distinct, [])).top.append(Value(_raw(value), not value, count))
    return Properties(sample, list(found.values()))


def split(tenant: Tenant, name: str, of: str) -> Split:
    """The volume of a name over the days of the sample, by the value of the property `of`.

    Raises NotFound and Unavailable.
    """
    sample, parameters = _sample(tenant, name)
    rows = tenant.rows(_SPLIT, parameters | {"property": of, "limit": SERIES + 2})
    first = (sample.since - EPOCH).days
    every = missing = [0] * SAMPLE_DAYS
    series: list[ValueSeries] = []
    for total, has, value, (days, counts) in rows:
        by_day = dict(zip(days, counts, strict=True))
        daily = [by_day.get(first + day, 0) for day in range(SAMPLE_DAYS)]
        if total:
            every = daily
        elif not has:
            missing = daily
        elif len(series) < SERIES:
            series.append(ValueSeries(_raw(value), not value, daily))
    sample.events = sum(every)
    shown = [missing, *[one.counts for one in series]]
    other = [count - sum(of_day) for count, *of_day in zip(every, *shown, strict=True)]
    return Split(of, sample, series, other, missing)


def _sample(tenant: Tenant, name: str) -> tuple[Sample, dict[str, Any]]:
    """What is to be read, and the parameters by which it is; its events are not counted yet."""
    last = tenant.rows(_LAST, {"name": name, "today": time.time_ns() // 1_000_000 // DAY_MS})
    if not last:
        raise NotFound("this app has no event of that name until today", code="unknown_event")
    until = int(last[0][0])
    since = until - SAMPLE_DAYS + 1
    parameters = {"name": name, "since": since * DAY_MS, "until": (until + 1) * DAY_MS, "events": SAMPLE_EVENTS,
                  "longest": LONGEST_VALUE, "most": MOST_SAMPLE + 1}  # fmt: skip
    ((keys, every),) = tenant.rows(_SENDERS, parameters)
    keys = sorted(bytes(key) for key in keys)
    senders = len(keys) if len(keys) <= MOST_SAMPLE else estimated(keys)
    chosen = keys[:MOST_SAMPLE][: max(LEAST_SAMPLE, ROWS_READ * senders // max(1, every))]
    days = EPOCH + timedelta(since), EPOCH + timedelta(until)
    return Sample(*days, len(chosen), senders, 0), parameters | {"keys": chosen}


def estimated(keys: Sequence[bytes]) -> int:
    """How many keys there are, given the smallest of them, sorted."""
    reached = int.from_bytes(keys[-1]) / (1 << 8 * len(keys[-1]))
    return round((len(keys) - 1) / reached)


def _raw(value: str) -> msgspec.Raw:
    return msgspec.Raw(value.encode() or b"null")
