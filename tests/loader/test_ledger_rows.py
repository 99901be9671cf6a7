"""The ledger as it is stored adds up: after rounding, for every day, book, currency, subscription and plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.loader.ledger import COLUMNS, Told, columns, level, row
from tenure.subscriptions.account import OWN, Account, account, next_change, standing
from tenure.subscriptions.amount import rounded
from tenure.subscriptions.currency import Rate, Rates
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.ledger import day_of, levels
from tenure.subscriptions.movements import Movement
from tenure.subscriptions.mrr import parts
from tenure.subscriptions.rules import Rules
from tests.subscriptions.histories import DAY, active, at, fact
from tests.subscriptions.test_order import UNTIL, histories, rules, times

RATES = Rates("USD", {"EUR": (Rate(date(2020, 1, 1), Decimal("1.0837")),),
                      "XXX": (Rate(date(2020, 1, 1), Decimal("0.3")),)})  # fmt: skip
TENTH = Fraction(1, 10**10)


def stored(facts: list[Fact], by: Rules, rates: Rates | None = RATES) -> tuple[Account, dict[str, Any]]:
    """An account, and its row by column."""
    found = account(facts, by, rates)
    told = Told([b"k"], found, found.movements(by), "stamp", None)
    return found, dict(zip(COLUMNS, row("app", b"c", 1, told), strict=True))


def lines(made: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    names = ("book", "currency", "day", "kind", "plan", "source", "subscription", "before", "after")
    return zip(*(made[f"change.{name}"] for name in names), strict=True)


@settings(max_examples=60, deadline=None)
@given(histories(), rules)
def test_what_is_stored_adds_up(facts: list[Fact], by: Rules) -> None:
    """Each line begins where the last of its subscription and plan ended; and what all come to on a day is the rounded
    MRR of that day, in its own currency and in the one to report in, over three random years and what is ahead."""
    found, made = stored(facts, by)
    held: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    by_day: defaultdict[tuple[str, date], list[tuple[tuple[str, ...], Decimal]]] = defaultdict(list)
    for book, currency, day, _, plan, source, subscription, before, after in lines(made):
        place = (book, currency, source, subscription, plan)
        assert held[place] == before
        held[place] = Decimal(after)
        by_day[book, day].append((place, Decimal(after) - Decimal(before)))  # type: ignore[index]
    for book in (OWN, "USD"):
        sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
        days = [day for other, day in by_day if other == book]
        assert days == sorted(days)
        for day in days:
            for place, amount in by_day[book, day]:
                sums[place] += amount
            truth: dict[tuple[str, ...], Decimal] = {}
            for change in levels(facts, by, day, rates=RATES if book else None):
                truth = {place: amount for place, amount in truth.items() if place[2:4] != change.subscription}
                for plan, mrr in change.parts.items():
                    truth[book, change.currency, *change.subscription, plan] = level(mrr)
            assert {place: amount for place, amount in sums.items() if amount} == truth, day
    assert not found.no_rate


@settings(max_examples=60, deadline=None)
@given(histories(), rules)
def test_levels_are_what_changes_come_to(facts: list[Fact], by: Rules) -> None:
    """After each day with a change: the MRR of the currency, and the plan that most of it is of, or was before."""
    _, made = stored(facts, by)
    names = ("book", "currency", "day", "after", "plan", "held")
    found = list(zip(*(made[f"level.{name}"] for name in names), strict=True))
    is_held = {each[:3]: each[5] for each in found}
    held: defaultdict[tuple[str, str], defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    expected: dict[tuple[str, str, date], tuple[Decimal | int, str]] = {}
    before: dict[tuple[str, str], str] = {}
    for book, currency, day, _, plan, _, _, was, after in lines(made):
        plans = held[book, currency]
        plans[plan] += Decimal(after) - Decimal(was)
        main = min(plans, key=lambda one: (-plans[one], one))
        expected[book, currency, day] = sum(plans.values()), main
    for book, currency, day in sorted(expected):
        mrr, main = expected[book, currency, day]
        if is_held[book, currency, day]:
            assert not mrr
            expected[book, currency, day] = mrr, before[book, currency]
        before[book, currency] = expected[book, currency, day][1]
    assert {each[:3]: each[3:5] for each in found} == expected
    assert found == sorted(found, key=lambda each: each[:3])


def latest(found: list[Movement], now: int) -> list[Movement]:
    """The last movement in each currency by the end of a day."""
    return list({each.currency: each for each in found if each.day <= day_of(now)}.values())


@given(histories(), rules, times)
def test_the_standing_is_what_the_states_say(facts: list[Fact], by: Rules, now: int) -> None:
    """Status and plans are of the states that hold; MRR is that of the day's end; and nothing changes before the next
    change that is foretold."""
    found = account(facts, by)
    here = standing(found, now, by)
    holding = [span.state for spans in found.timelines.values() for span in spans
               if span.start <= now and (span.end is None or now < span.end)]  # fmt: skip
    assert (here is None) == (not holding)
    if here is None:
        return
    assert here.status in {state.status for state in holding}
    tonight = (now // DAY + 1) * DAY - 1
    evening = [span.state for spans in found.timelines.values() for span in spans
               if span.start <= tonight and (span.end is None or tonight < span.end)]  # fmt: skip
    mrr = sum((amount for state in evening for amount in parts(state, by).values()), Fraction(0))
    assert sum(here.mrr[OWN].values(), Fraction(0)) == mrr
    assert (here.paying is not None) is (bool(mrr) or any(each.held for each in latest(found.movements(by)[OWN], now)))
    upcoming = next_change(found, now)
    assert upcoming is None or upcoming > now
    before = now + DAY * 400 if upcoming is None else upcoming - 1
    assert standing(found, before, by) == here


def test_what_the_list_has() -> None:
    """One currency is told, converted where there is one to report in; of several none is, nor an amount."""
    now = at("2025-06-15")
    dollars = active("2025-01-10", 3000, period_end="2025-07-10")
    euros = active("2025-01-10", 2000, subscription="s2", currency="EUR", status="past_due")

    def listed(*facts: Fact, rates: Rates | None = None) -> Any:
        found = account(facts, Rules(), rates)
        return columns(found, standing(found, now, Rules()))

    one = listed(dollars)
    assert (one.status, one.mrr, one.currency, one.renews_at) == ("active", 30, "USD", at("2025-07-10"))
    assert one.shown.mrr == "30.00"
    both = listed(dollars, euros)
    assert (both.status, both.past_due, both.mrr, both.currency, both.shown.mrr) == ("active", True, 0, "", None)
    assert listed(dollars, euros, rates=RATES).shown.mrr == "51.67"
    missing = Rates("GBP", {"USD": (Rate(date(2020, 1, 1), Decimal("0.8")),)})
    assert (listed(dollars, rates=missing).shown.mrr, listed(dollars, euros, rates=missing).shown.mrr) == (
        "24.00",
        None,
    )
    assert listed(active("2025-07-01")) == columns(account([], Rules()), None)
    ended = listed(dollars, fact("2025-02-01", status="canceled"))
    assert (ended.status, ended.shown.mrr, ended.shown.currency, ended.paying_since) == (
        "canceled",
        "0.00",
        "USD",
        None,
    )


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (Fraction(2500, 3), "USD", "8.33"),
        (3000, "JPY", "3000"),
        (1500, "KWD", "1.500"),
        (Fraction(1, 2), "USD", "0.00"),
    ],
)
def test_amounts_as_they_are_shown(amount: Fraction, currency: str, shown: str) -> None:
    """In units, to whole smallest units, half to even."""
    assert rounded(Fraction(amount), currency) == shown


@given(st.fractions(), st.integers(0, 40))
def test_a_level_is_stored_to_ten_places(amount: Fraction, power: int) -> None:
    """Exactly as far as that, half to even; what is beyond the largest is that."""
    found = level(amount * 10**power)
    assert found.as_tuple().exponent == -10
    assert len(found.as_tuple().digits) <= 38
    assert abs(Fraction(found) - amount * 10**power) <= TENTH / 2 or abs(found) == 10**24


def test_days_that_no_column_holds() -> None:
    """Facts of the year 1 and of the year 9999 are stored on the first and the last day, and add up all the same."""
    _, made = stored([active("0001-03-01"), fact("9998-01-01", status="canceled")], Rules(), None)
    assert made["change.day"] == [date(1900, 1, 1), date(2299, 12, 31)]
    assert (made["change.before"], made["change.after"]) == ([0, 3000], [3000, 0])
    assert all(one <= other for one, other in pairwise(made["change.day"]))
    assert day_of(at("2025-01-01")) <= UNTIL
