"""Stripe's discounts: several at once, told by id, for some products, of items and of customers; and when each ends."""

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

from tenure.subscriptions.account import account, standing
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.ledger import Subscription, timelines
from tenure.subscriptions.movements import movements
from tenure.subscriptions.mrr import is_unknown, mrr
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources.reading import NOTHING
from tenure.subscriptions.sources.stripe_discounts import UNEXPANDED_DISCOUNT
from tenure.subscriptions.state import State, timeline
from tests.subscriptions.histories import at
from tests.subscriptions.stripe.webhooks import item, items, read, seconds, subscription, webhook

TEN = items(item(unit_amount=1000, product="prod_1"))
ONE = Subscription("stripe", "sub_1")


def coupon(name: str, **terms: Any) -> dict[str, Any]:
    return {"id": name, "object": "coupon", "duration": "forever"} | terms


def applied(name: str, terms: dict[str, Any], start: str = "2026-03-01", **fields: Any) -> dict[str, Any]:
    """A coupon, applied."""
    return {"id": name, "object": "discount", "start": seconds(start), "end": None, "coupon": terms} | fields


HALF = applied("di_half", coupon("half", percent_off=50, duration="repeating", duration_in_months=3),
               end=seconds("2026-06-01"))  # fmt: skip
TENTH = applied("di_tenth", coupon("tenth", percent_off=10))
FOUR = applied("di_four", coupon("four", amount_off=400, currency="usd"))


def said(created: str, name: str, about: dict[str, Any], **previous: Any) -> dict[str, Any]:
    """An event of a discount, or of a customer."""
    body = {"id": f"evt_{name}_{created}_{about['id']}", "object": "event", "type": name, "created": seconds(created)}
    return body | {"data": {"object": about} | ({"previous_attributes": previous} if previous else {})}


def put(created: str, discount: dict[str, Any], **fields: Any) -> dict[str, Any]:
    of = {"customer": "cus_1", "subscription": "sub_1"} | fields
    return said(created, "customer.discount.created", discount | of)


def taken(created: str, discount: dict[str, Any], **fields: Any) -> dict[str, Any]:
    of = {"customer": "cus_1", "subscription": "sub_1"} | fields
    return said(created, "customer.discount.deleted", discount | of)


def customer(created: str, discount: Any, name: str = "customer.updated") -> dict[str, Any]:
    return said(created, name, {"id": "cus_1", "object": "customer", "discount": discount})


def facts(*bodies: dict[str, Any]) -> list[Fact]:
    return [fact for body in bodies for fact in read(body).facts]


def state(*bodies: dict[str, Any], when: str = "2026-03-25") -> State:
    """What the subscription is at a time."""
    spans = timelines(facts(*bodies))[ONE]
    return next(span.state for span in reversed(spans) if span.start <= at(when))


def worth(*bodies: dict[str, Any], when: str = "2026-03-25") -> Fraction:
    return mrr(state(*bodies, when=when), Rules())


BEGUN = webhook("2026-03-01", "created", items=TEN)


@pytest.mark.parametrize(
    "bodies",
    [
        (webhook("2026-03-01", "created", items=TEN, discounts=[HALF, TENTH]),),
        (BEGUN, put("2026-03-02", HALF), put("2026-03-03", TENTH)),
        (BEGUN, put("2026-03-02", HALF), put("2026-03-02", TENTH)),
        (put("2026-03-01", HALF), put("2026-03-01", TENTH), BEGUN | {"data": {
            "object": subscription(items=TEN, discount=TENTH, discounts=["di_half", "di_tenth"])}}),
        (webhook("2026-03-01", "created", items=TEN, discount=TENTH, discounts=["di_tenth"]),
         webhook("2026-03-02", items=TEN, discounts=["di_half", "di_tenth"]), put("2026-03-02", HALF)),
        (subscription(items=TEN, discounts=[HALF, TENTH]),
         webhook("2026-03-05", items=TEN, discounts=["di_half", "di_tenth"])),
    ],
)  # fmt: skip
def test_stacked_discounts_are_taken_off_one_after_the_other(bodies: tuple[dict[str, Any], ...]) -> None:
    """Half for three months and a tenth for ever of 10.00: 4.50, and 9.00 after that; in whatever way they are told."""
    taken_at = at("2026-03-02")
    known = [msgspec.structs.replace(fact, effective_at=min(fact.effective_at, taken_at)) if fact.sequence is None
             else fact for fact in facts(*bodies)]  # fmt: skip
    for given_facts in (known, known[::-1]):
        spans = timelines(given_facts)[ONE]
        values = {when: next(mrr(span.state, Rules()) for span in reversed(spans) if span.start <= at(when))
                  for when in ("2026-03-25", "2026-05-31", "2026-06-01")}  # fmt: skip
        assert values == {"2026-03-25": 450, "2026-05-31": 450, "2026-06-01": 900}


