"""The MRR of a subscription's state: exact, in smallest units of its currency a month, by plan.

Nothing here is rounded. MRR is a Fraction until it is shown; `rounded` is how.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal, TypeAlias

import msgspec

from tenure.subscriptions.discounts import is_on
from tenure.subscriptions.fact import Count, Discount, Item, Unit
from tenure.subscriptions.items import are_unknown
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.state import State

Parts: TypeAlias = dict[str, Fraction]
"""MRR by plan. Empty: none."""

Kept: TypeAlias = Literal["", "concession", "paused"]

_MONTHS: Final[dict[Unit, int]] = {"month": 1, "quarter": 3, "year": 12}


def mrr(state: State, rules: Rules) -> Fraction:
    """The MRR of a state, in smallest units."""
    return sum(parts(state, rules).values(), Fraction(0))


def parts(state: State, rules: Rules) -> Parts:
    """The MRR of a state by plan. A subscription whose items come to nothing, or less, has none."""
    if not counts(state, rules):
        return {}
    kinds = _kinds(rules)
    items = {place: item for place, item in enumerate(state.items or ()) if item.kind in kinds}
    amounts = {place: monthly(item.amount or 0, item.unit, item.count, rules) for place, item in items.items()}
    for discount in in_force(state, rules):
        _take_off(discount, items, amounts, rules)
    if sum(amounts.values()) <= 0 or (state.untold == "all" and rules.discounts != "none"):
        return {}
    found: Parts = {}
    for place, item in items.items():
        if amounts[place]:
            plan = item.plan or ""
            found[plan] = found.get(plan, Fraction(0)) + _without_tax(amounts[place], item)
    return found


def in_force(state: State, rules: Rules | None = None) -> list[Discount]:
    """The discounts that are taken off, or with rules those that count: a payer's where the subscription as a whole has
    none."""
    if rules is not None and rules.discounts == "none":
        return []
    own, theirs = (
        [each for each in listed if rules is None or rules.discounts == "all" or not each.once]
        for listed in (state.discounts, state.payer_discounts)
    )
    return own if any(each.item is None for each in own) else own + theirs


def _without_tax(amount: Fraction, item: Item) -> Fraction:
    """What is earned of an amount: the taxes that it includes are none of it. They are reckoned after discounts."""
    return amount / (1 + Fraction(item.tax) / 100) if item.tax else amount


def is_unknown(state: State, rules: Rules) -> bool:
    """Whether a state counts of which the price, or a part of it, was never told: what is known of it counts.

    A part are the terms of a discount, and the rate of a tax that the price includes.
    """
    is_untold = bool(state.untold) and rules.discounts != "none"
    return counts(state, rules) and (is_untold or are_unknown(state.items, _kinds(rules)))


def _kinds(rules: Rules) -> frozenset[str]:
    return frozenset({"recurring", "metered"} if rules.metered == "in" else {"recurring"})


def kept(state: State, rules: Rules) -> Kept:
    """Why a subscription goes on that has MRR no more, though it had: a pause, or a concession that is to end."""
    if rules.cancel == "request" and (state.canceled_at is not None or state.cancel_at is not None):
        return ""
    if state.status == "paused":
        return "paused"
    if state.status == "trialing":
        return "concession"
    lasting = msgspec.structs.replace(
        state, discounts=_lasting(state.discounts), payer_discounts=_lasting(state.payer_discounts)
    )
    return "concession" if lasting != state and parts(lasting, rules) else ""


def _lasting(discounts: Iterable[Discount]) -> tuple[Discount, ...]:
    return tuple(each for each in discounts if each.ends_at is None and not each.once)


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


def counts(state: State, rules: Rules) -> bool:
    """Whether a subscription has MRR in a state, if it costs something."""
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


def _take_off(discount: Discount, items: Mapping[int, Item], amounts: dict[int, Fraction], rules: Rules) -> None:
    """Lower the amounts that a discount is on, in proportion, never below nothing."""
    places = [place for place, item in items.items() if is_on(discount, place, item)]
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
