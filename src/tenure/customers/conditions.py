"""What a list of customers can be filtered by, as conditions on the table `customer`. Every value is bound."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tenure import mail_address
from tenure.customers.attribute_condition import BARE, MAX_READINGS, Reading, readings
from tenure.customers.exact import beyond, equal, folded, is_number
from tenure.errors import BadRequest
from tenure.identity import CHURN_EVENT_ID, KINDS, fold, normal
from tenure.loader.profile import seconds
from tenure.wire.times import DAY_MS, EARLIEST

MAX_ATTRIBUTES = 10
"""Conditions on attributes in one question."""


class Filter(msgspec.Struct, frozen=True):
    """What was asked. Times are milliseconds since 1970 UTC; None: not asked."""

    q: str | None = None
    """The beginning of an identifier or of the name, or `kind:value`."""
    last_seen_after: int | None = None
    last_seen_before: int | None = None
    first_seen_after: int | None = None
    first_seen_before: int | None = None
    active_days: int | None = None
    inactive_days: int | None = None
    did: str | None = None
    """A name of events."""
    did_within_days: int | None = None
    did_at_least: int | None = None
    events_at_least: int | None = None
    attributes: tuple[str, ...] = ()
    """`name:op:value` each, op one of eq, ne, gt, lt; or `name:exists`, `name:missing`."""
    verified: bool | None = None
    status: str | None = None
    """That of the customer's billing; the empty text: who has no subscription."""
    plan: str | None = None
    past_due: bool | None = None
    currency: str | None = None
    mrr_at_least: str | None = None
    """A decimal number of units, as is `mrr_below`."""
    mrr_below: str | None = None
    renews_after: int | None = None
    renews_before: int | None = None
    health_at_least: int | None = None
    """A score from 0 to 100, as is `health_below`; who has none fulfils neither."""
    health_below: int | None = None
    did_not: str | None = None
    """A name of events; within `did_not_within_days`, or ever."""
    did_not_within_days: int | None = None
    now: int = 0
    """When it was asked. Days are counted back from it."""
    uses: tuple[str, ...] = ()
    """The names that count as use in the app, then; not a question of its own."""

    @property
    def question(self) -> Filter:
        """What was asked alone, the same at any time."""
        return msgspec.structs.replace(self, now=0, uses=())


LAST_USED = (
    "arrayMax(arrayPushBack(arrayMap((name, at) -> "
    f"if(toString(name) IN {{uses:Array(String)}}, at, toInt64({EARLIEST})), names, verified_lasts), "
    f"toInt64({EARLIEST})))"
)
"""When a customer last did something that counts as use, in milliseconds since 1970 UTC."""


class Conditions(NamedTuple):
    """Conditions that all have to hold, and the values that are bound in them."""

    where: list[str]
    parameters: dict[str, Any]


def conditions(asked: Filter) -> Conditions:
    """What a row of `customer` must fulfil. Raises BadRequest."""
    found = Conditions([], {})
    _search(found, asked)
    _times(found, asked)
    _activity(found, asked)
    _did_not(found, asked)
    _billing(found, asked)
    if len(asked.attributes) > MAX_ATTRIBUTES:
        raise _invalid("attribute", f"attribute may be given {MAX_ATTRIBUTES} times at the most")
    for number, text in enumerate(asked.attributes):
        _attribute(found, number, text)
    return found


def _search(found: Conditions, asked: Filter) -> None:
    if not asked.q:
        return
    ways = ["arrayExists(text -> startsWith(text, {q:String}), search)", "startsWith(name_search, {q:String})"]
    found.parameters["q"] = fold(asked.q)
    kind, colon, value = asked.q.partition(":")
    if colon and kind in (*KINDS, CHURN_EVENT_ID):
        ways.append(
            "arrayExists((text, kind) -> kind = {q_kind:String} AND startsWith(text, {q_value:String}), search, kinds)"
        )
        found.parameters.update({"q_kind": kind, "q_value": fold(normal(kind, value))})
    if mail_address.parts(asked.q) is not None:
        ways.append(
            "arrayExists((text, kind) -> kind = 'email' AND startsWith(text, {q_address:String}), search, kinds)"
        )
        found.parameters["q_address"] = fold(mail_address.normal(asked.q))
    found.where.append(f"({' OR '.join(ways)})")


def _times(found: Conditions, asked: Filter) -> None:
    bounds = {
        "last_seen_after": ("last_seen >=", asked.last_seen_after),
        "last_seen_before": ("last_seen <", asked.last_seen_before),
        "first_seen_after": ("first_seen >=", asked.first_seen_after),
        "first_seen_before": ("first_seen <", asked.first_seen_before),
    }
    for name, (comparison, at) in bounds.items():
        if at is not None:
            found.where.append(f"events > 0 AND {comparison} fromUnixTimestamp64Milli({{{name}:Int64}})")
            found.parameters[name] = at
    if asked.last_seen_before is not None:
        found.where.append(f"toUnixTimestamp64Milli(last_seen) > {EARLIEST}")  # 1900 is for none
    uses = {
        "active": (f"{LAST_USED} >= {{active:Int64}}", _ago(asked.now, asked.active_days)),
        "inactive": (f"{LAST_USED} > {EARLIEST} AND {LAST_USED} < {{inactive:Int64}}",
                     _ago(asked.now, asked.inactive_days)),
    }  # fmt: skip
    for name, (condition, at) in uses.items():
        if at is not None:
            found.where.append(condition)
            found.parameters.update({name: at, "uses": list(asked.uses)})


