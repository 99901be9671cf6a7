"""What the health of many customers is computed from, read at once. `customers.health` reads the same of one, with the
events that a score leads to; a test holds both to the same scores."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.external import ExternalData

from tenure.health.history import BEFORE, DAYS, RECENT, Answer, Day, Doing, Elsewhere, History, Others
from tenure.health.signals import NPS_PROPERTIES, Signals
from tenure.health.silence import seems_broken
from tenure.loader.attributes import owners
from tenure.warehouse.client import Tenant
from tenure.wire.times import DAY_MS

MAX_DAYS: Final = 20_000
"""Days, each of one name, that are looked at of a customer: verified ones first, names with a sign, the latest."""
MAX_ANSWERS: Final = 1_000
MAX_NAMES: Final = 10_000
"""Names of an app that are looked at, the most frequent."""
LATELY_SECONDS: Final = 60
"""How long it is remembered what all customers of an app did."""
BILLING_DIALECT: Final = "stripe"

_AHEAD, _OLD = -1, DAYS
_NO_EVENT = bytes(16)
_OF_OWNERS = """
FROM event FINAL INNER JOIN owner ON owner.key = event.customer_key WHERE customer_key IN (SELECT key FROM owner)"""
_HISTORY = f"""
SELECT customer, name, verified, ago, count(), max(at), min(dialect = {{billing:String}}),
    countIf(verified AND ago >= 0), minIf(at, verified AND ago >= 0), countIf(ago < 0)
FROM (
    SELECT owner.customer AS customer, name, verified, dialect, toUnixTimestamp64Milli(occurred_at) AS at,
        if(at > {{now:Int64}}, {_AHEAD}, least(intDiv({{now:Int64}} - at, {DAY_MS}), {_OLD})) AS ago
    {_OF_OWNERS}
)
GROUP BY GROUPING SETS ((customer), (customer, name, verified, ago))
ORDER BY customer, grouping(name) DESC, verified DESC, has({{speaking:Array(String)}}, name) DESC, ago, name
LIMIT {{limit:UInt32}} BY customer
SETTINGS max_threads = 1
"""  # noqa: S608 - the numbers are those above; every value is bound
_VALUE = ", ".join(f"JSONExtractRaw(properties, '{name}')" for name in NPS_PROPERTIES)
_ANSWERS = f"""
SELECT owner.customer AS customer, name, toUnixTimestamp64Milli(occurred_at) AS at, event_id,
    substring(arrayFirst(value -> value NOT IN ('', 'null'), [{_VALUE}]), 1, 64)
{_OF_OWNERS} AND verified AND name IN {{names:Array(String)}}
AND occurred_at > fromUnixTimestamp64Milli({{since:Int64}}) AND occurred_at <= fromUnixTimestamp64Milli({{now:Int64}})
ORDER BY at DESC, event_id DESC LIMIT {{limit:UInt32}} BY customer
SETTINGS max_threads = 1
"""
_OVERALL = """
SELECT name, sum(events), toUnixTimestamp64Milli(min(first)), max(least(toUnixTimestamp64Milli(last), NOW))
FROM seen WHERE name != '' GROUP BY name ORDER BY sum(events) DESC, name LIMIT {limit:UInt32}
""".replace("NOW", "toUnixTimestamp64Milli(now64(3))")
_SENDERS = """
SELECT name, uniqExact(customer_key) FROM seen
WHERE name IN {names:Array(String)}
    AND toUnixTimestamp64Milli(last) >= {since:Array(Int64)}[indexOf({names:Array(String)}, name)] GROUP BY name
"""
_OWN_SENDERS = """
SELECT owner.customer, name, uniqExact(customer_key) FROM seen INNER JOIN owner ON owner.key = seen.customer_key
WHERE customer_key IN (SELECT key FROM owner) AND name IN {names:Array(String)}
    AND toUnixTimestamp64Milli(last) >= {since:Array(Int64)}[indexOf({names:Array(String)}, name)]