@pytest.mark.parametrize(
    ("order", "cents"), [([TENTH, FOUR], 500), ([FOUR, TENTH], 540), ([HALF, FOUR], 100), ([FOUR, FOUR], 600)]
)
def test_order_counts_and_one_discount_counts_once(order: list[dict[str, Any]], cents: int) -> None:
    """An amount is taken of what is left, and so is a percentage."""
    listed = [each for number, each in enumerate(order) if each not in order[:number]]
    assert worth(webhook("2026-03-01", "created", items=TEN, discounts=listed)) == cents
    assert worth(BEGUN, *(put(f"2026-03-{day + 2:02}", each) for day, each in enumerate(order))) == cents


def test_discounts_of_items_come_before_those_of_the_whole() -> None:
    """4.00 off one of two items of 10.00, then half of all: (6.00 + 10.00) / 2."""
    two = [item(unit_amount=1000) | {"discounts": [FOUR]}, item(unit_amount=1000) | {"id": "si_2"}]
    assert worth(webhook("2026-03-01", "created", items=items(*two), discounts=[HALF])) == 800
    plain = items(item(unit_amount=1000), item(unit_amount=1000) | {"id": "si_2"})
    on_item = FOUR | {"subscription_item": "si_1"}
    assert worth(webhook("2026-03-01", "created", items=plain), put("2026-03-02", on_item)) == 1600
    assert worth(webhook("2026-03-01", "created", items=plain), put("2026-03-02", on_item),
                 taken("2026-03-03", on_item)) == 2000  # fmt: skip
    assert read(put("2026-03-02", on_item, subscription=None)) == NOTHING


def test_a_coupon_in_several_currencies() -> None:
    """`currency_options` has the amount in the subscription's; without it, it is not known, and not 0."""
    euros = coupon("e", amount_off=300, currency="eur")
    both = applied("di_e", euros | {"currency_options": {"usd": {"amount_off": 400}}})
    assert worth(webhook("2026-03-01", "created", items=TEN, discounts=[both])) == 600
    assert worth(BEGUN, put("2026-03-02", both)) == 600
    assert worth(BEGUN, customer("2026-03-02", both)) == 600
    foreign = webhook("2026-03-02", items=TEN, discounts=[applied("di_e", euros)])
    assert read(foreign).problem == UNEXPANDED_DISCOUNT
    assert (worth(BEGUN, foreign), is_unknown(state(BEGUN, foreign), Rules())) == (1000, True)


def test_what_was_told_of_an_id_stays_known() -> None:
    """By an import, an event of the discount, or of the coupon's id; before or after the message with only the id."""
    by_id = webhook("2026-03-10", items=TEN, discounts=["di_tenth"])
    for teller in (put("2026-03-09", TENTH), put("2026-03-11", TENTH),
                   webhook("2026-03-12", items=TEN, discounts=[TENTH])):  # fmt: skip
        assert worth(BEGUN, teller, by_id) == 900
        assert read(by_id).problem == UNEXPANDED_DISCOUNT
    of_coupon = applied("di_2", {}, coupon=None, source={"type": "coupon", "coupon": "tenth"})
    assert worth(BEGUN, put("2026-03-09", TENTH), webhook("2026-03-10", items=TEN, discounts=[of_coupon])) == 900


