"""Makes the ledgers of many customers at once, and tells whose ledger has to be made again.

What a ledger was made of is remembered by a fingerprint, for as long as nothing dated ahead comes: so a customer with
very many subscriptions who does something else costs a look at the fingerprint, and no more. One whose ledger takes
seconds to make is put off when it changes again soon, so that the others do not wait for it each time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog
from clickhouse_connect.driver.external import ExternalData

from tenure.control.billing import Billing
from tenure.loader import ledger
from tenure.loader.attributes import owners
from tenure.loader.ledger import Columns, Told
from tenure.subscriptions.account import account, next_change, standing
from tenure.subscriptions.fact import Fact
from tenure.telemetry import LEDGERS_INCOMPLETE
from tenure.warehouse.client import Warehouse

log = structlog.get_logger()

TOGETHER = 20_000
"""So many facts are read together; of a customer with more, all of theirs."""
REMEMBERED = 20_000
"""So many customers are remembered."""

SLOW_SECONDS, PUT_OFF = 1.0, 20
"""A ledger that took longer is not made again for so many times as long as it took."""

_FINGERPRINTS = """
SELECT owner.customer, count(), sum(cityHash64(event_id, part, precedence))
FROM subscription_fact INNER JOIN owner ON owner.key = subscription_fact.customer_key
WHERE app = {app:String} AND customer_key IN (SELECT key FROM owner) GROUP BY owner.customer
"""
_FACTS = """
SELECT owner.customer, fact FROM subscription_fact INNER JOIN owner ON owner.key = subscription_fact.customer_key
WHERE app = {app:String} AND customer_key IN (SELECT key FROM owner)
"""
_IN_LEDGER = """
SELECT customer FROM ledger WHERE app = {app:String} AND customer IN (SELECT key FROM sent)
GROUP BY customer HAVING NOT argMax(deleted, version)
"""
_DUE = """
SELECT app, customer FROM ledger FINAL
WHERE next_at <= fromUnixTimestamp64Milli({now:Int64}) OR (app, rules) NOT IN (SELECT app, rules FROM stamp)
ORDER BY app, customer LIMIT {limit:UInt32}
"""

Place = tuple[str, bytes]
"""A customer and, before it, its app."""
Rows = list[tuple[Any, ...]]

_decode = msgspec.json.Decoder(Fact).decode


class Fingerprint(NamedTuple):
    """What a ledger was made of: facts, keys and rules."""

    facts: tuple[int, int]
    keys: tuple[bytes, ...]
    rules: str


class Made(NamedTuple):
    """A ledger as it was made, and up to when (milliseconds) it stays as it is."""

    of: Fingerprint
    columns: Columns
    next_at: int | None
    not_before: float = 0.0
    """When it may be made again, by the monotonic clock."""


_GONE = Made(Fingerprint((0, 0), (), ""), Columns(), None)


class Ledgers(NamedTuple):
    """What was made in a step of one app."""

    rows: Rows
    """Those of `ledger` that are to be written."""
    made: dict[Place, Made]
    """To be remembered once they are written."""
    columns: dict[bytes, Columns]
    """What rows of `customer` have of it, by customer."""


class LedgerMaker:
    """Makes ledgers. `make` and `remember` are for one thread, `forget` for any."""

    def __init__(self, warehouse: Warehouse, billing: Callable[[str], Billing]) -> None:
        self._warehouse = warehouse
        self._billing = billing
        self._remembered: OrderedDict[Place, Made] = OrderedDict()
        self.put_off: dict[Place, float] = {}
        """Customers whose ledger is to be made again, but not before a time by the monotonic clock."""

    def make(self, app: str, members: Mapping[bytes, Sequence[bytes]], version: int, now: int) -> Ledgers:
        """The ledgers of customers as of a time in milliseconds; `members` has the keys of each.

        Raises Unavailable, ClickHouseError and SQLAlchemyError.
        """
        billing = self._billing(app)
        known = self._fingerprints(app, members, billing.stamp)
        remembered = self._remembered
        stale = {customer: fingerprint.facts[0] for customer, fingerprint in known.items()
                 if self._is_stale(remembered, (app, customer), fingerprint, now)}  # fmt: skip
        rows, made = [], {}
        for customer, facts in self._facts(app, members, stale):
            began = time.monotonic()
            told, columns = _account(facts, known[customer], billing, now)
            rows.append(ledger.row(app, customer, version, told))
            made[app, customer] = Made(known[customer], columns, told.next_at, _not_before(began))
        for customer in self._in_ledger(app, [each for each in members if each not in known]):
            rows.append(ledger.row(app, customer, version, Told(members[customer])))
            made[app, customer] = _GONE
        shown = {customer: made.get((app, customer)) or remembered[app, customer] for customer in known}
        return Ledgers(rows, made, {customer: what.columns for customer, what in shown.items()})

    def remember(self, made: Mapping[Place, Made]) -> None:
        """These are written."""
        for place, what in made.items():
            self._remembered[place] = what
            self._remembered.move_to_end(place)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def forget(self) -> None:
        """Make all ledgers anew when they are looked at next."""
        self._remembered = OrderedDict()

    def due(self, now: int, limit: int) -> list[Place]:
        """Customers whose ledger was put off, was made by other rules, or changes by itself by a time (ms)."""
        put_off = [place for place, not_before in self.put_off.items() if not_before <= time.monotonic()]
        for place in put_off:
            del self.put_off[place]
        apps = [app for (app,) in self._rows("SELECT DISTINCT app FROM ledger", {}, None)]
        if not apps:
            return put_off
        stamps = "".join(f"{app}\t{self._billing(app).stamp}\n" for app in apps)
        sent = ExternalData(file_name="stamp", data=stamps.encode(), fmt="TSV", structure="app String, rules String")
        found = self._rows(_DUE, {"now": now, "limit": limit}, sent)
        return put_off + [(app, bytes(customer)) for app, customer in found]

    def _is_stale(self, remembered: OrderedDict[Place, Made], place: Place, now_of: Fingerprint, now: int) -> bool:
        """Whether a customer's ledger is to be made: it is not what was remembered, and not put off."""
        self.put_off.pop(place, None)
        made = remembered.get(place)
        if made is None:
            return True
        remembered.move_to_end(place)
        if made.of == now_of and (made.next_at is None or made.next_at > now):
            return False
        if made.not_before <= time.monotonic():
            return True
        self.put_off[place] = made.not_before
        return False

    def _fingerprints(self, app: str, members: Mapping[bytes, Sequence[bytes]], stamp: str) -> dict[bytes, Fingerprint]:
        """Of the customers who have facts."""
        owner = {key: customer for customer, keys in members.items() for key in keys}
        found = self._rows(_FINGERPRINTS, {"app": app}, owners(owner)) if owner else ()
        return {
            bytes(customer): Fingerprint((count, checksum), tuple(sorted(members[bytes(customer)])), stamp)
            for customer, count, checksum in found
        }

    def _facts(
        self, app: str, members: Mapping[bytes, Sequence[bytes]], counts: Mapping[bytes, int]
    ) -> Iterator[tuple[bytes, list[str]]]:
        """The facts of some customers, as JSON; `counts` has how many each has."""
        for customers in _together(counts):
            owner = {key: customer for customer in customers for key in members[customer]}
            found: dict[bytes, list[str]] = {customer: [] for customer in customers}
            for customer, fact in self._rows(_FACTS, {"app": app}, owners(owner)):
                found[bytes(customer)].append(fact)
            yield from found.items()

    def _in_ledger(self, app: str, customers: Sequence[bytes]) -> list[bytes]:
        """Those of them who have a ledger."""
        if not customers:
            return []
        sent = ExternalData(file_name="sent", data=b"".join(customers), fmt="RowBinary",
                            structure="key FixedString(16)")  # fmt: skip
        return [bytes(customer) for (customer,) in self._rows(_IN_LEDGER, {"app": app}, sent)]

    def _rows(self, sql: str, parameters: dict[str, Any], sent: ExternalData | None) -> Any:
        return self._warehouse.client.query(
            sql, parameters=parameters, external_data=sent, settings={"max_threads": 1}
        ).result_rows


