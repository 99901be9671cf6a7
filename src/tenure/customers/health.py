"""Reading from the warehouse what the health of one customer is computed from."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tenure.control.store import Store
from tenure.customers.as_of import received_by
from tenure.customers.billing import CustomerBilling
from tenure.customers.customer import Customer
from tenure.health.billing import Billing, Paying
from tenure.health.history import BEFORE, DAYS, RECENT, Answer, Day, Doing, Elsewhere, History, Others
from tenure.health.score import Health, health
from tenure.health.signals import NPS_PROPERTIES, Signals
from tenure.health.silence import seems_broken
from tenure.warehouse.client import Tenant
from tenure.wire import times
from tenure.wire.times import DAY_MS

MAX_DAYS: Final = 20_000
"""Days, each of one name, of a customer that are looked at: verified ones first, names with a sign, the latest."""
MAX_ANSWERS: Final = 1_000
"""NPS answers that are looked at, the latest."""
MAX_NAMES: Final = 10_000
"""Names of an app that are looked at, the most frequent."""
LATELY_SECONDS: Final = 60
"""How long it is remembered what all customers of an app did."""
BILLING_DIALECT: Final = "stripe"

_AHEAD, _OLD = -1, DAYS
_HISTORY = f"""
SELECT name, verified, ago, count(), max(at), argMax(event_id, (at, event_id)), min(dialect = {{billing:String}}),
    countIf(verified AND ago >= 0), minIf(at, verified AND ago >= 0), countIf(ago < 0)
FROM (
    SELECT name, verified, dialect, event_id, toUnixTimestamp64Milli(occurred_at) AS at,
        if(at > {{now:Int64}}, {_AHEAD}, least(intDiv({{now:Int64}} - at, {DAY_MS}), {_OLD})) AS ago
    FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND RECEIVED
)
GROUP BY GROUPING SETS ((), (name, verified, ago))
ORDER BY grouping(name) DESC, verified DESC, has({{speaking:Array(String)}}, name) DESC, ago, name
LIMIT {{limit:UInt32}}
"""  # noqa: S608 - the numbers are those above; every value is bound
_VALUE = ", ".join(f"JSONExtractRaw(properties, '{name}')" for name in NPS_PROPERTIES)
_ANSWERS = f"""
SELECT name, toUnixTimestamp64Milli(occurred_at) AS at, event_id,
    substring(arrayFirst(value -> value NOT IN ('', 'null'), [{_VALUE}]), 1, 64)
FROM event FINAL
WHERE customer_key IN {{keys:Array(FixedString(16))}} AND RECEIVED AND verified AND name IN {{names:Array(String)}}
AND occurred_at > fromUnixTimestamp64Milli({{since:Int64}}) AND occurred_at <= fromUnixTimestamp64Milli({{now:Int64}})
ORDER BY at DESC, event_id DESC LIMIT {{limit:UInt32}}
"""  # noqa: S608 - as above
_OVERALL = """
SELECT name, sum(events), toUnixTimestamp64Milli(min(first)), max(least(toUnixTimestamp64Milli(last), NOW))
FROM seen WHERE name != '' GROUP BY name ORDER BY sum(events) DESC, name LIMIT {limit:UInt32}
""".replace("NOW", "toUnixTimestamp64Milli(now64(3))")
# Without FINAL, which takes four times as long: an event that an earlier copy replaced may count twice for a while.
_OVERALL_THEN = """
SELECT name, count(), toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at))
FROM event WHERE RECEIVED AND NOT superseded AND occurred_at <= fromUnixTimestamp64Milli({now:Int64})
GROUP BY name ORDER BY count() DESC, name LIMIT {limit:UInt32}
"""
_SENDERS = """
SELECT name, uniqExact(customer_key) FROM TABLE
WHERE name IN {names:Array(String)} AND customer_key NOT IN {keys:Array(FixedString(16))} AND CONDITION
AND toUnixTimestamp64Milli(TIME) >= {since:Array(Int64)}[indexOf({names:Array(String)}, name)] GROUP BY name
"""


def customer_health(
    tenant: Tenant, store: Store, customer: Customer, paid: CustomerBilling | None, as_of: int | None = None
) -> Health:
    """The health of a customer now; or at `as_of` (milliseconds since 1970 UTC), by what had been received by then.

    `paid` is how they pay then. The app's settings are those of today. Raises Unavailable.
    """
    now = time.time_ns() // 1_000_000 if as_of is None else as_of
    settings = store.health.of(tenant.app)
    history = read_history(tenant, customer, Signals(settings.signals), now, as_of)
    others = read_others(tenant, customer, history, as_of)
    return health(history, others, settings, None if paid is None else _billing(paid), as_of)


def _billing(paid: CustomerBilling) -> Billing:
    """What the score needs of it. The end of one subscription of several is not the customer's."""
    return Billing(
        status=paid.status,
        past_due=paid.past_due,
        cancel_at=_ms(paid.cancel_at) if paid.subscriptions == 1 else None,
        paying_since=_ms(paid.paying_since),
        spells=tuple(Paying(times.parse(one.start).ms, _ms(one.end), one.cause) for one in reversed(paid.spells)),
    )


