"""What a message does not say stays as it is known, in every source; what nobody ever said is unknown, never 0."""

from __future__ import annotations

import json
from datetime import date
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.event import Event
from tenure.subscriptions.account import account, standing
from tenure.subscriptions.fact import Fact, Item
from tenure.subscriptions.movements import movements
from tenure.subscriptions.mrr import is_unknown, mrr, parts
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import facts
from tenure.subscriptions.state import State, timeline
from tests.subscriptions.histories import at, fact
from tests.subscriptions.stripe.webhooks import item, items, read, seconds, subscription, webhook

UNTIL = date(2026, 12, 31)
TIERS = {
    "billing_scheme": "tiered", "tiers_mode": "graduated", "unit_amount": None,
    "tiers": [{"up_to": 5, "unit_amount": 1000}, {"up_to": None, "unit_amount": 800}],
}  # fmt: skip
NO_TIERS = {"billing_scheme": "tiered", "tiers_mode": "graduated", "unit_amount": None}


def said(dialect: str, *told: tuple[str, str, dict[str, Any]]) -> list[Fact]:
    """The facts of events: when, name and properties of each."""
    return [
        each
        for when, name, properties in told
        for each in facts(dialect, Event(index=0, name=name, uid="u1", occurred_at=at(when),
                                         properties=json.dumps(properties)), at(when) * 1_000).facts
    ]  # fmt: skip


def kinds(found: list[Fact]) -> list[str]:
    return [movement.kind for movement in movements("c1", found, Rules(), UNTIL)]


def state(found: list[Fact]) -> State:
    return timeline(found)[-1].state


def amounts(found: list[Fact]) -> dict[str, Fraction]:
    return parts(state(found), Rules())


def imported(received: str, **fields: Any) -> list[Fact]:
    """What an import says that is received at a time."""
    reading = read(subscription(**fields))
    return [msgspec.structs.replace(each, effective_at=at(received), received_at=at(received) * 1_000)
            for each in reading.facts]  # fmt: skip


@pytest.mark.parametrize(
    ("priced", "silent"),
    [
        (TIERS, NO_TIERS),
        ({"currency": "eur", "currency_options": {"usd": {"unit_amount": 900}}}, {"currency": "eur"}),
        ({"unit_amount": 900}, {"unit_amount": None}),
    ],
)
def test_a_webhook_without_the_price_takes_none_away(priced: dict[str, Any], silent: dict[str, Any]) -> None:
    """Of a subscription that was imported with its tiers, or with its price in the currency."""
    known = imported("2026-03-05", items=items(item(10, **priced)))
    worth = mrr(state(known), Rules())
    assert worth == 9000
    changed = read(webhook("2026-03-20", metadata={"team": "a"}, items=items(item(10, **silent)))).facts
    deleted = read(webhook("2026-03-22", items=items({"id": "si_1", "object": "subscription_item", "quantity": 10})))
    for more in (changed, (*changed, *deleted.facts)):
        found = [*known, *more]
        assert (mrr(state(found), Rules()), kinds(found)) == (worth, ["new"])
        assert not is_unknown(state(found), Rules())
    again = imported("2026-03-25", items=items(item(12, **priced)))
    assert mrr(state([*known, *changed, *again]), Rules()) > worth


def test_a_price_that_is_told_later_was_it_all_along() -> None:
    """The webhooks came without tiers, the import after them has them; until then it is unknown, and no churn."""
    webhooks = [*read(webhook("2026-03-01", "created", items=items(item(10, **NO_TIERS)))).facts,
                *read(webhook("2026-03-10", items=items(item(10, **NO_TIERS)))).facts]  # fmt: skip
    assert kinds(webhooks) == []
    assert is_unknown(state(webhooks), Rules())
    found = [*webhooks, *imported("2026-03-20", items=items(item(10, **TIERS)))]
    assert [(str(each.day), each.kind, each.after) for each in movements("c1", found, Rules(), UNTIL)] == [
        ("2026-03-01", "new", 9000)
    ]


