"""MRR of a state under each rule, conversions, and that every rule is on the page of rules."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenure.errors import BadRequest
from tenure.subscriptions.currency import Rate, Rates, exponent
from tenure.subscriptions.fact import Discount, Item, Pause
from tenure.subscriptions.mrr import mrr, parts
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.state import State

PAGE = Path(__file__).parents[2] / "docs/mrr.md"


def state(*items: Item, **fields: Any) -> State:
    return State(**({"status": "active", "currency": "USD", "items": items or (Item(amount=1200),)} | fields))


SWITCHES = [
    ("cancel", "request", state(cancel_at=1), 1200, 0),
    ("discounts", "all", state(discounts=(Discount(percent=Decimal(50), once=True),)), 1200, 600),
    ("discounts", "none", state(discounts=(Discount(percent=Decimal(50)),)), 600, 1200),
    ("trials", "in", state(status="trialing"), 0, 1200),
    ("past_due", "out", state(status="past_due"), 1200, 0),
    ("unpaid", "in", state(status="unpaid"), 0, 1200),
    ("paused", "in", state(status="paused", pause=Pause(0)), 0, 1200),
    ("metered", "in", state(Item(amount=1200), Item(amount=300, kind="metered")), 1200, 1500),
    ("days_per_year", 366, state(Item(amount=12, unit="day")), 365, 366),
    ("weeks_per_year", 53, state(Item(amount=12, unit="week")), 52, 53),
]


@pytest.mark.parametrize(("switch", "value", "of", "by_default", "switched"), SWITCHES)
def test_a_switch(switch: str, value: Any, of: State, by_default: int, switched: int) -> None:
    """Each switch changes what it is for, and only when it is switched."""
    assert mrr(of, Rules()) == by_default
    assert mrr(of, Rules(**{switch: value})) == switched


def test_every_switch_is_tried() -> None:
    """No rule is without a test: the window of returns is in the golden book."""
    assert {switch for switch, *_ in SWITCHES} | {"reactivation_days"} == set(Rules.__struct_fields__)


def test_every_switch_is_on_the_page_with_its_default() -> None:
    """`docs/mrr.md` has one row for each switch with its default, each of its values, and no other."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    defaults = msgspec.json.decode(msgspec.json.encode(Rules()))
    assert rows == {name: "null" if value is None else str(value) for name, value in defaults.items()}
    for field in msgspec.inspect.type_info(Rules).fields:  # type: ignore[attr-defined]
        row = re.search(rf"^\| `{field.name}` \|.*$", PAGE.read_text(), re.MULTILINE)
        assert row is not None
        for value in getattr(field.type, "values", ()):
            assert f"`{value}`" in row[0]


def test_incomplete_and_canceled_never_count() -> None:
    """No switch makes MRR of a first payment that did not come, or of what has ended."""
    everything = Rules(trials="in", unpaid="in", paused="in")
    assert mrr(state(status="incomplete"), everything) == mrr(state(status="canceled"), everything) == 0


def test_discounts_in_order() -> None:
    """They are taken off one after the other, an amount in proportion to the plans, never below nothing."""
    items = Item(id="a", plan="a", amount=3000), Item(id="b", plan="b", amount=1000)
    tenth, four = Discount(percent=Decimal(10)), Discount(amount=400)
    assert mrr(state(*items, discounts=(tenth, four)), Rules()) == 3200
    assert mrr(state(*items, discounts=(four, tenth)), Rules()) == 3240
    assert parts(state(*items, discounts=(four,)), Rules()) == {"a": 2700, "b": 900}
    on_one = Discount(amount=5000, item="b")
    assert parts(state(*items, discounts=(on_one,)), Rules()) == {"a": 3000}
    assert parts(state(*items, discounts=(Discount(amount=9999),)), Rules()) == {}


def test_what_comes_to_nothing_is_no_mrr() -> None:
    """Credits lower MRR; a free subscription, or one of less than nothing, has none."""
    assert mrr(state(Item(amount=3000), Item(amount=-500)), Rules()) == 2500
    assert parts(state(Item(amount=500), Item(amount=-3000, plan="credit")), Rules()) == {}
    assert parts(state(Item(amount=0)), Rules()) == {}


def test_no_digit_is_lost() -> None:
    """The largest amount a day over three, a hundredth of a percent off, is exact."""
    item = Item(amount=2**63 - 1, unit="day", count=3)
    found = mrr(state(item, discounts=(Discount(percent=Decimal("0.01")),)), Rules())
    assert found == Fraction((2**63 - 1) * 365 * 9999, 12 * 3 * 10000)


def test_conversion_between_currencies_of_any_decimals() -> None:
    """1,500 JPY at 0.0067 are 10.05 USD; 1.500 KWD at 3.25 are 4.875 USD, 487.5 cents."""
    rates = Rates("USD", {"JPY": (Rate(date(2025, 1, 1), Decimal("0.0067")),),
                          "KWD": (Rate(date(2025, 1, 1), Decimal("3.25")),)})  # fmt: skip
    assert rates.convert(Fraction(1500), "JPY", date(2025, 1, 1)) == 1005
    assert rates.convert(Fraction(1500), "KWD", date(2025, 6, 1)) == Fraction(975, 2)
    assert rates.convert(Fraction(7), "USD", date(2025, 6, 1)) == 7
    assert [exponent(currency) for currency in ("USD", "JPY", "KWD", "CLF")] == [2, 0, 3, 4]


def test_of_dated_rates_the_last_by_then_counts() -> None:
    """Of any number of rates, given in any order: the one of the day, else of the last day before that has one."""
    months = [Rate(date(2025, month, 1), Decimal(month)) for month in (7, 1, 12, 3)]
    rates = Rates("USD", {"EUR": tuple(months)})
    days = [date(2025, 1, 1), date(2025, 2, 28), date(2025, 3, 1), date(2025, 11, 30), date(2025, 12, 1), date.max]
    assert [rates.convert(Fraction(1), "EUR", day) for day in days] == [1, 1, 3, 7, 12, 12]


def test_a_rate_that_is_missing_is_said() -> None:
    """No amount is left out or taken at another day's rate in silence."""
    rates = Rates("USD", {"EUR": (Rate(date(2025, 2, 1), Decimal("1.1")),)})
    with pytest.raises(BadRequest, match="no rate from EUR to USD for 2025-01-31"):
        rates.convert(Fraction(1), "EUR", date(2025, 1, 31))