def _activity(found: Conditions, asked: Filter) -> None:
    if asked.events_at_least is not None:
        found.where.append("events >= {events_at_least:UInt64}")
        found.parameters["events_at_least"] = asked.events_at_least
    if asked.verified is not None:
        found.where.append("verified > 0" if asked.verified else "verified = 0")
    if asked.did is None:
        for field in ("did_within_days", "did_at_least"):
            if getattr(asked, field) is not None:
                raise _invalid(field, f"{field} says more of `did`, which is missing")
        return
    found.parameters["did"] = asked.did
    since = _ago(asked.now, asked.did_within_days)
    if since is None:
        if (asked.did_at_least or 1) == 1:
            found.where.append("has(names, {did:String})")
        else:
            found.where.append("counts[indexOf(names, {did:String})] >= {did_at_least:UInt64}")
            found.parameters["did_at_least"] = asked.did_at_least
        return
    found.parameters["did_since_seconds"] = seconds(since)
    place = "indexOf(names, {did:String})"  # computed once, however often it is written
    found.where.append(f"{place} > 0 AND lasts[{place}] >= {{did_since_seconds:UInt32}}")
    if (asked.did_at_least or 1) > 1:
        found.where.append(f"customer IN ({_OFTEN_LATELY})")
        found.parameters.update({"did_at_least": asked.did_at_least, "did_since": since})


def _did_not(found: Conditions, asked: Filter) -> None:
    if asked.did_not is None:
        if asked.did_not_within_days is not None:
            raise _invalid("did_not_within_days", "did_not_within_days says more of `did_not`, which is missing")
        return
    found.parameters["did_not"] = asked.did_not
    since = _ago(asked.now, asked.did_not_within_days)
    if since is None:
        found.where.append("NOT has(names, {did_not:String})")
        return
    found.parameters["did_not_since"] = seconds(since)
    place = "indexOf(names, {did_not:String})"
    found.where.append(f"({place} = 0 OR lasts[{place}] < {{did_not_since:UInt32}})")


def _billing(found: Conditions, asked: Filter) -> None:
    if asked.past_due is not None:
        found.where.append("past_due" if asked.past_due else "NOT past_due")
    bounds = {
        "status": ("billing_status = {}", "String", asked.status),
        "plan": ("has(plans, {})", "String", asked.plan),
        "currency": ("mrr_currency = {}", "String", asked.currency),
        "mrr_at_least": ("mrr_currency != '' AND mrr >= {}", "Decimal(38, 10)", asked.mrr_at_least),
        "mrr_below": ("mrr_currency != '' AND mrr < {}", "Decimal(38, 10)", asked.mrr_below),
        "renews_after": ("renews_at >= fromUnixTimestamp64Milli({})", "Int64", asked.renews_after),
        "renews_before": ("renews_at < fromUnixTimestamp64Milli({})", "Int64", asked.renews_before),
        "health_at_least": ("score >= {}", "UInt8", asked.health_at_least),
        "health_below": ("score < {}", "UInt8", asked.health_below),
    }
    for name, (condition, kind, value) in bounds.items():
        if value is not None:
            found.where.append(condition.format(f"{{{name}:{kind}}}"))
            found.parameters[name] = value


# How often within some days is in no table but `event`.
_OFTEN_LATELY = """
SELECT customer FROM (SELECT customer, arrayJoin(keys) AS key FROM customer FINAL) AS known
INNER JOIN (
    SELECT customer_key, count() AS times FROM event FINAL
    WHERE name = {did:String} AND occurred_at >= fromUnixTimestamp64Milli({did_since:Int64}) GROUP BY customer_key
) AS lately ON known.key = lately.customer_key
GROUP BY customer HAVING sum(times) >= {did_at_least:UInt64}
"""


def _attribute(found: Conditions, number: int, text: str) -> None:
    ways = readings(text)
    if not ways:
        raise _invalid(
            "attribute", "attribute must be name:op:value with op one of eq, ne, gt, lt, or name:exists or name:missing"
        )
    if len(ways) > MAX_READINGS:
        raise _invalid(
            "attribute", 'attribute has too many operators in it: write its name in quotes ("name":op:value)'
        )
    conditions = [_reading(found, f"{number}_{at}", way) for at, way in enumerate(ways)]
    found.where.append(f"({' OR '.join(conditions)})")


def _reading(found: Conditions, number: str, way: Reading) -> str:
    name, operator, value = way
    found.parameters[f"attribute_{number}"] = name
    place = f"indexOf(attribute_names, {{attribute_{number}:String}})"  # computed once, however often it is written
    if operator in BARE:
        return f"{place} > 0" if operator == "exists" else f"{place} = 0"
    mine, asked = f"attribute_values[{place}]", f"{{value_{number}:String}}"
    found.parameters[f"value_{number}"] = value
    if operator in ("eq", "ne"):
        holds = _equal(mine, asked, value)
        return f"({place} > 0 AND {holds if operator == 'eq' else f'NOT {holds}'})"
    sign = ">" if operator == "gt" else "<"
    if is_number(value):
        return beyond(mine, sign, asked)
    return f"(startsWith({mine}, '\"') AND {folded(f'JSONExtractString({mine})')} {sign} {folded(asked)})"


def _equal(mine: str, asked: str, value: str) -> str:
    """That a value, as JSON, is the one that was asked for: a text, a number, or any other as it is written."""
    ways = [
        f"{mine} = {asked}",
        f"startsWith({mine}, '\"') AND {folded(f'JSONExtractString({mine})')} = {folded(asked)}",
    ]
    if is_number(value):
        ways.append(equal(mine, asked))
    return f"({' OR '.join(ways)})"


def _ago(now: int, days: int | None) -> int | None:
    return None if days is None else max(now - days * DAY_MS, EARLIEST)


def _invalid(field: str, message: str) -> BadRequest:
    return BadRequest(message, field=field, code="invalid_parameter")