def test_an_unknown_discount_is_never_none() -> None:
    """What was known before stands, marked as unknown in part; where nothing was, there is no MRR, and no churn."""
    unknown = webhook("2026-03-10", items=TEN, discounts=["di_tenth", "di_new"])
    known = webhook("2026-03-01", "created", items=TEN, discounts=[TENTH])
    assert (worth(known, unknown), is_unknown(state(known, unknown), Rules())) == (900, True)
    assert not is_unknown(state(known, unknown), Rules(discounts="none"))
    alone = facts(webhook("2026-03-01", "created", items=TEN, discounts=["di_new"]))
    here = standing(account(alone, Rules()), at("2026-03-20"), Rules())
    assert here is not None
    assert (here.unpriced, here.mrr[""]) == (1, {})
    assert movements("c1", alone, Rules(), date(2026, 12, 31)) == []
    assert mrr(timeline(alone)[-1].state, Rules(discounts="none")) == 1000
    told = [*alone, *facts(webhook("2026-03-20", items=TEN, discounts=[TENTH | {"id": "di_new"}]))]
    (only,) = movements("c1", told, Rules(), date(2026, 12, 31))
    assert (str(only.day), only.kind, only.after) == ("2026-03-01", "new", 900)


def test_a_coupon_for_some_products_is_on_their_items_alone() -> None:
    """Where Stripe says which (`applies_to`), by any message; a discount without that is for all."""
    two = items(item(unit_amount=1000, product="prod_1"),
                item(unit_amount=1000, product={"id": "prod_2"}) | {"id": "si_2"})  # fmt: skip
    limited = applied("di_p", coupon("p", percent_off=50, applies_to={"products": ["prod_2"]}))
    silent = applied("di_p", coupon("p", percent_off=50))
    assert worth(webhook("2026-03-01", "created", items=two, discounts=[limited])) == 1500
    assert worth(webhook("2026-03-01", "created", items=two, discounts=[silent])) == 1000
    both = webhook("2026-03-01", "created", items=two, discounts=[silent]), webhook("2026-03-09", discounts=[limited],
                                                                                  items=two)  # fmt: skip
    assert worth(*both, when="2026-03-05") == worth(*both[::-1], when="2026-03-05") == 1500
    begun = webhook("2026-03-01", "created", items=two)
    assert worth(begun, put("2026-03-02", limited)) == worth(begun, customer("2026-03-02", limited)) == 1500
    amount = applied("di_a", coupon("a", amount_off=1500, currency="usd", applies_to={"products": ["prod_2"]}))
    assert worth(webhook("2026-03-01", "created", items=two, discounts=[amount])) == 1000


OWN = {"subscription": None}


@pytest.mark.parametrize(
    "bodies",
    [
        (customer("2026-02-01", TENTH, "customer.created"), BEGUN),
        (BEGUN, customer("2026-03-02", TENTH)),
        (BEGUN, put("2026-03-02", TENTH, **OWN)),
        (BEGUN, customer("2026-04-02", TENTH)),
        (BEGUN, put("2026-03-02", HALF, **OWN), taken("2026-03-03", HALF, **OWN), put("2026-03-03", TENTH, **OWN)),
        (webhook("2026-03-01", "created", items=TEN,
                 customer={"id": "cus_1", "object": "customer", "discount": TENTH}),),
    ],
)  # fmt: skip
def test_a_customers_own_discount_is_taken_off(bodies: tuple[dict[str, Any], ...]) -> None:
    """From the customer, from the events of the discount, or from the expanded subscription; in any order."""
    assert worth(*bodies) == worth(*bodies[::-1]) == 900


def test_a_subscriptions_own_discount_stands_in_for_the_customers() -> None:
    """As long as it is in force; one of an item does not, and those of other customers are none of it."""
    of_customer = customer("2026-02-01", FOUR)
    own = webhook("2026-03-01", "created", items=TEN, discounts=[HALF])
    assert [worth(of_customer, own, when=when) for when in ("2026-03-02", "2026-07-01")] == [500, 600]
    on_item = items(item(unit_amount=1000) | {"discounts": [HALF]})
    assert worth(of_customer, webhook("2026-03-01", "created", items=on_item)) == 100
    other = said("2026-02-01", "customer.updated", {"id": "cus_2", "object": "customer", "discount": FOUR})
    assert worth(other, BEGUN) == 1000


