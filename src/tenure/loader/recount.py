"""Counts the rows of some keys in `seen` anew, from what is stored of them. May be repeated."""

from __future__ import annotations

from collections.abc import Collection

from clickhouse_connect.driver.client import Client

_EMPTY = "DELETE FROM seen WHERE (app, customer_key) IN ({keys}) SETTINGS lightweight_deletes_sync = 2"
_EVENTS = """
INSERT INTO seen
SELECT app, customer_key, name, count(), countIf(verified), min(occurred_at), max(occurred_at),
    fromUnixTimestamp64Micro({changed})
FROM event FINAL WHERE (app, customer_key) IN ({keys}) GROUP BY app, customer_key, name
SETTINGS insert_deduplicate = 0
"""
_IDENTIFIES = """
INSERT INTO seen
SELECT app, customer_key, '', 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'),
    toDateTime64('1900-01-01', 3, 'UTC'), fromUnixTimestamp64Micro({changed})
FROM identify WHERE (app, customer_key) IN ({keys}) GROUP BY app, customer_key
SETTINGS insert_deduplicate = 0
"""


def count_anew(client: Client, places: Collection[tuple[str, bytes]], changed: int) -> None:
    """Make the rows of these keys, each with its app; `changed` is the time now in microseconds since 1970 UTC.

    Raises ClickHouseError.
    """
    if not places:
        return
    # App ids are ours and the rest is hexadecimal: nothing in it needs to be bound.
    keys = ", ".join(f"('{app}', unhex('{key.hex()}'))" for app, key in sorted(places))
    for statement in (_EMPTY, _EVENTS, _IDENTIFIES):
        client.command(statement.format(keys=keys, changed=changed))
