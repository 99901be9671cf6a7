"""What the health of many customers is computed from, read at once, of several apps together: a statement has a price
of its own, which is most of what a few customers cost. `customers.health` reads the same of one, with the events that a
score leads to; a test holds both to the same scores.

These statements are of no `Tenant`. That nobody meets the rows of another app is in each of them: what is joined by key
is joined by app.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.external import ExternalData

from tenure.health.history import BEFORE, DAYS, RECENT, Answer, Day, Doing, Elsewhere, History, Others
from tenure.health.signals import NPS_PROPERTIES, Signals
from tenure.health.silence import seems_broken
from tenure.warehouse import row_binary
from tenure.warehouse.client import READ_SECONDS, Warehouse
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
_OWNER = "tenant String, key FixedString(16), number UInt32, signs UInt16"
"""The keys of each customer; customers are numbered, and so are the different settings that apps have of signs."""
_SAID = "signs UInt16, name String, answers Bool"
"""The names that have a sign by each of the settings, and whether it is by the answer to a survey."""
_BROKEN = "tenant String, name String, since Int64"
_OF_OWNERS = """
FROM event FINAL INNER JOIN owner ON owner.tenant = event.app AND owner.key = event.customer_key
WHERE (app, customer_key) IN (SELECT tenant, key FROM owner)"""
_HISTORY = f"""
SELECT number, name, verified, ago, count(), max(at), min(dialect = {{billing:String}}),
    countIf(verified AND ago >= 0), minIf(at, verified AND ago >= 0), countIf(ago < 0)
FROM (
    SELECT number, signs, name, verified, dialect, toUnixTimestamp64Milli(occurred_at) AS at,
        if(at > {{now:Int64}}, {_AHEAD}, least(intDiv({{now:Int64}} - at, {DAY_MS}), {_OLD})) AS ago
    {_OF_OWNERS}
)
GROUP BY GROUPING SETS ((number, signs), (number, signs, name, verified, ago))
ORDER BY number, grouping(name) DESC, verified DESC, (signs, name) IN (SELECT signs, name FROM said) DESC, ago, name
LIMIT {{limit:UInt32}} BY number
SETTINGS max_threads = 1
"""  # noqa: S608 - the numbers are those above; every value is bound
_VALUE = ", ".join(f"JSONExtractRaw(properties, '{name}')" for name in NPS_PROPERTIES)
_ANSWERS = f"""
SELECT number, name, toUnixTimestamp64Milli(occurred_at) AS at, event_id,
    substring(arrayFirst(value -> value NOT IN ('', 'null'), [{_VALUE}]), 1, 64)
{_OF_OWNERS} AND verified AND name IN (SELECT name FROM said WHERE answers)
AND (signs, name) IN (SELECT signs, name FROM said WHERE answers)
AND occurred_at > fromUnixTimestamp64Milli({{since:Int64}}) AND occurred_at <= fromUnixTimestamp64Milli({{now:Int64}})
ORDER BY at DESC, event_id DESC LIMIT {{limit:UInt32}} BY number
SETTINGS max_threads = 1
"""  # noqa: S608 - the names are ours; every value is bound
_OVERALL = """
SELECT app, name, sum(events), toUnixTimestamp64Milli(min(first)), max(least(toUnixTimestamp64Milli(last), NOW))
FROM seen WHERE app IN {apps:Array(String)} AND name != ''
GROUP BY app, name ORDER BY sum(events) DESC, name LIMIT {limit:UInt32} BY app
""".replace("NOW", "toUnixTimestamp64Milli(now64(3))")
_SENDERS = """
SELECT app, seen.name, uniqExact(customer_key)
FROM seen INNER JOIN broken ON broken.tenant = seen.app AND broken.name = seen.name
WHERE app IN (SELECT tenant FROM broken) AND seen.name IN (SELECT name FROM broken)
    AND toUnixTimestamp64Milli(last) >= since
GROUP BY app, seen.name
"""
_OWN_SENDERS = """
SELECT number, own.name, uniqExact(customer_key)
FROM (
    SELECT number, app, seen.name AS name, customer_key, toUnixTimestamp64Milli(last) AS at
    FROM seen INNER JOIN owner ON owner.tenant = seen.app AND owner.key = seen.customer_key
    WHERE (app, customer_key) IN (SELECT tenant, key FROM owner) AND seen.name IN (SELECT name FROM broken)
) AS own INNER JOIN broken ON broken.tenant = own.app AND broken.name = own.name
WHERE at >= since GROUP BY number, own.name SETTINGS max_threads = 1
"""


class Member(NamedTuple):
    """One of the customers that it is read of: the app, and all keys in it."""

    app: str
    keys: Sequence[bytes]


Rows = Sequence[Sequence[Any]]


def read_histories(
    warehouse: Warehouse, members: Sequence[Member], signals: Mapping[str, Signals], now: int
) -> list[History]:
    """The history of each of the customers up to `now` (milliseconds since 1970 UTC), without the ids of events.
    `signals` has those of each app.

    Raises Unavailable and ClickHouseError, as all here.
    """
    said, signs = _said(signals)
    sent = _owners(members, signs)
    _add(sent, "said", _SAID, said)
    parameters = {"now": now, "billing": BILLING_DIALECT, "limit": MAX_DAYS + 1}
    rows: defaultdict[int, list[Sequence[Any]]] = defaultdict(list)
    for number, *row in _rows(warehouse, _HISTORY, parameters, sent):
        rows[number].append(row)
    parameters = {"since": now - (RECENT + BEFORE) * DAY_MS, "now": now, "limit": MAX_ANSWERS}
    answers: defaultdict[int, list[Answer]] = defaultdict(list)
    for number, name, at, event_id, value in _rows(warehouse, _ANSWERS, parameters, sent):
        answers[number].append(Answer(name, at, bytes(event_id), value))
    return [_history(rows[number], answers[number], now) for number in range(len(members))]


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


class Everybody(NamedTuple):
    """What all customers of the apps did, and who of a batch did what seems broken."""

    names: Mapping[str, Others]
    """By app. Of all, with the identifiers that did it."""
    own: Mapping[tuple[int, str], int]
    """By number of the customer and name: how many of these identifiers are the customer's."""

    def without(self, app: str, number: int, history: History) -> Others:
        """What the others did."""
        names = self.names[app]
        own = {
            name: names[name]._replace(
                events=names[name].events - events, senders=names[name].senders - self.own.get((number, name), 0)
            )
            for name, events in history.totals.items()
            if name in names
        }
        return {**names, **own}


