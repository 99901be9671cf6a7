"""Keeps the list of customers (`customer`), and their `ledger`, in step with what they are made of.

A customer's row is made again, whole, from `seen`, `identifier`, `canonical`, the attributes and `subscription_fact`
whenever one of them changes. So a row depends on nothing but what is stored then: not on the order in which it came,
nor on earlier rows, and making it twice does no harm. What is to be done is told by the loader (`touch`), and found in
`canonical` and, where it comes by itself or the rules changed, in `ledger`. After a crash it is found in `seen`, by the
time up to which a file says that all was done; without the file everything is made anew.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog
from clickhouse_connect.driver.external import ExternalData

from tenure import clock, state_file
from tenure.control.billing import Billing
from tenure.loader import ledger
from tenure.loader.attributes import attributes_in_force, channel_addresses
from tenure.loader.jumps import Jumps
from tenure.loader.ledgers import LedgerMaker, Made
from tenure.loader.profile import COLUMNS, NO_BILLING, NOT_SCORED, Known, Scored, row
from tenure.loader.seen_by_customer import read_seen
from tenure.loader.versions import Versions
from tenure.telemetry import worked
from tenure.warehouse.client import Warehouse
from tenure.warehouse.insert import insert_rows
from tenure.wire.times import EARLIEST

log = structlog.get_logger()

STEP_KEYS = 5_000
"""So many keys are looked at together."""
FOLLOW_SECONDS = 0.5
LOOK_SECONDS = 2.0
"""How often it is looked for what another process wrote, or comes by itself, when nothing is known to be done."""
DUE_SECONDS = 10.0
"""How often it is looked for ledgers that change by themselves, or were made by other rules."""
REST, REST_WHEN_BUSY = 2, 20
LONGEST_REST_SECONDS = 5.0
"""After a step so many times as long as it took, and never longer than this, is left to others; more while events wait
to be loaded."""

_BEHIND = """
SELECT app, customer_key FROM seen
WHERE seen.changed > fromUnixTimestamp64Micro({after:Int64}) AND seen.changed <= fromUnixTimestamp64Micro({until:Int64})
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
_LISTED = "SELECT DISTINCT customer FROM customer WHERE app = {app:String} AND customer IN (SELECT key FROM sent)"
_LISTED_WITH = """
SELECT DISTINCT customer FROM (SELECT customer, arrayJoin(keys) AS key FROM customer WHERE app = {app:String})
WHERE key IN (SELECT key FROM sent)
"""
_COME = """
SELECT app, customer FROM customer FINAL
WHERE ahead_at > fromUnixTimestamp64Milli({none:Int64}) AND ahead_at <= fromUnixTimestamp64Milli({now:Int64})
LIMIT {limit:UInt32}
"""
_IDENTIFIERS = """
SELECT customer_key, kind, value FROM identifier FINAL
WHERE app = {app:String} AND customer_key IN (SELECT key FROM sent)
"""

_SCORED = """
SELECT customer, score, toUnixTimestamp64Milli(scored_at), toUnixTimestamp64Milli(score_due), score_rules
FROM customer FINAL WHERE app = {app:String} AND customer IN (SELECT key FROM sent)
"""

_STALE = "DELETE FROM {table:Identifier} WHERE version < {version:UInt64} SETTINGS lightweight_deletes_sync = 0"

SCORED_AGAIN_MS = 60_000
"""A customer of whom something changes is scored again, but not within this time of the last score."""

Place = tuple[str, bytes]
"""A key and, before it, its app."""
_START: Place = ("", bytes(16))


class _Rows(NamedTuple):
    """The rows that were made in a step, and the ledgers to remember once they are written."""

    of_list: list[tuple[Any, ...]]
    of_ledger: list[tuple[Any, ...]]
    ledgers: Mapping[Place, Made]


class Through(msgspec.Struct):
    """Up to where everything is in the list: a time of `seen.changed` (microseconds), a version of `canonical`."""

    changed: int = 0
    version: int = 0
    wall: int = 0
    """What the wall clock showed, in microseconds, when the last rows were made."""

    @classmethod
    def read(cls, path: Path) -> Through:
        """What was last written; the beginning if that cannot be read."""
        return state_file.read(path, lambda body: msgspec.json.decode(body, type=cls)).value or cls()

    def write(self, path: Path) -> None:
        """Replace the file. It need not be durable: an older one only costs work."""
        state_file.write(path, msgspec.json.encode(self), durable=False, keep_previous=False)


