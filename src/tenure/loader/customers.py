"""Keeps the list of customers (`customer`) in step with what it is made of.

A customer's row is made again, whole, from `seen`, `identifier`, `canonical` and the attributes whenever one of them
changes. So a row depends on nothing but what is stored then: not on the order in which it came, nor on earlier rows,
and making it twice does no harm. What is to be done is told by the loader (`touch`) and found in `canonical`. After a
crash it is found in `seen`, by the time up to which a file says that all was done; without the file everything is
made anew.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

from tenure.errors import Unavailable
from tenure.loader.attributes import attributes_in_force
from tenure.loader.profile import COLUMNS, Known, Seen, row
from tenure.warehouse.client import Warehouse

log = structlog.get_logger()

STEP_KEYS = 5_000
"""So many keys are looked at together."""
SHARE_WHEN_BUSY = 20
"""While events wait to be loaded, one part in so many of the time is spent here."""

_BEHIND = """
SELECT app, customer_key, toUnixTimestamp64Micro(max(seen.changed)) FROM seen
WHERE seen.changed > fromUnixTimestamp64Micro({changed:Int64})
    AND (app, customer_key) > ({app:String}, {key:FixedString(16)})
GROUP BY app, customer_key ORDER BY app, customer_key LIMIT {limit:UInt32}
SETTINGS optimize_aggregation_in_order = 1
"""
_RELINKED = """
SELECT app, key, version FROM canonical WHERE version = {version:UInt64}
UNION ALL
SELECT app, key, version FROM (
    SELECT app, key, version FROM canonical WHERE version > {version:UInt64}
    ORDER BY version LIMIT {limit:UInt32} WITH TIES
)
"""
_CANONICAL = "SELECT key, canonical FROM canonical FINAL WHERE app = {app:String} AND key IN (SELECT key FROM sent)"
_MEMBERS = "SELECT key, canonical FROM canonical FINAL WHERE app = {app:String} AND canonical IN (SELECT key FROM sent)"
_LISTED = "SELECT customer FROM customer FINAL WHERE app = {app:String} AND customer IN (SELECT key FROM sent)"
_LISTED_WITH = """
SELECT DISTINCT customer FROM (
    SELECT customer, arrayJoin(keys) AS key FROM customer FINAL WHERE app = {app:String}
) WHERE key IN (SELECT key FROM sent)
"""
_SEEN = """
SELECT customer_key, groupArray((toString(name), events, verified, first, last)) FROM (
    SELECT customer_key, name, sum(events) AS events, sum(verified) AS verified,
        toUnixTimestamp64Milli(min(seen.first)) AS first, toUnixTimestamp64Milli(max(seen.last)) AS last
    FROM seen WHERE app = {app:String} AND customer_key IN (SELECT key FROM sent) GROUP BY customer_key, name
) GROUP BY customer_key
"""
_IDENTIFIERS = """
SELECT customer_key, kind, value FROM identifier FINAL
WHERE app = {app:String} AND customer_key IN (SELECT key FROM sent)
"""

Place = tuple[str, bytes]
"""A key and, before it, its app."""
_START: Place = ("", bytes(16))


class Through(msgspec.Struct):
    """Up to where everything is in the list: a time of `seen.changed` (microseconds), a version of `canonical`."""

    changed: int = 0
    version: int = 0

    @classmethod
    def read(cls, path: Path) -> Through:
        """What was last written; the beginning if that cannot be read."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (FileNotFoundError, msgspec.DecodeError):
            return cls()

    def write(self, path: Path) -> None:
        """Replace the file. It need not be durable: an older one only costs work."""
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self))
        temporary.replace(path)


