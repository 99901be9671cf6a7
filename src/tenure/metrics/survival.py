"""How long spells of being a paying customer last: those of `ledger` by group and length, and those behind a number.

A spell that goes on after the last day that counts is censored: it is known to have lasted until that day.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tenure.customers.conditions import Filter
from tenure.metrics.asked import Sql, in_segment
from tenure.metrics.curves import Lifetimes
from tenure.metrics.explain import customer_ids, page
from tenure.metrics.remembered import rows_of_ledger
from tenure.warehouse.client import Tenant

MAX_GROUPS: Final = 12
"""So many groups have a curve in one answer: those with most spells."""
MAX_NAMES: Final = 50
OfSpells = Literal["at_risk", "ended", "censored"]

_SPELLS = """
SELECT spell.customer AS customer, began, days, ended, cause, reason, returned, {group} AS of_group
FROM (
    SELECT customer, `level.book` AS books, `level.day` AS changed, `level.plan` AS plans, `level.after` AS levels,
        arrayMin(`spell.start`) AS came, began, isNotNull(ends) AND ends <= {{last:Date32}} AS ended,
        dateDiff('day', began, if(ended, assumeNotNull(ends), {{last:Date32}})) AS days,
        if(ended, toString(ends_by), '') AS cause, if(ended, ends_for, '') AS reason, again AS returned
    FROM ledger FINAL ARRAY JOIN `spell.start` AS began, `spell.end` AS ends, `spell.cause` AS ends_by,
        `spell.reason` AS ends_for, `spell.returned` AS again
    WHERE began >= {{first:Date32}} AND began <= {{last:Date32}} AND {customers}
) AS spell {joined} WHERE {where}
"""
# The plan that most of the MRR was of when a spell began; in several currencies, of that in the first of them.
_PLAN = """
arrayFirst((plan, book, day, mrr) -> book = '' AND day = began AND mrr > 0, plans, books, changed, levels)
"""
_COHORT = "toString(toStartOfMonth(came))"
_ATTRIBUTES = """
LEFT JOIN (
    SELECT customer, attribute_values[indexOf(attribute_names, {attribute:String})] AS json,
        if(startsWith(json, '"'), normalizeUTF8NFC(JSONExtractString(json)), json) AS value
    FROM customer FINAL
) AS said ON said.customer = spell.customer
"""
_LENGTHS = "SELECT of_group, days, ended, count() FROM ({spells}) GROUP BY of_group, days, ended ORDER BY ALL"
_BEHIND = """
SELECT began AS place, customer, toFixedString('', 16) AS tie, days, ended, cause, reason, returned
FROM ({spells}) WHERE of_group = {{of_group:String}} AND days >= {{days_from:Int64}} AND {which}
"""
_NAMES = """
SELECT name FROM customer FINAL ARRAY JOIN attribute_names AS name
GROUP BY name ORDER BY count() DESC, name LIMIT {limit:UInt32}
"""
_WHICH: Final[dict[OfSpells, str]] = {
    "at_risk": "true",
    "ended": "ended AND days < {days_to:Int64}",
    "censored": "NOT ended AND days < {days_to:Int64}",
}


class Spells(msgspec.Struct, frozen=True, kw_only=True):
    """Which spells, and by what they are grouped."""

    first: date
    """The first day that one may have begun on."""
    last: date
    """The last day that counts."""
    by: str = "none"
    """`none`, `plan`, `cohort`, or `attribute:` and a name."""
    plan: str | None = None
    """Only those that began with this plan."""
    cohort: date | None = None
    """Only of customers whose first spell began in the month that begins on this day."""
    segment: Filter | None = None
    """Only of customers who are so now."""

    @property
    def of_ledger_alone(self) -> bool:
        """Whether the answer changes with the ledger only."""
        return self.segment is None and not self.by.startswith("attribute:")

    def sql(self) -> Sql:
        """The spells, one a row. Raises BadRequest where the segment cannot be."""
        parameters: dict[str, Any] = {"first": self.first, "last": self.last}
        customers, where = "true", ["true"]
        if self.plan is not None:
            where.append(f"({_PLAN}) = {{of_plan:String}}")
            parameters["of_plan"] = self.plan
        if self.cohort is not None:
            where.append("toStartOfMonth(came) = {cohort:Date32}")
            parameters["cohort"] = self.cohort
        if self.segment is not None:
            customers, chosen = in_segment(self.segment)
            parameters |= chosen
        kind, _, name = self.by.partition(":")
        group = {"none": "''", "plan": _PLAN, "cohort": _COHORT, "attribute": "value"}[kind]
        if kind == "attribute":
            parameters["attribute"] = name
        joined = _ATTRIBUTES if kind == "attribute" else ""
        text = _SPELLS.format(group=group, joined=joined, customers=customers, where=" AND ".join(where))
        return Sql(text, parameters)


class Group(NamedTuple):
    """The spells of one group, by length; the group's name is empty for those that have no such plan or value."""

    name: str
    lifetimes: Lifetimes

    @property
    def size(self) -> int:
        """How many spells."""
        return sum(self.lifetimes.spells)