def test_a_customers_discount_ends() -> None:
    """By its date, by its deletion, and by a customer without one; what says nothing of it changes nothing."""
    begun = BEGUN, customer("2026-03-02", TENTH)
    assert worth(*begun, taken("2026-03-10", TENTH, **OWN)) == 1000
    assert worth(*begun, customer("2026-03-10", None)) == 1000
    assert worth(*begun, said("2026-03-10", "customer.updated", {"id": "cus_1", "object": "customer"})) == 900
    assert worth(BEGUN, customer("2026-03-02", HALF), when="2026-06-02") == 1000
    old = {name: value for name, value in TENTH.items() if name != "id"}
    assert worth(BEGUN, customer("2026-03-02", old)) == 900
    assert worth(BEGUN, customer("2026-03-02", old), customer("2026-03-10", None)) == 1000


def test_a_customers_discount_alone_is_no_subscription() -> None:
    """It is neither listed nor heard as one, and makes nobody a customer who pays."""
    known = facts(customer("2026-03-02", TENTH))
    assert timelines(known) == {}
    assert standing(account(known, Rules()), at("2026-03-20"), Rules()) is None
    for odd in ({"invoice": "in_1"}, {"checkout_session": "cs_1"}, {"invoice_item": "ii_1"}):
        assert read(put("2026-03-02", TENTH, **OWN, **odd)) == NOTHING


def test_discounts_are_exchanged_and_deleted() -> None:
    """An update names the one before; a deletion takes that one off alone, whatever comes first in one second."""
    exchanged = said("2026-03-03", "customer.discount.updated",
                     FOUR | {"customer": "cus_1", "subscription": "sub_1"}, id="di_half")  # fmt: skip
    assert worth(BEGUN, put("2026-03-02", HALF), exchanged) == 600
    two = BEGUN, put("2026-03-02", HALF), put("2026-03-02", TENTH)
    assert worth(*two, taken("2026-03-10", TENTH)) == 500
    assert worth(*two, taken("2026-03-10", HALF)) == 900
    second = put("2026-03-05", FOUR), taken("2026-03-05", FOUR)
    assert worth(BEGUN, *second) == worth(BEGUN, *second[::-1]) == 1000


YEARLY = items(item(unit_amount=12_000, product="prod_1", recurring={"interval": "year"}))
YEAR = {"items": YEARLY, "current_period_end": seconds("2027-03-01")}
RENEWED = YEAR | {"current_period_start": seconds("2027-03-01"), "current_period_end": seconds("2028-03-01")}
MONTHS = ("2026-05-31", "2026-06-02", "2027-02-28", "2027-03-01")


@pytest.mark.parametrize(
    "later",
    [
        (),
        (webhook("2026-06-01", **YEAR, discounts=[]),),
        (taken("2026-06-01", HALF),),
        (taken("2026-06-01", HALF), webhook("2026-06-01", **YEAR, discounts=[]), webhook("2026-09-01", **YEAR)),
        (webhook("2026-06-01", **YEAR, discounts=[]), webhook("2027-03-01", **RENEWED, discounts=[])),
        (taken("2026-04-10", HALF),),
    ],
)
def test_an_end_counts_from_the_next_period_of_a_yearly_price(later: tuple[dict[str, Any], ...]) -> None:
    """Half for three months is half of the year's bill: MRR rises with the next one, and is not raised by a message."""
    begun = webhook("2026-03-01", "created", **YEAR, discounts=[HALF])
    assert [worth(begun, *later, when=when) for when in MONTHS] == [500, 500, 500, 1000]
    of_customer = BEGUN | {"data": {"object": subscription(**YEAR)}}, customer("2026-03-01", HALF)
    assert [worth(*of_customer, when=when) for when in MONTHS] == [500, 500, 500, 1000]