def test_another_plan_whose_price_is_not_told_is_no_churn() -> None:
    """The line goes on; what it comes to stays until it is told."""
    found = [*imported("2026-03-05"), *read(webhook("2026-03-20", items=items(item(1, id="p2", **NO_TIERS)))).facts]
    assert [(movement.kind, movement.after) for movement in movements("c1", found, Rules(), UNTIL)] == [
        ("new", 3000), ("transfer", 3000)
    ]  # fmt: skip


def test_the_unknown_is_shown() -> None:
    """A subscription without a price counts beside the MRR that is known; it is neither 0 nor an end."""
    unknown = said("windback", ("2026-03-01", "subscription_started", {"plan": "pro"}))
    now = at("2026-06-01")
    here = standing(account(unknown, Rules()), now, Rules())
    assert here is not None
    assert (here.status, here.plans, here.unpriced, here.mrr[""]) == ("active", ("pro",), 1, {})
    both = [*unknown, fact("2026-03-01", status="active", currency="USD", items=[{"amount": 3000}])]
    here = standing(account(both, Rules()), now, Rules())
    assert here is not None
    assert (here.unpriced, here.mrr[""]) == (1, {"USD": 3000})
    ended = [*unknown, *said("windback", ("2026-05-01", "subscription_ended", {}))]
    here = standing(account(ended, Rules()), now, Rules())
    assert here is not None
    assert here.unpriced == 0


@pytest.mark.parametrize(
    "flow",
    [
        {"mrr": 4900, "currency": "USD", "cancel_reason": "too_expensive"},
        {"mrr": 4900, "currency": "USD", "plan": ""},
        {"mrr": 4900, "currency": "USD", "plan_name": None},
        {"cancel_reason": "other"},
    ],
)
@pytest.mark.parametrize("name", ["cancel_flow_submitted", "churn_recorded", "subscription_renewed"])
def test_a_windback_event_without_a_plan_leaves_the_plan(name: str, flow: dict[str, Any]) -> None:
    """Who leaves leaves the plan that they had."""
    began = ("2026-03-01", "subscription_started", {"mrr": 4900, "currency": "USD", "plan": "pro"})
    found = said("windback", began, ("2026-04-01", name, flow), ("2026-04-05", "subscription_ended", {}))
    plans = {change.plan for movement in movements("c1", found, Rules(), UNTIL) for change in movement.changes}
    assert plans == {"pro"}
    assert kinds(found) == ["new", "churned"]


def test_a_plan_without_an_amount_leaves_the_amount() -> None:
    """Windback's and Whisperr's plans alone; a renewal and a start without a price."""
    began = ("2026-03-01", "subscription_started", {"mrr": 4900, "currency": "USD", "plan": "pro"})
    assert amounts(said("windback", began, ("2026-04-01", "subscription_upgraded", {"plan": "max"}))) == {"max": 4900}
    assert amounts(said("windback", began, ("2026-04-01", "subscription_started", {}))) == {"pro": 4900}
    price = {"price": "9.99", "currency": "USD", "plan_period": "P1M", "plan_id": "gold"}
    began = ("2026-03-01", "trial_started", price)
    for name in ("membership_started", "trial_converted", "renewal_succeeded"):
        assert amounts(said("whisperr", began, ("2026-04-01", name, {}))) == {"gold": 999}
        assert amounts(said("whisperr", began, ("2026-04-01", name, {"plan_id": "max"}))) == {"max": 999}
    given_away = said("whisperr", began, ("2026-04-01", "membership_started", {"access_source": "promotional"}))
    assert amounts(given_away) == {}
    assert not is_unknown(state(given_away), Rules())


def test_metered_items_are_known_as_such() -> None:
    """Neither an amount nor unknown MRR, as long as they are left out; with them in, unknown."""
    found = read(webhook("2026-03-10", items=items(item(None, recurring={"usage_type": "metered"})))).facts
    assert not is_unknown(state(list(found)), Rules())
    assert is_unknown(state(list(found)), Rules(metered="in"))