class CustomerList:
    """The list of customers of all apps, and what of it has to be made again. For one thread."""

    def __init__(self, directory: Path, warehouse: Warehouse) -> None:
        self._file = directory / "customers.json"
        self._warehouse = warehouse
        self._written, self._through = Through.read(self._file), Through.read(self._file)
        self._behind: Place | None = _START
        self._relinked: set[tuple[str, bytes, int]] = set()
        self._touched: set[Place] = set()
        self._linked: set[Place] = set()
        self._not_before = 0.0

    def touch(self, places: Iterable[Place], changed: int) -> None:
        """Something was stored under these keys; `changed` is the time that `seen` has for it."""
        self._touched.update(places)
        self._through.changed = changed

    def follow(self, *, busy: bool) -> None:
        """Make a part of what is to be made, if it is time to. What fails is left for the next time."""
        began = time.monotonic()
        if began < self._not_before:
            return
        try:
            self._look()
            self._step()
        except (Unavailable, ClickHouseError) as error:
            log.warning("list of customers not brought up to date; will try again", error=str(error)[:300])
            self._warehouse.forget()
        took = time.monotonic() - began
        self._not_before = began + (took * SHARE_WHEN_BUSY if busy else 0)

    def _look(self) -> None:
        """Find what a crash left, a part at a time, and what has been linked otherwise."""
        limit = STEP_KEYS
        if self._behind is not None and len(self._touched) < limit:
            app, key = self._behind
            found = self._rows(_BEHIND, {"changed": self._written.changed, "app": app, "key": key, "limit": limit})
            self._touched.update((app, bytes(key)) for app, key, _ in found)
            self._through.changed = max([self._through.changed, *(changed for *_, changed in found)])
            self._behind = (found[-1][0], bytes(found[-1][1])) if len(found) == limit else None
        if len(self._linked) < limit:
            self._look_at_links(limit)

    def _look_at_links(self, limit: int) -> None:
        """Rows of one version may come one after the other, so those of the last are remembered."""
        version = self._through.version
        found = self._rows(_RELINKED, {"version": version, "limit": limit})
        latest = max((row[2] for row in found), default=version)
        places = {(app, bytes(key), at) for app, key, at in found}
        self._linked.update((app, key) for app, key, _ in places - self._relinked)
        self._relinked = {place for place in places if place[2] == latest}
        self._through.version = latest

    def _step(self) -> None:
        places = [*self._linked, *self._touched][:STEP_KEYS]
        by_app: defaultdict[str, set[bytes]] = defaultdict(set)
        for app, key in places:
            by_app[app].add(key)
        for app, keys in by_app.items():
            self._make(app, keys, {key for key in keys if (app, key) in self._linked})
        self._touched.difference_update(places)
        self._linked.difference_update(places)
        all_done = self._behind is None and not self._touched and not self._linked
        if all_done and self._through != self._written:
            self._through.write(self._file)
            self._written = msgspec.structs.replace(self._through)

    def _make(self, app: str, keys: set[bytes], linked: set[bytes]) -> None:
        """Make the rows of all customers that have one of these keys, and those that had one that is `linked` anew."""
        version = time.time_ns() // 1_000
        canonical = dict(self._pairs(_CANONICAL, app, keys))
        customers = {canonical.get(key, key) for key in keys}
        if linked:
            customers |= linked | {bytes(found) for (found,) in self._of(_LISTED_WITH, app, linked)}
            canonical |= dict(self._pairs(_CANONICAL, app, customers))
        owner = dict(self._pairs(_MEMBERS, app, customers))
        owner |= {head: head for head in customers if canonical.get(head, head) == head}
        members: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for key, head in owner.items():
            members[head].append(key)
        seen, identifiers = self._seen(app, owner), self._identifiers(app, owner)
        attributes = attributes_in_force(self._warehouse.tenant(app), owner)
        made = [
            row(app, head, version, Known(members[head], identifiers[head], seen[head], attributes.get(head, {})))
            for head in customers
        ]
        gone = {found[1] for found in made if found[3]}
        gone -= {bytes(found) for (found,) in self._of(_LISTED, app, gone)} if gone else set()
        self._insert([found for found in made if found[1] not in gone])

    def _seen(self, app: str, owner: dict[bytes, bytes]) -> defaultdict[bytes, list[Seen]]:
        found: defaultdict[bytes, list[Seen]] = defaultdict(list)
        for key, names in self._of(_SEEN, app, owner):
            found[owner[bytes(key)]] += [Seen(*one) for one in names]
        return found

    def _identifiers(self, app: str, owner: dict[bytes, bytes]) -> defaultdict[bytes, list[tuple[str, str]]]:
        found: defaultdict[bytes, list[tuple[str, str]]] = defaultdict(list)
        for key, kind, value in self._of(_IDENTIFIERS, app, owner):
            found[owner[bytes(key)]].append((kind, value))
        return found

    def _insert(self, made: list[tuple[Any, ...]]) -> None:
        if made:
            self._warehouse.client.insert(
                "customer",
                list(zip(*made, strict=True)),
                column_oriented=True,
                column_names=list(COLUMNS),
                column_type_names=list(COLUMNS.values()),
            )

    def _pairs(self, sql: str, app: str, keys: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        return [(bytes(one), bytes(other)) for one, other in self._of(sql, app, keys)]

    def _of(self, sql: str, app: str, keys: Iterable[bytes]) -> Any:
        """The rows of a query about keys, which are sent beside it."""
        sent = ExternalData(file_name="sent", data=b"".join(keys), fmt="RowBinary", structure="key FixedString(16)")
        return self._rows(sql, {"app": app}, sent)

    def _rows(self, sql: str, parameters: dict[str, Any], sent: ExternalData | None = None) -> Any:
        return self._warehouse.client.query(sql, parameters=parameters, external_data=sent).result_rows