GROUP BY owner.customer, name SETTINGS max_threads = 1
"""

Members = Mapping[bytes, Sequence[bytes]]
"""The keys of each customer."""


def read_histories(tenant: Tenant, members: Members, signals: Signals, now: int) -> dict[bytes, History]:
    """The history of each of the customers up to `now` (milliseconds since 1970 UTC), without the ids of events.

    Raises Unavailable.
    """
    owner = _owner(members)
    parameters = {"now": now, "billing": BILLING_DIALECT, "speaking": signals.speaking(), "limit": MAX_DAYS + 1}
    rows: defaultdict[bytes, list[Sequence[Any]]] = defaultdict(list)
    for customer, *row in tenant.rows(_HISTORY, parameters, external=owner):
        rows[bytes(customer)].append(row)
    answers = _answers(tenant, owner, signals, now)
    return {customer: _history(rows[customer], answers[customer], now) for customer in members}


def _history(rows: Sequence[Sequence[Any]], answers: Sequence[Answer], now: int) -> History:
    if not rows:
        return History(now=now, known_since=None, events=0, ahead=0, verified=())
    (*_, events, known_since, ahead), *days = rows
    totals: Counter[str] = Counter()
    for name, _, _, count, *_ in days:
        totals[name] += count
    return History(
        now=now,
        known_since=known_since if events else None,
        events=events,
        ahead=ahead,
        verified=_doings(row for row in days if row[1]),
        unverified=_doings(row for row in days if not row[1]),
        totals=totals,
        answers=tuple(answers),
        cut=len(days) == MAX_DAYS,
    )


def _doings(rows: Iterable[Sequence[Any]]) -> tuple[Doing, ...]:
    by_name: defaultdict[str, list[Day]] = defaultdict(list)
    not_by_billing = set()
    for name, _, ago, events, last, by_billing, *_ in rows:
        if 0 <= ago < DAYS:
            by_name[name].append(Day(ago, events, last, _NO_EVENT))
        if not by_billing:
            not_by_billing.add(name)
    return tuple(Doing(name, tuple(days), name not in not_by_billing) for name, days in by_name.items())


def _answers(tenant: Tenant, owner: ExternalData, signals: Signals, now: int) -> defaultdict[bytes, list[Answer]]:
    names = signals.nps()
    parameters = {"names": names, "since": now - (RECENT + BEFORE) * DAY_MS, "now": now, "limit": MAX_ANSWERS}
    found: defaultdict[bytes, list[Answer]] = defaultdict(list)
    for customer, name, at, event_id, value in tenant.rows(_ANSWERS, parameters, external=owner) if names else ():
        found[bytes(customer)].append(Answer(name, at, bytes(event_id), value))
    return found


class Everybody(NamedTuple):
    """What all customers of an app did, and who of a batch did what seems broken."""

    names: Others
    """Of all, with the identifiers that did it."""
    own: Mapping[tuple[bytes, str], int]
    """By customer and name: how many of these identifiers are the customer's."""

    def without(self, customer: bytes, history: History) -> Others:
        """What the others did."""
        own = {
            name: self.names[name]._replace(
                events=self.names[name].events - events,
                senders=self.names[name].senders - self.own.get((customer, name), 0),
            )
            for name, events in history.totals.items()
            if name in self.names
        }
        return {**self.names, **own}


def read_everybody(tenant: Tenant, members: Members, now: int) -> Everybody:
    """Of up to a minute ago. Raises Unavailable."""
    rows = tenant.rows_lately(_OVERALL, {"limit": MAX_NAMES}, seconds=LATELY_SECONDS)
    names = {name: Elsewhere(events, first, last) for name, events, first, last in rows}
    # Without a customer's own events a name seems broken later, if at all: so these are all of which it can be so.
    broken = {name: found.last - RECENT * DAY_MS for name, found in names.items() if seems_broken(found, now)}
    if not broken:
        return Everybody(names, {})
    parameters = {"names": list(broken), "since": list(broken.values())}
    senders = tenant.rows_lately(_SENDERS, parameters, seconds=LATELY_SECONDS)
    own = tenant.rows(_OWN_SENDERS, parameters, external=_owner(members))
    names |= {name: names[name]._replace(senders=count) for name, count in senders}
    return Everybody(names, {(bytes(customer), name): count for customer, name, count in own})


def _owner(members: Members) -> ExternalData:
    return owners({key: customer for customer, keys in members.items() for key in keys})