def read_everybody(warehouse: Warehouse, members: Sequence[Member], now: int) -> Everybody:
    """Of up to a minute ago."""
    names = {
        app: {name: Elsewhere(events, first, last) for name, events, first, last in rows}
        for app, rows in _overall(warehouse, {member.app for member in members}).items()
    }
    # Without a customer's own events a name seems broken later, if at all: so these are all of which it can be so.
    broken = {
        app: {name: found.last - RECENT * DAY_MS for name, found in of_app.items() if seems_broken(found, now)}
        for app, of_app in names.items()
    }
    broken = {app: since for app, since in broken.items() if since}
    if not broken:
        return Everybody(names, {})
    for app, rows in _senders(warehouse, broken).items():
        names[app] |= {name: names[app][name]._replace(senders=count) for name, count in rows}
    sent = _owners(members)
    _add(sent, "broken", _BROKEN, _broken(broken))
    own = _rows(warehouse, _OWN_SENDERS, {}, sent)
    return Everybody(names, {(number, name): count for number, name, count in own})


def _overall(warehouse: Warehouse, apps: Collection[str]) -> dict[str, Rows]:
    def ask(missing: Sequence[str]) -> Rows:
        return _rows(warehouse, _OVERALL, {"apps": missing, "limit": MAX_NAMES}, None)

    return _lately(warehouse, {app: (_OVERALL, app) for app in apps}, ask)


def _senders(warehouse: Warehouse, broken: Mapping[str, Mapping[str, int]]) -> dict[str, Rows]:
    def ask(missing: Sequence[str]) -> Rows:
        sent = ExternalData()
        _add(sent, "broken", _BROKEN, _broken({app: broken[app] for app in missing}))
        return _rows(warehouse, _SENDERS, {}, sent)

    return _lately(warehouse, {app: (_SENDERS, app, repr(sorted(broken[app].items()))) for app in broken}, ask)


def _lately(
    warehouse: Warehouse, questions: Mapping[str, tuple[str, ...]], ask: Callable[[Sequence[str]], Rows]
) -> dict[str, Rows]:
    """The rows of each app as they were up to `LATELY_SECONDS` ago. `ask` says those of several apps, app by row."""
    found = {app: warehouse.remembered.get(question) for app, question in questions.items()}
    known = {app: rows for app, rows in found.items() if rows is not None}
    if missing := sorted(found.keys() - known.keys()):
        asked: defaultdict[str, list[Sequence[Any]]] = defaultdict(list)
        for app, *row in ask(missing):
            asked[app].append(row)
        for app in missing:
            warehouse.remembered.put(questions[app], asked[app], LATELY_SECONDS)
            known[app] = asked[app]
    return known


def _said(signals: Mapping[str, Signals]) -> tuple[bytes, dict[str, int]]:
    """The table of what has a sign, and the number in it of each app's settings. Few apps have any of their own."""
    numbers: dict[tuple[tuple[str, ...], frozenset[str]], int] = {}
    signs = {
        app: numbers.setdefault((tuple(of.speaking()), frozenset(of.nps())), len(numbers))
        for app, of in signals.items()
    }
    said = b"".join(
        number.to_bytes(2, "little") + row_binary.text(name.encode()) + bytes([name in answers])
        for (speaking, answers), number in numbers.items()
        for name in speaking
    )
    return said, signs


def _owners(members: Sequence[Member], signs: Mapping[str, int] = MappingProxyType({})) -> ExternalData:
    sent = ExternalData()
    data = bytearray()
    for number, (app, keys) in enumerate(members):
        tenant = row_binary.text(app.encode())
        numbers = number.to_bytes(4, "little") + signs.get(app, 0).to_bytes(2, "little")
        for key in keys:
            data += tenant + key + numbers
    _add(sent, "owner", _OWNER, bytes(data))
    return sent


def _broken(broken: Mapping[str, Mapping[str, int]]) -> bytes:
    return b"".join(
        row_binary.text(app.encode()) + row_binary.text(name.encode()) + since.to_bytes(8, "little", signed=True)
        for app, of_app in broken.items()
        for name, since in of_app.items()
    )


def _add(sent: ExternalData, name: str, structure: str, data: bytes) -> None:
    sent.add_file(file_name=name, data=data, fmt="RowBinary", structure=structure)


def _rows(warehouse: Warehouse, sql: str, parameters: Mapping[str, Any], sent: ExternalData | None) -> Rows:
    settings = {"readonly": 2, "max_execution_time": READ_SECONDS}
    found = warehouse.client.query(sql, parameters=dict(parameters), settings=settings, external_data=sent)
    return found.result_rows
