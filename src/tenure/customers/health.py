"""Reading from the warehouse what the health of one customer is computed from."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tenure.control.store import Store
from tenure.customers.as_of import received_by
from tenure.customers.billing import CustomerBilling
from tenure.customers.counts import MAX_ROWS, Counts, NamedDay, read_counts
from tenure.customers.customer import Customer
from tenure.health.billing import Billing, Paying
from tenure.health.history import BEFORE, DAYS, RECENT, Answer, Day, Doing, Elsewhere, History, Others
from tenure.health.score import Health, health
from tenure.health.signals import NPS_PROPERTIES, Signals
from tenure.health.silence import BROKEN_SENDERS, seems_broken
from tenure.loader.senders import read_senders
from tenure.warehouse.client import Tenant
from tenure.wire import times
from tenure.wire.times import DAY_MS

MAX_ANSWERS: Final = 1_000
"""NPS answers that are looked at, the latest."""
MAX_NAMES: Final = 10_000
"""Names of an app that are looked at, the most frequent."""
LATELY_SECONDS: Final = 60
"""How long it is remembered what all customers of an app did."""

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


def count(tenant: Tenant, store: Store, customer: Customer, as_of: int | None = None) -> Counts:
    """The events of a customer up to now, or to `as_of` by what had been received by then. Raises Unavailable."""
    now = time.time_ns() // 1_000_000 if as_of is None else as_of
    return read_counts(tenant, customer, Signals(store.health.of(tenant.app).signals).speaking(), now, as_of)


def customer_health(  # noqa: PLR0917 - whose, by whose settings, and what is known of them
    tenant: Tenant,
    store: Store,
    customer: Customer,
    counts: Counts,
    paid: CustomerBilling | None,
    as_of: int | None = None,
) -> Health:
    """The health of a customer at the moment of the counts, by what had been received by `as_of`.

    `paid` is how they pay then. The app's settings are those of today. Raises Unavailable.
    """
    settings = store.health.of(tenant.app)
    history = read_history(tenant, customer, Signals(settings.signals), counts, as_of)
    others = read_others(tenant, customer, history, as_of)
    frequent = read_senders(tenant, as_of).frequent
    return health(history, others, settings, None if paid is None else _billing(paid), as_of, frequent)


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


def read_history(
    tenant: Tenant, customer: Customer, signals: Signals, counts: Counts, as_of: int | None = None
) -> History:
    """The history of a customer up to the moment of the counts. Raises Unavailable."""
    verified = _doings(day for day in counts.days if day.verified)
    surveys = set(signals.nps())
    asked = [doing.name for doing in verified if doing.name in surveys and doing.events(0, RECENT + BEFORE)]
    return History(
        now=counts.now,
        known_since=counts.verified_since if counts.verified else None,
        events=counts.verified,
        ahead=counts.ahead,
        verified=verified,
        unverified=_doings(day for day in counts.days if not day.verified),
        totals={named.name: named.events for named in counts.names},
        answers=_answers(tenant, customer, asked, counts.now, as_of) if asked else (),
        cut=len(counts.days) == MAX_ROWS,
    )


def _doings(days: Iterable[NamedDay]) -> tuple[Doing, ...]:
    by_name: defaultdict[str, list[Day]] = defaultdict(list)
    not_by_billing = set()
    for day in days:
        if 0 <= day.ago < DAYS:
            by_name[day.name].append(Day(day.ago, day.events, day.last, day.event_id))
        if not day.by_billing:
            not_by_billing.add(day.name)
    return tuple(Doing(name, tuple(found), name not in not_by_billing) for name, found in by_name.items())


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


def _senders(tenant: Tenant, customer: Customer, last: Mapping[str, int], as_of: int | None) -> Mapping[str, int]:
    """How many other identifiers, at least, did each name in the 30 days until its last time.

    Who they are is only asked where it matters: a customer cannot be all of many.
    """
    anybody = _identifiers(tenant, [], last, as_of)
    enough = BROKEN_SENDERS + len(customer.keys)
    few = {name: at for name, at in last.items() if anybody.get(name, 0) < enough}
    others = {name: count - len(customer.keys) for name, count in anybody.items()}
    return others | (_identifiers(tenant, customer.keys, few, as_of) if few else {})


def _identifiers(
    tenant: Tenant, without: Sequence[bytes], last: Mapping[str, int], as_of: int | None
) -> dict[str, int]:
    """How many identifiers, `without` some, did each name in the 30 days until its last time; of up to a minute ago."""
    received, parameters = received_by(as_of)
    table, at = ("seen", "last") if as_of is None else ("event FINAL", "occurred_at")
    names = sorted(last)  # in one order, so that the answer is remembered for other customers too
    since = [last[name] - RECENT * DAY_MS for name in names]
    parameters |= {"keys": list(without), "names": names, "since": since}
    sql = _SENDERS.replace("TABLE", table).replace("TIME", at).replace("CONDITION", received)
    return {name: int(count) for name, count in tenant.rows_lately(sql, parameters, seconds=LATELY_SECONDS)}
