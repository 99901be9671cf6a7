"""The MRR of a subscription's state: exact, in smallest units of its currency a month, by plan.

Nothing here is rounded. MRR is a Fraction until it is shown; `rounded` is how.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, TypeAlias

from tenure.subscriptions.fact import Count, Discount, Item, Unit
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.state import State

Parts: TypeAlias = dict[str, Fraction]
"""MRR by plan. Empty: none."""

_MONTHS: Final[dict[Unit, int]] = {"month": 1, "quarter": 3, "year": 12}


def mrr(state: State, rules: Rules) -> Fraction:
    """The MRR of a state, in smallest units."""
    return sum(parts(state, rules).values(), Fraction(0))


def parts(state: State, rules: Rules) -> Parts:
    """The MRR of a state by plan. A subscription whose items come to nothing, or less, has none."""
    if not _counts(state, rules):
        return {}
    items = [
        item for item in state.items if item.kind == "recurring" or (item.kind, rules.metered) == ("metered", "in")
    ]
    amounts = [monthly(item.amount, item.unit, item.count, rules) for item in items]
    for discount in state.discounts:
        if rules.discounts == "all" or (rules.discounts == "recurring" and not discount.once):
            _take_off(discount, items, amounts, rules)
    if sum(amounts) <= 0:
        return {}
    found: Parts = {}
    for item, amount in zip(items, amounts, strict=True):
        if amount:
            found[item.plan] = found.get(item.plan, Fraction(0)) + amount
    return found


def monthly(amount: int, unit: Unit, count: Count, rules: Rules) -> Fraction:
    """An amount each `count` units, as an amount a month."""
    return amount / _length(unit, count, rules)


def rounded(amounts: Sequence[Fraction]) -> list[int]:
    """Amounts as whole smallest units whose sum is the sum rounded (half to even), each less than one unit off.

    The method of largest remainders: of equal remainders the first is rounded up.
    """
    found = [amount.__floor__() for amount in amounts]
    missing = round(sum(amounts, Fraction(0))) - sum(found)
    by_remainder = sorted(range(len(amounts)), key=lambda place: (found[place] - amounts[place], place))
    for place in by_remainder[:missing]:
        found[place] += 1
    return found


def _counts(state: State, rules: Rules) -> bool:
    if rules.cancel == "request" and (state.canceled_at is not None or state.cancel_at is not None):
        return False
    switches = {
        "active": "in",
        "trialing": rules.trials,
        "past_due": rules.past_due,
        "unpaid": rules.unpaid,
        "paused": rules.paused,
    }
    return switches.get(state.status) == "in"


def _length(unit: Unit, count: int, rules: Rules) -> Fraction:
    """Months of an interval."""
    if unit == "day":
        return Fraction(12 * count, rules.days_per_year)
    if unit == "week":
        return Fraction(12 * count, rules.weeks_per_year)
    return Fraction(_MONTHS[unit] * count)


def _take_off(discount: Discount, items: Sequence[Item], amounts: list[Fraction], rules: Rules) -> None:
    """Lower the amounts that a discount is on, in proportion, never below nothing."""
    places = [place for place, item in enumerate(items) if discount.item in (None, item.id)]
    before = sum((amounts[place] for place in places), Fraction(0))
    if before <= 0:
        return
    kept = Fraction(1)
    if discount.percent is not None:
        kept -= Fraction(discount.percent) / 100
    if discount.amount is not None:
        shortest = min(_length(items[place].unit, items[place].count, rules) for place in places)
        kept -= discount.amount / shortest / before
    for place in places:
        amounts[place] *= max(kept, Fraction(0))
