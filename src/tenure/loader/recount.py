"""Counts the rows of some keys in `seen` again, from what is stored of them. May be repeated."""

from __future__ import annotations

from collections.abc import Collection

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

_EMPTY = "DELETE FROM seen WHERE (app, customer_key) IN ({keys}) SETTINGS lightweight_deletes_sync = 2"
_EVENTS = """
INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed, verified_last, received_last)
SELECT app, customer_key, name, count(), countIf(verified), min(occurred_at), max(occurred_at),
    fromUnixTimestamp64Micro({changed}), max(if(verified, occurred_at, toDateTime64('1900-01-01', 3, 'UTC'))),
    max(received_at)
FROM event FINAL WHERE (app, customer_key) IN ({keys}) GROUP BY app, customer_key, name
SETTINGS insert_deduplicate = 0
"""
_IDENTIFIES = """
INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed)
SELECT app, customer_key, '', 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'),
    toDateTime64('1900-01-01', 3, 'UTC'), fromUnixTimestamp64Micro({changed})
FROM identify WHERE (app, customer_key) IN ({keys}) GROUP BY app, customer_key
SETTINGS insert_deduplicate = 0
"""

# The sums may be too large as well as too small. What is missing is added modulo 2^64, as ClickHouse adds. Times are
# those of what is stored.
_MISSING = """
INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed, verified_last, received_last)
SELECT app, customer_key, name, reinterpretAsUInt64(sum(number)), reinterpretAsUInt64(sum(trusted)),
    min(least_time), max(greatest_time), fromUnixTimestamp64Micro({changed:Int64}), max(trusted_time), max(taken_at)
FROM (
    SELECT app, customer_key, name, toInt64(count()) AS number, toInt64(countIf(verified)) AS trusted,
        min(occurred_at) AS least_time, max(occurred_at) AS greatest_time,
        max(if(verified, occurred_at, toDateTime64('1900-01-01', 3, 'UTC'))) AS trusted_time,
        toDateTime64(max(received_at), 3, 'UTC') AS taken_at
    FROM event FINAL WHERE app = {app:String} AND customer_key IN (SELECT key FROM sent)
    GROUP BY app, customer_key, name
    UNION ALL
    SELECT app, customer_key, name, -toInt64(sum(events)), -toInt64(sum(seen.verified)),
        toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'), toDateTime64('1900-01-01', 3, 'UTC'),
        toDateTime64('1900-01-01', 3, 'UTC'), toDateTime64('1900-01-01', 3, 'UTC')
    FROM seen WHERE app = {app:String} AND customer_key IN (SELECT key FROM sent) AND name != ''
    GROUP BY app, customer_key, name
)
GROUP BY app, customer_key, name HAVING sum(number) != 0 OR sum(trusted) != 0
SETTINGS insert_deduplicate = 0
"""
KEYS_TOGETHER = 1_000
"""So many keys are named in one statement, whose length is limited."""


def add_missing(client: Client, places: Collection[tuple[str, bytes]], changed: int) -> None:
    """Make the counts of these keys, each with its app, those of the events that are stored.

    Readers see the keys all along, which is not so with `count_anew`. That one is needed where the first or last event
    of a key has gone. `changed` as there. Raises ClickHouseError.
    """
    for app in sorted({app for app, _ in places}):
        keys = b"".join(key for of_app, key in places if of_app == app)
        sent = ExternalData(file_name="sent", data=keys, fmt="RowBinary", structure="key FixedString(16)")
        client.command(_MISSING, {"app": app, "changed": changed}, external_data=sent)


def count_anew(client: Client, places: Collection[tuple[str, bytes]], changed: int) -> None:
    """Make the rows of these keys, each with its app; `changed` is the time now in microseconds since 1970 UTC.

    Raises ClickHouseError.
    """
    ordered = sorted(places)
    for start in range(0, len(ordered), KEYS_TOGETHER):
        # App ids are ours and the rest is hexadecimal: nothing in it needs to be bound.
        keys = ", ".join(f"('{app}', unhex('{key.hex()}'))" for app, key in ordered[start : start + KEYS_TOGETHER])
        for statement in (_EMPTY, _EVENTS, _IDENTIFIES):
            client.command(statement.format(keys=keys, changed=changed))