def test_another_price_or_discount_meanwhile_is_billed() -> None:
    """Then what had ended is over; a discount in its place does not come on top of it."""
    begun = webhook("2026-03-01", "created", **YEAR, discounts=[HALF])
    dear = items(item(unit_amount=24_000, id="price_2", recurring={"interval": "year"}))
    moved = webhook("2026-09-01", **(YEAR | {"items": dear}), discounts=[])
    assert [worth(begun, moved, when=when) for when in ("2026-08-31", "2026-09-01")] == [500, 2000]
    again = webhook("2026-10-01", **(YEAR | {"items": dear}), discounts=[HALF])
    assert worth(begun, moved, again, when="2026-10-02") == 2000
    replaced = webhook("2026-04-01", **YEAR, discounts=[TENTH])
    assert worth(begun, replaced, when="2026-04-02") == 900


def test_monthly_prices_follow_a_discount_at_once() -> None:
    """Beside a yearly one of the same subscription, whose own period counts."""
    lines = [item(unit_amount=1000) | {"current_period_end": seconds("2026-07-01")},
             item(unit_amount=12_000, id="price_y", recurring={"interval": "year"}) | {
                 "id": "si_2", "current_period_end": seconds("2027-03-01")}]  # fmt: skip
    fields = {"items": items(*lines), "current_period_end": None, "discounts": [HALF]}
    begun = webhook("2026-03-01", "created", **fields)
    assert [worth(begun, when=when) for when in MONTHS] == [1000, 1500, 1500, 2000]


def test_a_coupon_for_some_months_without_an_end_ends_after_them() -> None:
    """`duration_in_months` after it began."""
    endless = HALF | {"end": None}
    begun = webhook("2026-03-01", "created", items=TEN, discounts=[endless])
    assert [worth(begun, when=when) for when in ("2026-05-31", "2026-06-01")] == [500, 1000]


deliveries = st.permutations([
    BEGUN, put("2026-03-02", HALF), put("2026-03-03", TENTH), put("2026-03-04", FOUR), taken("2026-03-07", HALF),
    webhook("2026-03-08", items=TEN, discounts=["di_four", "di_tenth"]), customer("2026-03-04", FOUR),
    webhook("2026-03-09", items=TEN, discounts=["di_four", "di_tenth", "di_half"]), taken("2026-03-09", TENTH),
    customer("2026-03-05", None), put("2026-03-06", TENTH, **OWN),
])  # fmt: skip


@given(deliveries)
def test_the_order_of_deliveries_changes_nothing(bodies: list[dict[str, Any]]) -> None:
    """Of discounts of a subscription and of its customer."""
    found = facts(*bodies)
    expected = [msgspec.structs.replace(fact) for fact in facts(*sorted(bodies, key=lambda body: body["created"]))]
    assert timelines(found)[ONE] == timelines(expected)[ONE]
    values = [worth(*bodies, when=f"2026-03-{day:02}") for day in range(1, 11)]
    assert values == [600, 500, 450, 50, 50, 50, 500, 540, 600, 600]


percents = st.decimals(0, 100, places=2).map(lambda percent: {"percent_off": float(percent)})
amounts = st.integers(0, 5000).map(lambda amount: {"amount_off": amount, "currency": "usd"})


@given(st.lists(percents | amounts, max_size=6))
def test_stacking_is_in_order_and_never_below_nothing(terms: list[dict[str, Any]]) -> None:
    """By a plain reading: each takes of what the ones before left, exactly."""
    listed = [applied(f"di_{number}", coupon(f"c{number}", **each)) for number, each in enumerate(terms)]
    left = Fraction(1000)
    for each in terms:
        off = left * Fraction(Decimal(repr(each["percent_off"]))) / 100 if "percent_off" in each else each["amount_off"]
        left = max(left - off, Fraction(0))
    found = worth(webhook("2026-03-01", "created", items=TEN, discounts=listed))
    assert found == left >= 0
    events = [put(f"2026-03-02T00:00:{number:02}", each) for number, each in enumerate(listed)]
    assert worth(BEGUN, *events) == left


def test_everything_said_is_json() -> None:
    """What a fact says of discounts comes back from the table as it was."""
    for body in (put("2026-03-02", HALF), customer("2026-03-02", FOUR)):
        for fact in facts(body):
            assert msgspec.json.decode(msgspec.json.encode(fact), type=Fact) == fact
            json.loads(msgspec.json.encode(fact.said))
