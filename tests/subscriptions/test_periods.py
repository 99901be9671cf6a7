"""When an end counts: with the first period that does not begin before it, where bills are over a month apart."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.subscriptions.fact import Item
from tenure.subscriptions.movements import movements
from tenure.subscriptions.mrr import mrr
from tenure.subscriptions.periods import Period, after, counts_from, is_long
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.state import timeline
from tests.subscriptions.histories import active, at, fact

YEARLY = [{"amount": 12_000, "unit": "year"}]
HALF = [{"percent": 50, "starts_at": "2026-01-01", "ends_at": "2026-04-01"}]


@pytest.mark.parametrize(
    ("unit", "count", "end", "from_"),
    [
        ("year", 1, "2026-04-01", "2027-01-31"), ("year", 1, "2027-01-31", "2027-01-31"),
        ("year", 1, "2027-02-01", "2028-01-31"), ("year", 3, "2026-04-01", "2029-01-31"),
        ("quarter", 1, "2026-02-01", "2026-04-30"), ("quarter", 1, "2026-05-01", "2026-07-31"),
        ("month", 2, "2026-02-01", "2026-03-31"), ("month", 6, "2030-02-01", "2030-07-31"),
        ("week", 5, "2026-02-01", "2026-03-07"), ("day", 90, "2026-02-01", "2026-05-01"),
        ("month", 1, "2026-02-10", "2026-02-10"), ("week", 4, "2026-02-10", "2026-02-10"),
        ("day", 31, "2026-02-10", "2026-02-10"), ("year", 1, "2026-01-31", "2026-01-31"),
        ("year", 1, "2025-12-31", "2025-12-31"),
    ],
)  # fmt: skip
def test_the_next_period(unit: str, count: int, end: str, from_: str) -> None:
    """Of a period that began on 31 January 2026; months that are shorter end on their last day."""
    item = Item(amount=1, unit=unit, count=count)  # type: ignore[arg-type]
    assert counts_from(at(end), item, Period(at("2026-01-31"))) == at(from_)


def test_a_period_whose_end_is_told() -> None:
    """It may be shorter than the interval; the next ones follow it. An item's own end stands before that."""
    yearly, period = Item(amount=1, unit="year"), Period(at("2026-01-01"), at("2026-01-15"))
    assert counts_from(at("2026-01-10"), yearly, period) == at("2026-01-15")
    assert counts_from(at("2026-04-01"), yearly, period) == at("2027-01-15")
    own = Item(amount=1, unit="year", period_end=at("2026-06-01"))
    assert counts_from(at("2026-04-01"), own, period) == at("2026-06-01")


ends = st.integers(-(2**48), 2**48)
items = st.builds(
    Item,
    amount=st.just(1),
    unit=st.sampled_from(["day", "week", "month", "quarter", "year"]),
    count=st.integers(1, 9999),
)


@given(ends, ends, st.none() | ends, items)
def test_an_end_never_counts_before_its_date(end: int, start: int, told: int | None, item: Item) -> None:
    """Whatever the period; and of prices that are billed monthly, or more often, on its date."""
    found = counts_from(end, item, Period(start, told))
    assert found >= end
    assert found == end or is_long(item)


@given(st.integers(0, 2**42), st.integers(1, 300), st.sampled_from(["month", "quarter", "year", "week", "day"]))
def test_periods_follow_each_other(start: int, number: int, unit: str) -> None:
    """An end within one counts from the next, which is later than the end by an interval at the most."""
    item = Item(amount=1, unit=unit, count=32 if unit == "day" else 20)  # type: ignore[arg-type]
    one, other = after(start, item, number - 1), after(start, item, number)
    assert one < other
    assert counts_from(other, item, Period(start)) == other
    assert counts_from(one + 1, item, Period(start)) == other


@pytest.mark.parametrize(
    "fields", [{}, {"started_at": "2026-01-01"}, {"period_start": "2026-01-01"}, {"period_end": "2027-01-01"}]
)
def test_a_coupon_of_three_months_on_a_yearly_price_is_one_of_the_year(fields: dict[str, str]) -> None:
    """In Tenure's own form too, whatever it says of periods: one expansion, with the second year's bill."""
    found = [active("2026-01-01", items=YEARLY, discounts=HALF, **fields)]
    assert [(str(each.day), each.kind, each.after) for each in movements("c1", found, Rules(), date(2027, 12, 31))] == [
        ("2026-01-01", "new", 500), ("2027-01-01", "expansion", 1000)
    ]  # fmt: skip
    removed = [*found, fact("2026-06-01", discounts=[])]
    assert movements("c1", removed, Rules(), date(2027, 12, 31))[-1].day == date(2027, 1, 1)


def test_a_full_coupon_of_three_months_on_a_yearly_price_is_held_for_the_year() -> None:
    """And its end is no return."""
    paid = active("2025-01-01", items=YEARLY)
    found = [paid, fact("2026-01-01", discounts=[HALF[0] | {"percent": 100}], period_start="2026-01-01")]
    assert [(str(each.day), each.kind) for each in movements("c1", found, Rules(), date(2027, 12, 31))] == [
        ("2025-01-01", "new"), ("2026-01-01", "contraction"), ("2027-01-01", "expansion")
    ]  # fmt: skip


@given(st.lists(st.decimals(1, 99, places=1), min_size=1, max_size=3), st.permutations(range(4)))
def test_lists_in_any_order_of_receipt(percents: list[Decimal], order: list[int]) -> None:
    """Discounts that go and come on a yearly price give the same, whichever list is received first."""
    listed = [{"percent": str(percent), "id": f"d{number}"} for number, percent in enumerate(percents)]
    facts = [active("2026-01-01", items=YEARLY, discounts=listed), fact("2026-03-01", discounts=listed[1:]),
             fact("2026-05-01", discounts=[]), fact("2026-07-01", period_start="2026-01-01")]  # fmt: skip
    spans = timeline([facts[place] for place in order])
    assert spans == timeline(facts)
    left = Fraction(1000)
    for percent in percents:
        left *= 1 - Fraction(percent) / 100
    assert [mrr(span.state, Rules()) for span in spans if span.start <= at("2026-12-31")][-1] == left
    assert mrr(spans[-1].state, Rules()) == 1000
