"""Taxes that a price includes are no revenue, in every source; what is not said of them stays as it is known."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.event import Event
from tenure.subscriptions.fact import Discount, Fact, Item
from tenure.subscriptions.movements import movements
from tenure.subscriptions.mrr import is_unknown, mrr
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import facts, native, reading
from tenure.subscriptions.state import State, timeline
from tenure.subscriptions.statement import of_fact
from tenure.subscriptions.statement import read as read_statement
from tests.subscriptions.histories import at
from tests.subscriptions.stripe.webhooks import item, items, read, subscription, webhook

TWENTY = {"id": "txr_1", "object": "tax_rate", "percentage": 20.0, "inclusive": True}
ON_TOP = TWENTY | {"inclusive": False}
SILENT = {"id": "txr_1", "object": "tax_rate", "percentage": 20}


def priced(behavior: str | None = None, tax_rates: Any = None, **fields: Any) -> dict[str, Any]:
    """Fields of a subscription of 12.00 a month."""
    line = item(unit_amount=1200, **({} if behavior is None else {"tax_behavior": behavior}))
    return {"items": items(line | ({} if tax_rates is None else {"tax_rates": tax_rates}))} | fields


def last(*bodies: dict[str, Any]) -> State:
    return timeline([fact for body in bodies for fact in read(body).facts])[-1].state


def worth(*bodies: dict[str, Any]) -> Fraction:
    return mrr(last(*bodies), Rules())


@pytest.mark.parametrize(
    ("fields", "cents"),
    [
        (priced("inclusive", default_tax_rates=[TWENTY]), 1000),
        (priced("unspecified", default_tax_rates=[TWENTY]), 1000),
        (priced(None, default_tax_rates=[TWENTY]), 1000),
        (priced("inclusive", [TWENTY]), 1000),
        (priced("inclusive", [TWENTY], default_tax_rates=[]), 1000),
        (priced("inclusive", default_tax_rates=[SILENT]), 1000),
        (priced(None, [TWENTY | {"percentage": 50}], default_tax_rates=[TWENTY]), 800),
        (priced(None, [], default_tax_rates=[TWENTY]), 1000),
        (priced(None, default_tax_rates=[TWENTY | {"percentage": 12.5}, TWENTY | {"percentage": 7.5}]), 1000),
        (priced(None, default_tax_rates=[TWENTY, ON_TOP]), 1000),
        (priced("exclusive", default_tax_rates=[SILENT]), 1200),
        (priced("unspecified", default_tax_rates=[ON_TOP]), 1200),
        (priced("inclusive", default_tax_rates=[ON_TOP]), 1200),
        (priced("exclusive"), 1200),
        (priced("unspecified", default_tax_rates=[]), 1200),
        (priced(None, tax_percent=20), 1200),
        (priced("unspecified", automatic_tax={"enabled": True}), 1200),
    ],
)
def test_taxes_that_the_price_includes_are_left_out(fields: dict[str, Any], cents: int) -> None:
    """Of 12.00 with 20 % inside 10.00 are revenue; taxes on top change nothing, and `tax_percent` was always on top."""
    body = webhook("2026-03-01", "created", **fields)
    assert read(body).problem is None
    assert worth(body) == worth(subscription(**fields)) == cents
    assert not is_unknown(last(body), Rules())


def test_the_behavior_of_the_subscriptions_currency_counts() -> None:
    """A price may include taxes in one currency and not in another."""
    option = {"usd": {"unit_amount": 1200, "tax_behavior": "inclusive"}}
    line = item(currency="eur", tax_behavior="exclusive", currency_options=option)
    assert worth(webhook("2026-03-01", "created", items=items(line), default_tax_rates=[SILENT])) == 1000


@pytest.mark.parametrize(
    "fields",
    [
        priced("inclusive"),
        priced("inclusive", automatic_tax={"enabled": True}, default_tax_rates=[]),
        priced("inclusive", default_tax_rates=[{"id": "txr_1", "inclusive": True}]),
        priced("inclusive", default_tax_rates=["txr_1"]),
        priced("inclusive", ["txr_1"], default_tax_rates=[]),
    ],
)
def test_an_included_tax_of_an_unknown_rate_is_told(fields: dict[str, Any]) -> None:
    """The problem is named; the price counts whole, and is marked; a rate that is known from elsewhere stays."""
    unknown = webhook("2026-03-10", **fields)
    assert read(unknown).problem == reading.UNKNOWN_TAX
    assert (worth(unknown), is_unknown(last(unknown), Rules())) == (1200, True)
    known = webhook("2026-03-01", "created", **priced("inclusive", default_tax_rates=[TWENTY]))
    assert (worth(known, unknown), is_unknown(last(known, unknown), Rules())) == (1000, False)
    later = webhook("2026-03-20", **priced("inclusive", default_tax_rates=[TWENTY]))
    found = [fact for body in (unknown, later) for fact in read(body).facts]
    assert [each.after for each in movements("c1", found, Rules(), date(2026, 12, 31))] == [1000]


def test_what_says_nothing_of_taxes_leaves_them() -> None:
    """A webhook of an old version, one without the price; a tax that is no more is said."""
    known = webhook("2026-03-01", "created", **priced("inclusive", default_tax_rates=[TWENTY]))
    assert worth(known, webhook("2026-03-10", **priced(default_tax_rates=None))) == 1000
    assert worth(known, webhook("2026-03-10", items=items({"id": "si_1", "quantity": 1}))) == 1000
    assert worth(known, webhook("2026-03-10", **priced("unspecified", default_tax_rates=[]))) == 1200
    assert worth(known, webhook("2026-03-10", **priced("exclusive"))) == 1200
    flat = webhook("2026-03-01", "created", **priced("exclusive"))
    assert is_unknown(last(flat, webhook("2026-03-10", **priced("inclusive"))), Rules())


def test_tax_is_within_what_discounts_leave() -> None:
    """An amount off is off the price with its tax: (12.00 - 6.00) / 1.2; a percentage is one of both."""
    state = State(status="active", currency="USD", items=(Item(amount=1200, tax=Decimal(20), taxed=True),))
    for discount in (Discount(amount=600), Discount(percent=Decimal(50))):
        assert mrr(msgspec.structs.replace(state, discounts=(discount,)), Rules()) == 500


def told(*lines: tuple[str, dict[str, Any]], dialect: str = "native", **fields: Any) -> list[Fact]:
    """The facts of statements with one item."""
    given = {"source": "erp", "subscription": "s", "status": "active", "currency": "EUR"} | fields
    return [
        fact
        for when, line in lines
        for fact in facts(dialect, Event(
            index=0, name="subscription_updated", uid="u", occurred_at=at(when),
            properties=json.dumps(given | {"items": [{"amount": 1200, "interval": "month"} | line]}),
        ), at(when) * 1_000).facts
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", ["native", "import"])
@pytest.mark.parametrize(
    ("line", "cents"),
    [
        ({"tax_percent": 20}, 1000), ({"tax_percent": "20", "tax_inclusive": True}, 1000),
        ({"tax_percent": 20, "tax_inclusive": False}, 1200), ({"tax_percent": 0}, 1200), ({}, 1200),
        ({"tax_inclusive": False}, 1200), ({"tax_percent": 8.5}, Fraction(1200) / Fraction("1.085")),
    ],
)  # fmt: skip
def test_statements_say_the_tax_of_an_item(dialect: str, line: dict[str, Any], cents: Fraction) -> None:
    """`tax_percent` is in the amount unless `tax_inclusive` is false."""
    (state,) = (span.state for span in timeline(told(("2026-03-01", line), dialect=dialect)))
    assert (mrr(state, Rules()), is_unknown(state, Rules())) == (cents, False)


def test_a_statement_that_says_nothing_of_a_tax_leaves_it() -> None:
    """A rate that is known once is known of the same item, before and after; inclusive alone is a named problem."""
    found = told(("2026-03-01", {}), ("2026-03-10", {"tax_percent": 20}), ("2026-03-20", {}),
                 ("2026-03-25", {"tax_inclusive": True}))  # fmt: skip
    assert {mrr(span.state, Rules()) for span in timeline(found)} == {1000}
    body = {"source": "erp", "subscription": "s", "items": [{"amount": 1, "interval": "day", "tax_inclusive": True}]}
    sent = Event(index=0, name="subscription_updated", uid="u", properties=json.dumps(body))
    assert native.facts(sent, 0).problem == reading.UNKNOWN_TAX


@given(st.decimals(0, 100, places=3), st.integers(1, 10**9), st.booleans())
def test_tax_is_exact_and_none_is_neutral(percent: Decimal, amount: int, is_inclusive: bool) -> None:
    """Net and tax are the amount; a statement that is read again is the same."""
    line = {"amount": amount, "interval": "month", "tax_percent": str(percent), "tax_inclusive": is_inclusive}
    statement = read_statement({"subscription": "s", "items": [line]})
    assert read_statement(statement) == statement
    (found,) = msgspec.convert(of_fact(statement)["items"], tuple[Item, ...])
    net = mrr(State(status="active", currency="USD", items=(found,)), Rules())
    if percent and is_inclusive:
        assert net * (100 + Fraction(percent)) / 100 == amount
    else:
        assert net == amount
