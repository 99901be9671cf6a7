"""The table `volume`: how many events of each name there are, by dialect and day. What a block adds and takes away."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from tenure.loader.columns import COLUMNS
from tenure.loader.rows import Copy, Pair
from tenure.warehouse.first_copies import FirstCopy
from tenure.warehouse.insert import insert_rows
from tenure.wire.times import DAY_MS

_COUNTED = """
SELECT event_id, name, dialect FROM event FINAL
WHERE customer_key IN (SELECT key FROM sent) AND event_id IN (SELECT event_id FROM sent)
    AND occurred_at IN (SELECT fromUnixTimestamp64Milli(at, 'UTC') FROM sent)
"""
# What is to be erased is taken off before it goes.
_STORED = """
SELECT app, name, dialect, toDate32(occurred_at) AS day, toInt64(count()) FROM event FINAL
WHERE app IN {apps:Array(String)} AND customer_key >= unhex({first:String}) AND customer_key <= unhex({last:String})
    AND event_id NOT IN (SELECT event_id FROM erased_event WHERE app IN {apps:Array(String)})
GROUP BY app, name, dialect, day
SETTINGS max_bytes_before_external_group_by = 67108864
"""
_SUMS = """
SELECT app, name, dialect, day, sum(events) FROM volume WHERE app IN {apps:Array(String)}
GROUP BY app, name, dialect, day
"""
_ROWS = """
SELECT sum(rows) FROM system.parts WHERE database = currentDatabase() AND table = 'event' AND active
"""
ROWS_TOGETHER = 2_000_000
"""About so many events are counted by one statement: none takes longer than a few seconds, however many there are."""


class Counted(NamedTuple):
    """As what a copy that the warehouse keeps has been counted."""

    name: str
    dialect: str


def replaced_copies(first: Mapping[bytes, Copy], kept: Mapping[bytes, FirstCopy]) -> dict[bytes, FirstCopy]:
    """By event id: the copies that an earlier one of the block replaces. Pure."""
    return {
        event_id: rival
        for event_id, copy in first.items()
        if (rival := kept.get(event_id)) is not None and copy.precedence > rival.precedence
    }


def volume_rows(
    first: Mapping[bytes, Copy],
    kept: Mapping[bytes, FirstCopy],
    before: Mapping[bytes, Counted],
    displaced: Mapping[bytes, Pair] = {},
) -> list[tuple[Any, ...]]:
    """What a block changes: (app, name, dialect, day since 1970, events more or less). Pure.

    `before` has, for each copy that is replaced or `displaced`, as what it was counted.
    """
    found: Counter[tuple[Any, ...]] = Counter()
    for event_id, copy in first.items():
        row, rival = copy.row, kept.get(event_id)
        if rival is None or event_id in before:
            found[row[0], row[4], row[17], copy.occurred_at // DAY_MS] += 1
        if rival is not None and event_id in before:
            found[row[0], *before[event_id], rival.occurred_at // DAY_MS] -= 1
    for event_id, pair in displaced.items():
        if event_id in before:
            found[pair.app, *before[event_id], kept[event_id].occurred_at // DAY_MS] -= 1
    return [(*place, events) for place, events in found.items() if events]


def counted(client: Client, copies: Mapping[bytes, FirstCopy]) -> dict[bytes, Counted]:
    """By event id: as what these copies, which the warehouse keeps still, were counted. Raises ClickHouseError."""
    if not copies:
        return {}
    data = b"".join(copy.customer_key + event_id + copy.occurred_at.to_bytes(8, "little", signed=True)
                    for event_id, copy in copies.items())  # fmt: skip
    sent = ExternalData(file_name="sent", data=data, fmt="RowBinary",
                        structure="key FixedString(16), event_id FixedString(16), at Int64")  # fmt: skip
    rows = client.query(_COUNTED, external_data=sent).result_rows
    return {bytes(row[0]): Counted(row[1], row[2]) for row in rows}


class Volumes:
    """What is added to `volume` and taken off it, step by step. Safe to share between threads.

    A change of `volume` and the change of events that it counts are two inserts. `changing` and `taking_off` keep
    others from counting between the two; and what a crash or an error parted is counted again by `put_right`.
    """

    def __init__(self, unsettled: Iterable[str] = ()) -> None:
        """`unsettled` are apps of which a step may have been broken off by a crash."""
        self._lock = threading.RLock()
        self._unsettled = set(unsettled)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold this while events are inserted together with their volumes."""
        with self._lock:
            yield

    @contextmanager
    def taking_off(self, client: Client, app: str) -> Iterator[None]:
        """Hold this while events of an app are taken off and written down as erased. Raises ClickHouseError."""
        with self._lock:
            if app in self._unsettled:
                self.put_right(client, {app})
            self._unsettled.add(app)
            yield
            self._unsettled.discard(app)

    def put_right(self, client: Client, apps: Collection[str]) -> None:
        """Make the volumes of these apps what is stored of them; reads all their events. May be repeated.

        The difference is added: readers never see the table empty. Raises ClickHouseError.
        """
        if not apps:
            return
        parameters = {"apps": sorted(apps)}
        with self._lock:
            missing: Counter[tuple[Any, ...]] = Counter()
            for first, last in _key_ranges(int(client.query(_ROWS).result_rows[0][0])):
                for *place, events in client.query(_STORED, parameters | {"first": first, "last": last}).result_rows:
                    missing[tuple(place)] += events
            for *place, events in client.query(_SUMS, parameters).result_rows:
                missing[tuple(place)] -= events
            rows = [[*place, events] for place, events in missing.items() if events]
            if rows:
                insert_rows(client, "volume", COLUMNS["volume"], rows)
            self._unsettled.difference_update(apps)


def _key_ranges(rows: int) -> list[tuple[str, str]]:
    """Ranges of customer keys (first, last; hexadecimal) of about `ROWS_TOGETHER` rows each: keys are hashes."""
    pieces = min(256, max(1, -(-rows // ROWS_TOGETHER)))
    bounds = [256 * piece // pieces for piece in range(pieces + 1)]
    return [(f"{first:02x}" + "00" * 15, f"{last - 1:02x}" + "ff" * 15) for first, last in pairwise(bounds)]
