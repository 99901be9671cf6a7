"""The movements and spells of one customer: as they are shown, and as they are stored in the table `ledger`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

import msgspec

from tenure.customers.customer import Customer
from tenure.loader.ledger import BillingItem, level
from tenure.loader.profile import CustomerItem
from tenure.subscriptions.amount import exactly
from tenure.subscriptions.movements import Movement
from tenure.subscriptions.spells import Spell
from tenure.warehouse.client import Tenant

MAX_CHANGES = 1_000
"""Of all movements of a customer, the latest."""


class SpellShown(msgspec.Struct):
    """A time of being a paying customer. Days are dates in UTC; the end is the first day without MRR."""

    start: str
    end: str | None
    """Null: it goes on."""
    days: int
    cause: str | None
    """`voluntary` or `involuntary`."""
    reason: str | None
    returned: bool
    """Whether there was one before."""


class ChangeShown(msgspec.Struct):
    """What the MRR of a subscription under one plan was and became, in units of the movement's currency."""

    source: str
    subscription: str
    plan: str
    before: str
    after: str


class MovementShown(msgspec.Struct):
    """What a customer's MRR in one currency became on a day. Its amount is the sum of what its changes add, exactly."""

    day: str
    kind: str
    currency: str
    amount: str
    changes: list[ChangeShown]


class Change(NamedTuple):
    """An element of the arrays `change` of `ledger`."""

    day: date
    kind: str
    currency: str
    source: str
    subscription: str
    plan: str
    before: Fraction
    after: Fraction


def shown_spells(spells: Iterable[Spell], today: date) -> list[SpellShown]:
    """The spells that had begun on a day, newest first, each as far as it had come."""
    found = []
    for spell in spells:
        if spell.start <= today:
            ended = spell.end is not None and spell.end <= today
            seen = spell._replace(end=spell.end if ended else None, seen_until=today)
            cause, reason = (seen.cause, seen.reason) if ended else (None, None)
            end = seen.end.isoformat() if seen.end else None
            found.append(SpellShown(seen.start.isoformat(), end, seen.days, cause, reason, seen.reactivated))
    return found[::-1]


def shown_movements(changes: Iterable[Change]) -> list[MovementShown]:
    """Movements by day and currency, the newest first; `changes` are in that order."""
    found = []
    for (day, currency, kind), group in groupby(changes, key=lambda change: (change.day, change.currency, change.kind)):
        lines = list(group)
        amount = sum((change.after - change.before for change in lines), Fraction(0))
        shown = [ChangeShown(change.source, change.subscription, change.plan, exactly(change.before, currency),
                             exactly(change.after, currency)) for change in lines]  # fmt: skip
        found.append(MovementShown(day.isoformat(), kind, currency, exactly(amount, currency), shown))
    return found


def changes_of(movements: Iterable[Movement], today: date) -> list[Change]:
    """The changes within movements up to a day, as they are stored: newest first, 1,000 at the most."""
    found = [
        Change(movement.day, movement.kind, movement.currency, change.subscription.source, change.subscription.id,
               change.plan, Fraction(level(change.before)), Fraction(level(change.after)))
        for movement in movements if movement.day <= today for change in movement.changes
    ]  # fmt: skip
    return sorted(found, key=_newest_first)[:MAX_CHANGES]


def _newest_first(change: Change) -> tuple[int, str, str, str, str]:
    return -change.day.toordinal(), change.currency, change.source, change.subscription, change.plan


_MINE = "customer = {customer:FixedString(16)}"
_ITEM = f"SELECT shown FROM customer FINAL WHERE {_MINE}"  # noqa: S608 - nothing but the above, here and below
_SPELLS = f"""
SELECT start, end, cause, reason, returned FROM ledger FINAL
ARRAY JOIN `spell.start` AS start, `spell.end` AS end, `spell.cause` AS cause, `spell.reason` AS reason,
    `spell.returned` AS returned
WHERE {_MINE}
"""  # noqa: S608
_CHANGES = f"""
SELECT day, toString(kind), currency, source, subscription, plan, before, after FROM ledger FINAL
ARRAY JOIN `change.book` AS book, `change.day` AS day, `change.kind` AS kind, `change.currency` AS currency,
    `change.source` AS source, `change.subscription` AS subscription, `change.plan` AS plan, `change.before` AS before,
    `change.after` AS after
WHERE {_MINE} AND book = {{book:String}} AND day <= {{today:Date32}}
ORDER BY day DESC, currency, source, subscription, plan LIMIT {{limit:UInt32}}
"""  # noqa: S608
_MRR = f"""
SELECT currency, sum(after - before) AS amount FROM ledger FINAL
ARRAY JOIN `change.book` AS book, `change.day` AS day, `change.currency` AS currency, `change.before` AS before,
    `change.after` AS after
WHERE {_MINE} AND book = '' AND day <= {{today:Date32}} GROUP BY currency HAVING amount > 0 ORDER BY currency
"""  # noqa: S608


def stored_item(tenant: Tenant, customer: Customer) -> BillingItem | None:
    """How a customer pays, as the list has it. Raises Unavailable, as all below."""
    rows = tenant.rows(_ITEM, {"customer": customer.keys[0]})
    return msgspec.json.decode(rows[0][0], type=CustomerItem).billing if rows else None


def stored_spells(tenant: Tenant, customer: Customer) -> list[Spell]:
    """The spells of a customer's ledger."""
    return [
        Spell(start, end, date.max, cause or None, reason or None, bool(returned))
        for start, end, cause, reason, returned in tenant.rows(_SPELLS, {"customer": customer.keys[0]})
    ]


def stored_changes(tenant: Tenant, customer: Customer, book: str, today: date) -> list[Change]:
    """The changes of one book of a customer's ledger up to a day: newest first, 1,000 at the most."""
    parameters = {"customer": customer.keys[0], "book": book, "today": today, "limit": MAX_CHANGES}
    rows = tenant.rows(_CHANGES, parameters)
    return [
        Change(day, kind, currency, source, subscription, plan, Fraction(before), Fraction(after))
        for day, kind, currency, source, subscription, plan, before, after in rows
    ]


def stored_mrr(tenant: Tenant, customer: Customer, today: date) -> dict[str, Fraction]:
    """The MRR of a customer's ledger when a day ends, in smallest units by currency."""
    rows = tenant.rows(_MRR, {"customer": customer.keys[0], "today": today})
    return {currency: Fraction(amount) for currency, amount in rows}
