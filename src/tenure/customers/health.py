"""Reading from the warehouse what the health of one customer is computed from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from tenure.control.store import Store
from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.health.billing import Billing
from tenure.health.history import BEFORE, DAY_MS, DAYS, RECENT, Answer, Day, Doing, Elsewhere, History, Others
from tenure.health.score import Health, health
from tenure.health.signals import NPS_PROPERTIES, Signals
from tenure.warehouse.client import Tenant

MAX_NAMES: Final = 1_000
"""Names of a customer that are looked at, verified and not: those with a sign first, then those of the most days."""
MAX_ANSWERS: Final = 1_000
"""NPS answers that are looked at, the latest."""
MAX_NAMES_ELSEWHERE: Final = 10_000
BILLING_DIALECT: Final = "stripe"

_AHEAD, _OLD = -1, DAYS
_HISTORY = f"""
SELECT name, verified, by_billing, days, count() OVER (), sum(if(verified, past, 0)) OVER (),
    min(if(verified AND past > 0, first, NULL)) OVER (), sum(ahead) OVER ()
FROM (
    SELECT name, verified, min(billing) AS by_billing,
        arraySort(groupArrayIf((ago, events, last, id), ago BETWEEN 0 AND {DAYS} - 1)) AS days,
        sumIf(events, ago >= 0) AS past, sumIf(events, ago < 0) AS ahead, minIf(first_of_day, ago >= 0) AS first
    FROM (
        SELECT name, verified, min(dialect = {{billing:String}}) AS billing, min(at) AS first_of_day, count() AS events,
            if(at > {{now:Int64}}, {_AHEAD}, least(intDiv({{now:Int64}} - at, {DAY_MS}), {_OLD})) AS ago,
            max(at) AS last, argMax(event_id, (at, event_id)) AS id
        FROM (
            SELECT name, verified, dialect, event_id, toUnixTimestamp64Milli(occurred_at) AS at
            FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND RECEIVED
        )
        GROUP BY name, verified, ago
    )
    GROUP BY name, verified
)
ORDER BY has({{speaking:Array(String)}}, name) DESC, verified DESC, length(days) DESC, past DESC, name
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
_ELSEWHERE = """
SELECT name, sum(events), toUnixTimestamp64Milli(min(first)) AS earliest, max(lately),
    arrayElementOrNull(groupArraySorted(3)(-lately), 3)
FROM (
    SELECT name, events, first, least(toUnixTimestamp64Milli(last), {now:Int64}) AS lately FROM SEEN
    WHERE customer_key NOT IN {keys:Array(FixedString(16))} AND name != ''
)
GROUP BY name HAVING earliest <= {now:Int64} ORDER BY sum(events) DESC, name LIMIT {limit:UInt32}
"""
_SEEN = "seen FINAL"
_SEEN_THEN = """(
    SELECT customer_key, name, count() AS events, min(occurred_at) AS first, max(occurred_at) AS last
    FROM event FINAL WHERE RECEIVED GROUP BY customer_key, name
)"""


def customer_health(tenant: Tenant, store: Store, customer: Customer, as_of: int | None = None) -> Health:
    """The health of a customer now; or at `as_of` (milliseconds since 1970 UTC), by what had been received by then.

    The app's settings are those of today. Raises Unavailable.
    """
    now = time.time_ns() // 1_000_000 if as_of is None else as_of
    settings = store.health.of(tenant.app)
    history = read_history(tenant, customer, Signals(settings.signals), now, as_of)
    others = read_others(tenant, customer, now, as_of)
    return health(history, others, settings, billing(tenant, customer, now, as_of), as_of)


def billing(tenant: Tenant, customer: Customer, now: int, as_of: int | None = None) -> Billing | None:
    """The billing of a customer at `now`, by what had been received by `as_of` (milliseconds since 1970 UTC).

    None when nothing is known of it: the part is then left out of the score. That is so for everybody until
    subscriptions are kept with the customer. Raises Unavailable.
    """
    return None


def read_history(tenant: Tenant, customer: Customer, signals: Signals, now: int, as_of: int | None = None) -> History:
    """The history of a customer up to `now`. Raises Unavailable."""
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "now": now, "billing": BILLING_DIALECT, "speaking": signals.speaking()}
    rows = tenant.rows(_HISTORY.replace("RECEIVED", received), parameters | {"limit": MAX_NAMES})
    names, events, known_since, ahead = rows[0][4:] if rows else (0, 0, None, 0)
    verified = tuple(_doing(row) for row in rows if row[1] and row[3])
    asked = [doing.name for doing in verified if signals.of(doing.name).sign == "nps"]
    return History(
        now=now,
        known_since=known_since if events else None,
        events=events,
        ahead=ahead,
        verified=verified,
        unverified=tuple(_doing(row) for row in rows if not row[1] and row[3]),
        answers=_answers(tenant, customer, asked, now, as_of) if asked else (),
        names_left_out=names - len(rows),
    )


def read_others(tenant: Tenant, customer: Customer, now: int, as_of: int | None = None) -> Others:
    """What all other customers of the app did until `now`, verified or not. Raises Unavailable.

    By counts that are kept; with `as_of` all events of the app are read, which takes longer.
    """
    received, parameters = received_by(as_of)
    table = _SEEN if as_of is None else _SEEN_THEN.replace("RECEIVED", received)
    parameters |= {"keys": customer.keys, "now": now, "limit": MAX_NAMES_ELSEWHERE}
    rows = tenant.rows(_ELSEWHERE.replace("SEEN", table), parameters)
    return {name: Elsewhere(events, first, last, third and -third) for name, events, first, last, third in rows}


def _doing(row: Sequence[Any]) -> Doing:
    name, _, by_billing, days, *_ = row
    return Doing(name, tuple(Day(ago, count, last, bytes(event)) for ago, count, last, event in days), bool(by_billing))


def _answers(tenant: Tenant, customer: Customer, names: list[str], now: int, as_of: int | None) -> tuple[Answer, ...]:
    received, parameters = received_by(as_of)
    since = now - (RECENT + BEFORE) * DAY_MS
    parameters |= {"keys": customer.keys, "names": names, "since": since, "now": now, "limit": MAX_ANSWERS}
    rows = tenant.rows(_ANSWERS.replace("RECEIVED", received), parameters)
    return tuple(Answer(name, at, bytes(event_id), value) for name, at, event_id, value in rows)