def _ms(text: str | None) -> int | None:
    return None if text is None else times.parse(text).ms


def read_history(tenant: Tenant, customer: Customer, signals: Signals, now: int, as_of: int | None = None) -> History:
    """The history of a customer up to `now`. Raises Unavailable."""
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "now": now, "billing": BILLING_DIALECT, "speaking": signals.speaking()}
    total, *days = tenant.rows(_HISTORY.replace("RECEIVED", received), parameters | {"limit": MAX_DAYS + 1})
    *_, events, known_since, ahead = total
    verified = _doings(row for row in days if row[1])
    totals: Counter[str] = Counter()
    for name, _, _, count, *_ in days:
        totals[name] += count
    surveys = set(signals.nps())
    asked = [doing.name for doing in verified if doing.name in surveys and doing.events(0, RECENT + BEFORE)]
    return History(
        now=now,
        known_since=known_since if events else None,
        events=events,
        ahead=ahead,
        verified=verified,
        unverified=_doings(row for row in days if not row[1]),
        totals=totals,
        answers=_answers(tenant, customer, asked, now, as_of) if asked else (),
        cut=len(days) == MAX_DAYS,
    )


def _doings(rows: Iterable[Sequence[Any]]) -> tuple[Doing, ...]:
    by_name: defaultdict[str, list[Day]] = defaultdict(list)
    not_by_billing = set()
    for name, _, ago, events, last, event_id, by_billing, *_ in rows:
        if 0 <= ago < DAYS:
            by_name[name].append(Day(ago, events, last, bytes(event_id)))
        if not by_billing:
            not_by_billing.add(name)
    return tuple(Doing(name, tuple(days), name not in not_by_billing) for name, days in by_name.items())


def _answers(tenant: Tenant, customer: Customer, names: list[str], now: int, as_of: int | None) -> tuple[Answer, ...]:
    received, parameters = received_by(as_of)
    since = now - (RECENT + BEFORE) * DAY_MS
    parameters |= {"keys": customer.keys, "names": names, "since": since, "now": now, "limit": MAX_ANSWERS}
    rows = tenant.rows(_ANSWERS.replace("RECEIVED", received), parameters)
    return tuple(Answer(name, at, bytes(event_id), value) for name, at, event_id, value in rows)


def read_others(tenant: Tenant, customer: Customer, history: History, as_of: int | None = None) -> Others:
    """What the other customers of the app did, verified or not; of up to a minute ago. Raises Unavailable.

    By counts that are kept; with `as_of` all events of the app are read, which takes longer.
    """
    received, parameters = received_by(as_of)
    parameters |= {"limit": MAX_NAMES} | ({} if as_of is None else {"now": history.now})
    sql = _OVERALL if as_of is None else _OVERALL_THEN.replace("RECEIVED", received)
    rows = tenant.rows_lately(sql, parameters, seconds=LATELY_SECONDS)
    own = history.totals
    overall = {name: Elsewhere(events - own.get(name, 0), first, last) for name, events, first, last in rows}
    suspects = {
        doing.name: other.last
        for doing in history.verified
        if (other := overall.get(doing.name)) and seems_broken(other, history.now)
    }
    senders = _senders(tenant, customer, suspects, as_of) if suspects else {}
    return overall | {name: overall[name]._replace(senders=count) for name, count in senders.items()}


def _senders(tenant: Tenant, customer: Customer, last: Mapping[str, int], as_of: int | None) -> dict[str, int]:
    """How many other identifiers did each name in the 30 days until its last time."""
    received, parameters = received_by(as_of)
    table, at = ("seen", "last") if as_of is None else ("event FINAL", "occurred_at")
    parameters |= {
        "keys": customer.keys,
        "names": list(last),
        "since": [time - RECENT * DAY_MS for time in last.values()],
    }
    sql = _SENDERS.replace("TABLE", table).replace("TIME", at).replace("CONDITION", received)
    return dict(tenant.rows(sql, parameters))  # type: ignore[arg-type] # of two columns