def test_a_statement_without_a_plan_leaves_the_plan() -> None:
    """And one of several items says each of them, told by its id."""
    began = fact("2026-01-01", status="active", currency="USD", items=[{"amount": 3000, "plan": "pro"}])
    assert amounts([began, fact("2026-02-01", items=[{"amount": 4000}])]) == {"pro": 4000}
    two = fact("2026-01-01", status="active", currency="USD",
               items=[{"id": "a", "amount": 1, "plan": "x"}, {"id": "b", "amount": 2, "plan": "y"}])  # fmt: skip
    assert amounts([two, fact("2026-02-01", items=[{"id": "b", "amount": 5}, {"id": "a", "amount": 7}])]) == {
        "x": 7, "y": 5
    }  # fmt: skip


lines = st.lists(
    st.builds(Item, id=st.sampled_from("abc"), plan=st.sampled_from(["x", "y"]), amount=st.integers(1, 9999)),
    min_size=1, max_size=3, unique_by=lambda line: line.id,
).map(tuple)  # fmt: skip
hidden = st.sets(st.sampled_from(["amount", "plan"]))


@given(lines, st.lists(hidden, min_size=1, max_size=4))
def test_saying_less_changes_nothing(known: tuple[Item, ...], silences: list[set[str]]) -> None:
    """The same items again, any of their plans and amounts left out, any number of times, are the same."""
    first = fact("2026-01-01", status="active", currency="USD")
    first = msgspec.structs.replace(first, items=known)
    later = [
        msgspec.structs.replace(
            fact(f"2026-02-{day + 1:02}"),
            items=tuple(msgspec.structs.replace(line, **dict.fromkeys(silence)) for line in known),
        )
        for day, silence in enumerate(silences)
    ]
    assert [span.state for span in timeline([first, *later])] == [timeline([first])[0].state]


def test_discounts_of_which_only_ids_came_stay() -> None:
    """Newer webhooks have no terms."""
    discount = {"id": "di_1", "coupon": {"percent_off": 50, "duration": "forever"}, "start": seconds("2026-03-01")}
    known = imported("2026-03-05", discounts=[discount])
    later = read(webhook("2026-03-20", discounts=["di_1"])).facts
    assert mrr(state([*known, *later]), Rules()) == 1500


def invoice(created: str, *lines: dict[str, Any], name: str = "invoice.paid", **fields: Any) -> dict[str, Any]:
    """An event of a bill of the subscription."""
    bill = {"id": "in_1", "object": "invoice", "customer": "cus_1", "currency": "usd", "lines": {"data": list(lines)}}
    return {"id": f"evt_{created}", "object": "event", "type": name, "created": seconds(created),
            "data": {"object": bill | fields}}  # fmt: skip


OLD = {"amount": 1234, "subscription": "sub_1", "subscription_item": "si_2"}
NEW = {"amount": 1234, "parent": {"subscription_item_details": {"subscription": "sub_1", "subscription_item": "si_2"}}}
OF_PRICE = {"amount": 1234, "price": {"id": "price_use"}}


@pytest.mark.parametrize("line", [OLD, NEW, OF_PRICE])
def test_a_bill_says_what_metered_items_came_to(line: dict[str, Any]) -> None:
    """In any API version; licensed items, prorations and bills of which lines are missing change nothing."""
    use = {
        "id": "si_2",
        "quantity": None,
        "price": item(recurring={"usage_type": "metered"})["price"] | {"id": "price_use"},
    }
    known = read(webhook("2026-03-01", "created", items=items(item(), use))).facts
    licensed = {"amount": 3000, "subscription": "sub_1", "subscription_item": "si_1"}
    billed = read(invoice("2026-04-01", line, line | {"proration": True}, licensed, subscription="sub_1")).facts
    found = [*known, *billed, *read(webhook("2026-04-02", items=items(item(2), use))).facts]
    assert mrr(state(found), Rules()) == 6000
    assert mrr(state(found), Rules(metered="in")) == 7234
    assert not is_unknown(state(found), Rules(metered="in"))
    cut = invoice("2026-04-01", lines={"data": [line], "has_more": True}, subscription="sub_1")
    assert read(cut).facts == read(invoice("2026-04-01", line | {"amount": None})).facts == ()
    assert timeline(billed) == []