class CustomerList:
    """The list of customers of all apps, and what of it has to be made again. It is followed in a thread of its own;
    `touch`, `hiding` and `busy` are for the loader's, `links_written` is for whoever writes `canonical`."""

    def __init__(self, directory: Path, warehouse: Warehouse, billing: Callable[[str], Billing]) -> None:
        """`billing` tells how an app counts MRR."""
        self.busy = False
        """Whether events wait to be loaded."""
        self._file = directory / "customers.json"
        self._warehouse = warehouse
        self._ledgers = LedgerMaker(warehouse, billing)
        self._due_at = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="list of customers", daemon=True)
        self._lock = threading.Lock()
        """Held while `_touched`, `_linked` or `_through` is read or changed."""
        self._writing = threading.Lock()
        """Held while rows are written, and while a customer is hidden."""
        self.hidings = 0
        """Grows when rows are hidden: what was computed from them before must not be written."""
        self.writes = 0
        """Grows when rows were written."""
        self._written, self._through = Through.read(self._file), Through.read(self._file)
        self.versions = Versions(warehouse, self._through.changed)
        self._version = self._started = 0
        """Versions: of the rows that are being made, and the one at which this process began."""
        self._jumps = Jumps(self._through.wall)
        self._anew = self._written == Through()
        self._behind: Place | None = _START
        self._relinked: set[tuple[str, bytes, int]] = set()
        self._touched: set[Place] = set()
        self._linked: set[Place] = set()
        self._has_new_links = False
        """Rows of `canonical` may be there that were not looked at."""

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Break off after the step that is being made; the next start goes on."""
        self._stopping.set()
        self._thread.join(10)

    def touch(self, places: Iterable[Place], changed: int) -> None:
        """Something was stored under these keys; `changed` is the time that `seen` has for it."""
        with self._lock:
            self._touched.update(places)
            self._through.changed = max(changed, self._through.changed)

    def links_written(self) -> None:
        """Rows of `canonical` were written."""
        self._has_new_links = True

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """While rows are hidden none is written, and what was computed from them before never will be."""
        with self._writing:
            self.hidings += 1
            self._ledgers.forget()
            try:
                yield
            finally:
                self.hidings += 1  # once more, for what was computed meanwhile of rows half hidden

    @contextmanager
    def writing(self, hidings: int) -> Iterator[bool]:
        """Nobody else writes or hides rows meanwhile. Yields whether nothing was hidden since there were so many
        `hidings`."""
        with self._writing:
            yield hidings == self.hidings

    def follow(self) -> bool:
        """Make a part of what is to be made. Returns whether more is left.

        Raises Unavailable and ClickHouseError; nothing is lost then.
        """
        self._started = self._started or self.versions.next()
        if self._jumps.went_back():
            self._make_all_again()
        self._look()
        with self._lock:
            places = set(islice(chain(self._linked, self._touched), STEP_KEYS))
            linked, touched = self._linked & places, self._touched & places
            self._linked -= linked
            self._touched -= touched
        done = False
        try:
            done = self._make(places, linked)
        finally:
            with self._lock:
                if not done:
                    self._linked |= linked
                    self._touched |= touched
                more = bool(self._behind or self._touched or self._linked)
                through = msgspec.structs.replace(self._through)
        if not more and not self._ledgers.put_off:
            self._finish(through)
        return more

    def _run(self) -> None:
        ended = took = 0.0
        while not self._stopping.wait(FOLLOW_SECONDS):
            began = time.monotonic()
            rest = min(took * (REST_WHEN_BUSY if self.busy else REST), LONGEST_REST_SECONDS)
            if began - ended < (rest if self._is_awaited() else max(rest, LOOK_SECONDS)):
                continue
            try:
                self.follow()
                worked("customer_list")
            except Exception as error:  # whatever it is: a thread that has ended would leave the list as it is
                log.warning("list of customers not brought up to date; will try again", error=type(error).__name__)
                self._warehouse.forget()
            ended = time.monotonic()
            took = ended - began

    def _is_awaited(self) -> bool:
        """Whether it is known that something is to be made. What is not known, as after a crash, is found in time."""
        with self._lock:
            return bool(self._has_new_links or self._behind or self._touched or self._linked)

    def _make_all_again(self) -> None:
        """The wall clock was set back, so rows may tell what was not yet, such as the end of a subscription."""
        log.warning("the clock went back; making the list of customers again")
        self._ledgers.forget()
        self._written.changed, self._started = 0, self.versions.next()
        self._behind = _START

    def _finish(self, through: Through) -> None:
        """All is made: note it. What a list that was made anew did not come to is of nobody any more."""
        if self._anew:
            for table in ("customer", "ledger"):
                self._warehouse.client.command(_STALE, {"table": table, "version": self._started})
            self._anew = False
        if through != self._written:
            through.write(self._file)
            self._written = through

    def _look(self) -> None:
        """Find what a crash left, a part at a time, and what has been linked otherwise."""
        if self._anew and not self._through.version:
            self._through.version = int(self._rows("SELECT max(version) FROM canonical", {})[0][0])
        if self._behind is not None and len(self._touched) < STEP_KEYS:
            app, key = self._behind
            found = self._rows(_BEHIND, {"after": self._written.changed, "until": self._started, "app": app, "key": key,
                                         "limit": STEP_KEYS})  # fmt: skip
            self.touch(((app, bytes(key)) for app, key in found), self._started)
            self._behind = (found[-1][0], bytes(found[-1][1])) if len(found) == STEP_KEYS else None
        if len(self._linked) < STEP_KEYS:
            self._look_at_links()
        if len(self._touched) < STEP_KEYS and time.monotonic() - self._due_at > DUE_SECONDS:
            now = clock.wall_us() // 1_000
            come = self._rows(_COME, {"none": EARLIEST, "now": now, "limit": STEP_KEYS})
            self.touch(((app, bytes(key)) for app, key in come), 0)
            due = self._ledgers.due(now, STEP_KEYS)
            self.touch(due, 0)
            if len(due) < STEP_KEYS:
                self._due_at = time.monotonic()

    def _look_at_links(self) -> None:
        """Rows of one version may come one after the other, so those of the last are remembered."""
        self._has_new_links = False
        version = self._through.version
        found = self._rows(_RELINKED, {"version": version, "limit": STEP_KEYS})
        if len(found) >= STEP_KEYS:
            self._has_new_links = True
        latest = max((row[2] for row in found), default=version)
        places = {(app, bytes(key), at) for app, key, at in found}
        with self._lock:
            self._linked.update((app, key) for app, key, _ in places - self._relinked)
            self._through.version = latest
        self._relinked = {place for place in places if place[2] == latest}

    def _make(self, places: set[Place], linked: set[Place]) -> bool:
        """Make the rows of all customers that have one of these keys. Returns False if one was hidden meanwhile."""
        hidings, made = self.hidings, []
        self._version = self.versions.next()
        for app in {app for app, _ in places}:
            keys = {key for of, key in places if of == app}
            made.append(self._rows_of(app, keys, {key for of, key in linked if of == app}))
        with self.writing(hidings) as may:
            if not may:
                return False
            for rows in made:
                self._insert("ledger", ledger.COLUMNS, rows.of_ledger)
                self._insert("customer", COLUMNS, rows.of_list)
                self._ledgers.remember(rows.ledgers)
                self.writes += 1
        with self._lock:
            self._through.wall = clock.wall_us()
        return True

    def _rows_of(self, app: str, keys: set[bytes], linked: set[bytes]) -> _Rows:
        """The rows of all customers that have one of these keys, and of those that had one that is `linked` anew."""
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
        now = clock.wall_us() // 1_000
        seen, identifiers = read_seen(self._rows, app, owner, now), self._identifiers(app, owner)
        tenant = self._warehouse.tenant(app)
        attributes, addresses = attributes_in_force(tenant, owner), channel_addresses(tenant, owner)
        of = {head: members[head] for head in customers}
        ledgers = self._ledgers.make(app, of, self._version, now)
        scored = self._scored(app, customers)
        known = (
            Known(members[head], identifiers[head], seen.get(head), attributes.get(head, {}),
                  ledgers.columns.get(head, NO_BILLING), scored.get(head, NOT_SCORED), addresses.get(head, ()))
            for head in customers
        )  # fmt: skip
        made = [row(app, head, self._version, about) for head, about in zip(customers, known, strict=True)]
        gone = {found[1] for found in made if found[3]}
        gone -= {bytes(found) for (found,) in self._of(_LISTED, app, gone)} if gone else set()
        return _Rows([found for found in made if found[1] not in gone], ledgers.rows, ledgers.made)

    def _identifiers(self, app: str, owner: dict[bytes, bytes]) -> defaultdict[bytes, list[tuple[str, str]]]:
        found: defaultdict[bytes, list[tuple[str, str]]] = defaultdict(list)
        for key, kind, value in self._of(_IDENTIFIERS, app, owner):
            found[owner[bytes(key)]].append((kind, value))
        return found

    def _scored(self, app: str, customers: Iterable[bytes]) -> dict[bytes, Scored]:
        """The scores that stand, each due again soon: something of the customer has changed.

        One that was made while the clock was ahead is due at once.
        """
        found = {bytes(customer): Scored(*scored) for customer, *scored in self._of(_SCORED, app, customers)}
        now = clock.wall_us() // 1_000
        return {
            customer: scored._replace(due=min(scored.due, (at if at <= now else 0) + SCORED_AGAIN_MS))
            for customer, scored in found.items()
            for at in (scored.at or 0,)
        }

    def _insert(self, table: str, columns: Mapping[str, str], made: list[tuple[Any, ...]]) -> None:
        if made:
            insert_rows(self._warehouse.client, table, columns, made)

    def _pairs(self, sql: str, app: str, keys: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        return [(bytes(one), bytes(other)) for one, other in self._of(sql, app, keys)]

    def _of(self, sql: str, app: str, keys: Iterable[bytes]) -> Any:
        """The rows of a query about keys, which are sent beside it."""
        sent = ExternalData(file_name="sent", data=b"".join(keys), fmt="RowBinary", structure="key FixedString(16)")
        return self._rows(sql, {"app": app}, sent)

    def _rows(self, sql: str, parameters: dict[str, Any], sent: ExternalData | None = None) -> Any:
        return self._warehouse.client.query(
            sql, parameters=parameters, external_data=sent, settings={"max_threads": 1}
        ).result_rows
