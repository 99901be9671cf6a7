"""Movements of MRR: what changed, for which customer, and the subscriptions behind it.

Of one customer, one currency and one day there is at most one movement, so that a plan that is replaced by another
within a day is no churn. Opening + movements = closing, exactly, for every day, customer, currency and plan: a movement
is the sum of its changes, and each change is of one subscription and plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from tenure.subscriptions.currency import Rates
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.ledger import Level, Subscription, levels
from tenure.subscriptions.mrr import Kept, Parts
from tenure.subscriptions.rules import Rules

Kind: TypeAlias = Literal["new", "expansion", "contraction", "churned", "reactivated", "transfer", "paused", "resumed"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""`transfer`: between plans or subscriptions, of no amount as a whole. `paused` and `resumed`: by a pause."""


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
    held: bool = False
    """Without MRR from it on, and a customer all the same: a pause, or a concession that is to end."""

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
    books: defaultdict[str, _Book] = defaultdict(_Book)
    held: dict[Subscription, Level] = {}
    found: list[Movement] = []
    for day, group in groupby(ordered, key=lambda level: level.day):
        changes: defaultdict[str, list[Change]] = defaultdict(list)
        kept: defaultdict[str, dict[Subscription, Kept]] = defaultdict(dict)
        for level in group:
            old = held.get(level.subscription)
            held[level.subscription] = level
            old_parts: Parts = {} if old is None else old.parts
            if old is not None and old.currency != level.currency:
                gone = list(_changes(level.subscription, old_parts, {}))
                changes[old.currency] += gone or ([_unmoved(old)] if old.kept else [])
                kept[old.currency][level.subscription] = ""
                old_parts = {}
            moved = list(_changes(level.subscription, old_parts, level.parts))
            changes[level.currency] += moved or [_unmoved(level)]
            kept[level.currency][level.subscription] = level.kept
        for currency in sorted(changes):
            entry = _Entry(day, customer, currency, changes[currency], kept[currency])
            movement = books[currency].enter(entry, rules)
            if movement is not None:
                found.append(movement)
    return found


def _changes(subscription: Subscription, before: Parts, after: Parts) -> Iterator[Change]:
    none = Fraction(0)
    for plan in sorted(before.keys() | after.keys()):
        if before.get(plan, none) != after.get(plan, none):
            yield Change(subscription, plan, before.get(plan, none), after.get(plan, none))


def _unmoved(level: Level) -> Change:
    """Of a subscription that has no MRR before or after: it is no longer kept, or for another reason."""
    plan = next((item.plan for item in level.before.items or () if item.plan), "")
    return Change(level.subscription, plan, Fraction(0), Fraction(0))


class _Entry(NamedTuple):
    """What changed of a customer in one currency on a day, and which of the subscriptions are kept from then on."""

    day: date
    customer: str
    currency: str
    changes: list[Change]
    kept: dict[Subscription, Kept]


class _Book:
    """The MRR of one customer in one currency so far."""

    def __init__(self) -> None:
        self.mrr = Fraction(0)
        self.kept: dict[Subscription, Kept] = {}
        self.churned: date | None = None

    def enter(self, entry: _Entry, rules: Rules) -> Movement | None:
        """The movement that changes of a day are; None where nothing moved and the customer stays one, or none."""
        changes = tuple(entry.changes)
        before, was_kept = self.mrr, self.kept
        self.mrr += sum((change.after - change.before for change in changes), Fraction(0))
        self.kept = {one: why for one, why in (was_kept | entry.kept).items() if why}
        is_still = all(not change.before and not change.after for change in changes)
        if is_still and bool(self.mrr or self.kept) == bool(before or was_kept):
            return None
        kind = self._kind(before, was_kept, entry.day, rules)
        if kind == "churned":
            self.churned = entry.day
        held = not self.mrr and bool(self.kept)
        return Movement(entry.day, entry.customer, entry.currency, kind, before, self.mrr, changes, held)

    def _kind(self, before: Fraction, was_kept: Mapping[Subscription, Kept], day: date, rules: Rules) -> Kind:
        if not before and not was_kept:
            window = rules.reactivation_days
            if self.churned is None or (window is not None and (day - self.churned).days > window):
                return "new"
            return "reactivated"
        if not self.mrr and not self.kept:
            return "churned"
        if before == self.mrr:
            return "transfer"
        paused, were_paused = _paused(self.kept), _paused(was_kept)
        if self.mrr < before:
            return "paused" if paused - were_paused else "contraction"
        return "resumed" if were_paused - paused else "expansion"


def _paused(kept: Mapping[Subscription, Kept]) -> set[Subscription]:
    return {one for one, why in kept.items() if why == "paused"}