def _not_before(began: float) -> float:
    """When a ledger may be made again whose making began at a time and ends now."""
    ended = time.monotonic()
    return ended + PUT_OFF * (ended - began) if ended - began > SLOW_SECONDS else 0.0


def _account(facts: Iterable[str], known: Fingerprint, billing: Billing, now: int) -> tuple[Told, Columns]:
    """What a customer's facts come to. Nothing, counted and logged, where that cannot be told: one customer must not
    keep the others waiting."""
    try:
        found = account((_decode(fact) for fact in facts), billing.rules, billing.rates)
        if found.no_rate:
            LEDGERS_INCOMPLETE.labels("no_rate").inc()
        movements, next_at = found.movements(billing.rules), next_change(found, now)
        now_so = standing(found, now, billing.rules)
        marks = (now_so.unpriced, now_so.silent) if now_so else (0, 0)
        told = Told(known.keys, found, movements, known.rules, next_at, *marks)
        return told, ledger.columns(found, now_so)
    except Exception as error:
        LEDGERS_INCOMPLETE.labels("failed").inc()
        log.error("ledger not made", error=type(error).__name__)
        return Told(known.keys), Columns()


def _together(counts: Mapping[bytes, int]) -> Iterator[list[bytes]]:
    """Customers whose facts are read together, given how many each has."""
    group: list[bytes] = []
    size = 0
    for customer, count in counts.items():
        if group and size + count > TOGETHER:
            yield group
            group, size = [], 0
        group.append(customer)
        size += count
    if group:
        yield group
