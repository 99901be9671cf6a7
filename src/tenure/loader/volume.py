"""The table `volume`: how many events of each name there are, by dialect and day. What a block adds and takes away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from tenure.loader.rows import Copy, Kept
from tenure.wire.times import DAY_MS

_COUNTED = """
SELECT event_id, name, dialect FROM event FINAL
WHERE customer_key IN (SELECT key FROM sent) AND event_id IN (SELECT event_id FROM sent)
    AND occurred_at IN (SELECT fromUnixTimestamp64Milli(at, 'UTC') FROM sent)
"""
# What is to be erased is taken off before it goes. The difference is added: readers never see the table empty, and
# another time there is nothing to add.
_PUT_RIGHT = """
INSERT INTO volume
SELECT app, name, dialect, day, sum(counted) AS missing FROM (
    SELECT app, name, dialect, toDate32(occurred_at) AS day, toInt64(count()) AS counted
    FROM event FINAL WHERE app IN {apps:Array(String)}
        AND event_id NOT IN (SELECT event_id FROM erased_event WHERE app IN {apps:Array(String)})
    GROUP BY app, name, dialect, day
    UNION ALL
    SELECT app, name, dialect, day, -events FROM volume WHERE app IN {apps:Array(String)}
) GROUP BY app, name, dialect, day HAVING missing != 0
SETTINGS insert_deduplicate = 0, max_bytes_before_external_group_by = 67108864
"""


class Counted(NamedTuple):
    """As what a copy that the warehouse keeps has been counted."""

    name: str
    dialect: str


def replaced_copies(first: Mapping[bytes, Copy], kept: Mapping[bytes, Kept]) -> dict[bytes, Kept]:
    """By event id: the copies that an earlier one of the block replaces. Pure."""
    return {
        event_id: rival
        for event_id, copy in first.items()
        if (rival := kept.get(event_id)) is not None and copy.precedence > rival.precedence
    }


def volume_rows(
    first: Mapping[bytes, Copy], kept: Mapping[bytes, Kept], before: Mapping[bytes, Counted]
) -> list[tuple[Any, ...]]:
    """What a block changes: (app, name, dialect, day since 1970, events more or less). Pure.

    `before` has, for each copy that is replaced, as what it was counted.
    """
    found: Counter[tuple[Any, ...]] = Counter()
    for event_id, copy in first.items():
        row, rival = copy.row, kept.get(event_id)
        if rival is None or event_id in before:
            found[row[0], row[4], row[17], copy.occurred_at // DAY_MS] += 1
        if rival is not None and event_id in before:
            found[row[0], *before[event_id], rival.occurred_at // DAY_MS] -= 1
    return [(*place, events) for place, events in found.items() if events]


def counted(client: Client, copies: Mapping[bytes, Kept]) -> dict[bytes, Counted]:
    """By event id: as what these copies, which the warehouse keeps still, were counted. Raises ClickHouseError."""
    if not copies:
        return {}
    data = b"".join(copy.customer_key + event_id + copy.occurred_at.to_bytes(8, "little", signed=True)
                    for event_id, copy in copies.items())  # fmt: skip
    sent = ExternalData(file_name="sent", data=data, fmt="RowBinary",
                        structure="key FixedString(16), event_id FixedString(16), at Int64")  # fmt: skip
    rows = client.query(_COUNTED, external_data=sent).result_rows
    return {bytes(row[0]): Counted(row[1], row[2]) for row in rows}


def put_right(client: Client, apps: Collection[str]) -> None:
    """Make the volumes of these apps what is stored of them; reads all their events. May be repeated.

    Raises ClickHouseError.
    """
    if apps:
        client.command(_PUT_RIGHT, {"apps": sorted(apps)})
