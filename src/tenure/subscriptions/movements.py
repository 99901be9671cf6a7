"""Movements of MRR: what changed, for which customer, and the subscriptions behind it.

Of one customer, one currency and one day there is at most one movement, so that a plan that is replaced by another
within a day is no churn. Opening + movements = closing, exactly, for every day, customer, currency and plan: a movement
is the sum of its changes, and each change is of one subscription and plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from fractions import Fraction
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from tenure.subscriptions.currency import Rates
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.ledger import Level, Subscription, levels
from tenure.subscriptions.mrr import Parts
from tenure.subscriptions.rules import Rules

Kind: TypeAlias = Literal["new", "expansion", "contraction", "churned", "reactivated", "transfer"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""`transfer`: between plans or subscriptions of the customer, of no amount as a whole."""


class Change(NamedTuple):
    """What the MRR of a subscription under one plan was and became, in smallest units a month."""

    subscription: Subscription
    plan: str
    before: Fraction
    after: Fraction


class Movement(NamedTuple):
    """What the MRR of a customer in one currency was before a day and became on it."""

    day: date
    customer: str
    currency: str
    kind: Kind
    before: Fraction
    after: Fraction
    changes: tuple[Change, ...]

    @property
    def amount(self) -> Fraction:
        """What it adds to MRR."""
        return self.after - self.before


def movements(
    customer: str,
    facts: Iterable[Fact],
    rules: Rules,
    until: date,
    *,
    rates: Rates | None = None,
    as_of: int | None = None,
) -> list[Movement]:
    """All movements of a customer up to the end of a day, by day and currency; parameters as in `levels`."""
    return from_levels(customer, levels(facts, rules, until, rates=rates, as_of=as_of), rules)


def from_levels(customer: str, ordered: Iterable[Level], rules: Rules) -> list[Movement]:
    """The movements that a customer's levels, by day, are."""
    books: dict[str, _Book] = {}
    held: dict[Subscription, tuple[str, Parts]] = {}
    found: list[Movement] = []
    for day, group in groupby(ordered, key=lambda level: level.day):
        changes: defaultdict[str, list[Change]] = defaultdict(list)
        for level in group:
            old, old_parts = held.get(level.subscription, (level.currency, {}))
            held[level.subscription] = level.currency, level.parts
            if old != level.currency:
                changes[old] += _changes(level.subscription, old_parts, {})
                old_parts = {}
            changes[level.currency] += _changes(level.subscription, old_parts, level.parts)
        for currency in sorted(changes):
            book = books.setdefault(currency, _Book())
            if changes[currency]:
                found.append(book.enter(day, customer, currency, changes[currency], rules))
    return found


def _changes(subscription: Subscription, before: Parts, after: Parts) -> Iterator[Change]:
    none = Fraction(0)
    for plan in sorted(before.keys() | after.keys()):
        if before.get(plan, none) != after.get(plan, none):
            yield Change(subscription, plan, before.get(plan, none), after.get(plan, none))


class _Book:
    """The MRR of one customer in one currency so far."""

    def __init__(self) -> None:
        self.mrr = Fraction(0)
        self.churned: date | None = None

    def enter(self, day: date, customer: str, currency: str, changes: Iterable[Change], rules: Rules) -> Movement:
        changes = tuple(changes)
        before = self.mrr
        self.mrr += sum((change.after - change.before for change in changes), Fraction(0))
        kind = self._kind(before, day, rules)
        if kind == "churned":
            self.churned = day
        return Movement(day, customer, currency, kind, before, self.mrr, changes)

    def _kind(self, before: Fraction, day: date, rules: Rules) -> Kind:
        if before == self.mrr:
            return "transfer"
        if not before:
            window = rules.reactivation_days
            if self.churned is None or (window is not None and (day - self.churned).days > window):
                return "new"
            return "reactivated"
        if not self.mrr:
            return "churned"
        return "expansion" if self.mrr > before else "contraction"
