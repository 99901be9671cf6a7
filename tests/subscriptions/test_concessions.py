"""A save offer that is accepted is no churn, a pause is a movement of its own; what ends meanwhile is churn then."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.subscriptions.fact import Fact
from tenure.subscriptions.metrics import churn, cohorts, main_plans
from tenure.subscriptions.movements import movements
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.spells import spells
from tests.subscriptions.histories import fact

UNTIL = date(2026, 12, 31)
DAYS = {"starts_at": "2026-04-01", "ends_at": "2026-06-01"}


def paying(when: str = "2026-03-01", **fields: Any) -> Fact:
    priced = {"status": "active", "currency": "USD", "items": [{"amount": 3000, "plan": "pro"}]}
    return fact(when, **(priced | fields))


def moved(found: list[Fact], rules: Rules | None = None) -> list[tuple[str, str, int]]:
    return [(str(each.day), each.kind, int(each.amount))
            for each in movements("c1", found, rules or Rules(), UNTIL)]  # fmt: skip


def ends(found: list[Fact], rules: Rules | None = None) -> list[date | None]:
    return [spell.end for spell in spells(found, rules or Rules(), UNTIL)]


OFFERS = {
    "a free month": [fact("2026-04-01", status="trialing", trial_end="2026-06-01"), paying("2026-06-01")],
    "a full coupon of two months": [fact("2026-04-01", discounts=[{"percent": 100} | DAYS])],
    "an amount off that is more than the price": [fact("2026-04-01", discounts=[{"amount": 9000} | DAYS])],
}


@pytest.mark.parametrize("offer", OFFERS)
def test_a_concession_is_contraction_and_expansion(offer: str) -> None:
    """Of a customer who stays all the time."""
    found = [paying(), *OFFERS[offer]]
    assert moved(found) == [
        ("2026-03-01", "new", 3000), ("2026-04-01", "contraction", -3000), ("2026-06-01", "expansion", 3000)
    ]  # fmt: skip
    assert ends(found) == [None]
    everything = movements("c1", found, Rules(), UNTIL)
    may = churn(everything, "USD", date(2026, 5, 1), date(2026, 5, 31))
    assert (may.customers, may.lost, may.opening, may.churned) == (1, 0, 0, 0)
    april = churn(everything, "USD", date(2026, 4, 1), date(2026, 4, 30))
    assert (april.customers, april.lost, april.contraction, april.churned) == (1, 0, 3000, 0)
    assert cohorts(everything, "USD", date(2026, 7, 1))[0].customers == (1, 1, 1, 1, 1)
    assert main_plans(everything, "USD", date(2026, 5, 1)) == {"c1": "pro"}


def test_a_billing_date_moved_by_a_trial_of_nine_days_is_none() -> None:
    """As billing systems move it."""
    found = [paying(), fact("2026-04-01", status="trialing", trial_end="2026-04-10"), paying("2026-04-10")]
    assert [kind for _, kind, _ in moved(found)] == ["new", "contraction", "expansion"]
    assert ends(found) == [None]


def test_a_pause_is_paused_and_resumed() -> None:
    """The spell goes on; of two subscriptions it lowers MRR by one, and without an end nothing is resumed."""
    found = [paying(), fact("2026-03-15", pause=DAYS)]
    assert moved(found) == [
        ("2026-03-01", "new", 3000), ("2026-04-01", "paused", -3000), ("2026-06-01", "resumed", 3000)
    ]  # fmt: skip
    assert ends(found) == [None]
    two = [*found, paying(subscription="s2")]
    assert moved(two) == [
        ("2026-03-01", "new", 6000), ("2026-04-01", "paused", -3000), ("2026-06-01", "resumed", 3000)
    ]  # fmt: skip
    assert [kind for _, kind, _ in moved([paying(), fact("2026-04-01", status="paused")])] == ["new", "paused"]
    assert moved(found, Rules(paused="in")) == [("2026-03-01", "new", 3000)]


@pytest.mark.parametrize("offer", [*OFFERS, "a pause"])
def test_who_leaves_during_it_is_churned_then(offer: str) -> None:
    """Of no amount, as the amount went before; the spell ends with its cause, and the period counts one lost."""
    begun = [fact("2026-04-01", pause=DAYS)] if offer == "a pause" else OFFERS[offer][:1]
    found = [paying(), *begun, fact("2026-05-10", status="canceled", cause="voluntary", reason="price")]
    assert [(day, kind) for day, kind, _ in moved(found)] == [
        ("2026-03-01", "new"), ("2026-04-01", "paused" if offer == "a pause" else "contraction"),
        ("2026-05-10", "churned"),
    ]  # fmt: skip
    assert [(spell.end, spell.cause, spell.reason) for spell in spells(found, Rules(), UNTIL)] == [
        (date(2026, 5, 10), "voluntary", "price")
    ]
    may = churn(movements("c1", found, Rules(), UNTIL), "USD", date(2026, 5, 1), date(2026, 5, 31))
    assert (may.customers, may.lost) == (1, 1)
    back = [*found, paying("2026-08-01")]
    assert moved(back)[-1] == ("2026-08-01", "reactivated", 3000)


def test_what_is_no_concession_stays_churn() -> None:
    """A coupon for ever, a bill that was given up, a price of 0; a first trial, or a free start, are not in."""
    for_ever = fact("2026-04-01", discounts=[{"percent": 100}])
    for last in (for_ever, fact("2026-04-01", status="unpaid"), paying("2026-04-01", items=[{"amount": 0}])):
        assert [kind for _, kind, _ in moved([paying(), last])] == ["new", "churned"]
    trial = fact("2026-02-01", status="trialing", currency="USD", items=[{"amount": 3000}], trial_end="2026-03-01")
    assert moved([trial]) == []
    assert moved([trial, paying()]) == [("2026-03-01", "new", 3000)]
    assert moved([paying("2026-03-15", discounts=[{"percent": 100} | DAYS | {"starts_at": "2026-03-01"}])]) == [
        ("2026-06-01", "new", 3000)
    ]
    asked = fact("2026-04-05", canceled_at="2026-04-05", cancel_at="2026-06-01")
    found = [paying(), *OFFERS["a free month"][:1], asked]
    assert ends(found, Rules(cancel="request")) == [date(2026, 4, 5)]


steps = st.lists(
    st.sampled_from(["trial", "pay", "coupon", "no coupon", "pause", "no pause", "up", "down"]), min_size=1, max_size=10
)
SAID: dict[str, dict[str, Any]] = {
    "trial": {"status": "trialing"}, "pay": {"status": "active"},
    "coupon": {"discounts": [{"percent": 100, "ends_at": "2027-06-01"}]}, "no coupon": {"discounts": []},
    "pause": {"pause": {"starts_at": "2026-03-01"}}, "no pause": {"pause": None},
    "up": {"items": [{"amount": 5000, "plan": "max"}]}, "down": {"items": [{"amount": 1000, "plan": "min"}]},
}  # fmt: skip


@given(steps)
def test_no_walk_through_offers_is_churn(walk: list[str]) -> None:
    """Whatever is granted and taken back, as long as nothing ends: one spell, no churn, no return; and it adds up."""
    found = [paying(), *(fact(f"2026-04-{day + 1:02}", **SAID[step]) for day, step in enumerate(walk))]
    told = movements("c1", found, Rules(), UNTIL)
    assert [each.kind for each in told].count("new") == 1
    assert {each.kind for each in told} <= {"new", "contraction", "expansion", "paused", "resumed"}
    assert ends(found) == [None]
    assert all(one.after == other.before for one, other in pairwise(told))
    assert all(each.held is (not each.after) for each in told)