class Interval(NamedTuple):
    """Spells of one group, those that lasted so many days: `start` and more, for what ended before `end`."""

    group: str
    start: int
    end: int


class SpellBehind(msgspec.Struct):
    """A spell behind a number."""

    customer: str | None
    """As the list of customers gives it; null for the moment in which it is not on the list yet."""
    start: date
    days: int
    """How long it lasted, or was seen to last."""
    ended: bool
    """Else it goes on: it is censored."""
    cause: str | None
    reason: str | None
    returned: bool
    """Whether there was one before."""


class SpellsExplained(msgspec.Struct):
    """A page of the spells behind a number; `next` is the cursor of the page after it, null on the last."""

    number: int
    items: list[SpellBehind]
    next: str | None


def lifetimes(tenant: Tenant, spells: Spells) -> list[Group]:
    """The lengths of the spells by group, the largest group first. Raises BadRequest and Unavailable."""
    text, parameters = spells.sql()
    asked = Sql(_LENGTHS.format(spells=text), parameters)
    found: defaultdict[str, Lifetimes] = defaultdict(lambda: Lifetimes([], [], []))
    for name, days, ended, count in rows_of_ledger(tenant, spells, asked):
        of = found[name]
        of.days.append(days)
        of.ended.append(bool(ended))
        of.spells.append(count)
    groups = [Group(name, lengths) for name, lengths in found.items()]
    return sorted(groups, key=lambda group: (-group.size, group.name))


def attribute_names(tenant: Tenant) -> list[str]:
    """The attributes that most customers have, the most common first; of up to a minute ago. Raises Unavailable."""
    return [name for (name,) in tenant.rows_lately(_NAMES, {"limit": MAX_NAMES}, seconds=60)]


def behind(
    tenant: Tenant, spells: Spells, what: OfSpells, interval: Interval, *, limit: int, cursor: str | None
) -> SpellsExplained:
    """A page of the spells behind a number of an interval. Raises BadRequest (cursor, segment) and Unavailable."""
    text, parameters = spells.sql()
    rows = Sql(_BEHIND.format(spells=text, which=_WHICH[what]), parameters | {
        "of_group": interval.group, "days_from": interval.start, "days_to": interval.end,
    })  # fmt: skip
    ((number,),) = tenant.rows(f"SELECT count() FROM ({rows.text})", rows.parameters)  # noqa: S608 - ours
    segment = spells.segment and msgspec.structs.replace(spells.segment, now=0)
    told = what, interval, msgspec.structs.replace(spells, segment=segment)
    found, after = page(tenant, rows, told, limit=limit, cursor=cursor)
    ids = customer_ids(tenant, {bytes(row[1]) for row in found})
    items = [
        SpellBehind(ids.get(bytes(customer)), began, days, bool(ended), cause or None, reason or None, bool(returned))
        for began, customer, _, days, ended, cause, reason, returned in found
    ]
    return SpellsExplained(number, items, after)
