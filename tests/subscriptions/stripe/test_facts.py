"""What Stripe's events say of subscriptions: by golden pairs, one question at a time, and for any input.

`golden/<case>.input.json` is a body as Stripe sends it, with `of` saying what it is a case of. `<case>.facts.json` is
what it says: facts with the fields that are said, and a problem. `TENURE_UPDATE_GOLDEN=1` writes them anew.
"""

from __future__ import annotations

import json
import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.event import Event
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.mrr import is_unknown, mrr
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import stripe
from tenure.subscriptions.sources.reading import NOTHING
from tenure.subscriptions.state import Span, timeline
from tests.subscriptions.histories import at
from tests.subscriptions.stripe.webhooks import RECEIVED, event, item, items, read, seconds, subscription, webhook

GOLDEN = Path(__file__).parent / "golden"
INPUTS = sorted(GOLDEN.glob("*.input.json"))


def said(**fields: Any) -> Fact:
    """The one fact that an update of the subscription, with these fields, states without a problem."""
    reading = read(webhook("2026-03-10", **fields))
    assert reading.problem is None
    (fact,) = reading.facts
    return fact


def amount(quantity: int | None = 1, *, of: str = "usd", **fields: Any) -> int | None:
    """What an item of a subscription in a currency comes to."""
    fact = said(currency=of, items=items(item(quantity, **({"currency": of} | fields))))
    assert isinstance(fact.items, tuple)
    return fact.items[0].amount


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name.split(".")[0]) for path in INPUTS])
def test_says_as_recorded(path: Path) -> None:
    """Each body gives exactly the recorded facts and problem."""
    body = json.loads(path.read_text("utf-8"))
    reading = read({name: value for name, value in body.items() if name != "of"})
    found = {"facts": json.loads(msgspec.json.encode(reading.facts)), "problem": reading.problem}
    recording = path.with_name(path.name.replace(".input.json", ".facts.json"))
    if os.environ.get("TENURE_UPDATE_GOLDEN") == "1":
        recording.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    assert found == json.loads(recording.read_text("utf-8"))


@pytest.mark.parametrize(
    ("currency", "sent", "units"),
    [
        ("usd", 1234, 1234), ("jpy", 500, 500), ("krw", 500, 500), ("xpf", 500, 500),
        ("kwd", 5120, 5120), ("bhd", 10, 10), ("tnd", 1230, 1230),
        ("isk", 500, 5), ("ugx", 50_000, 500), ("isk", 550, 6), ("mga", 5, 500),
        ("huf", 1050, 1050), ("twd", 80_045, 80_045),
    ],
)  # fmt: skip
def test_amounts_are_in_units_of_iso_4217(currency: str, sent: int, units: int) -> None:
    """Stripe counts a few currencies in another unit; everything else is as it is sent."""
    assert amount(1, of=currency, unit_amount=sent) == units


TIERS = [{"up_to": 5, "unit_amount": 1000, "flat_amount": 500}, {"up_to": None, "unit_amount_decimal": "750.5"}]


@pytest.mark.parametrize(
    ("quantity", "fields", "units"),
    [
        (7, {}, 21_000),
        (0, {}, 0),
        (None, {}, 3000),
        (3, {"unit_amount": None, "unit_amount_decimal": "0.5"}, 2),
        (1000, {"unit_amount": None, "unit_amount_decimal": "0.123456789012"}, 123),
        (3, {"unit_amount": None, "unit_amount_decimal": "-0.5"}, -2),
        (1, {"unit_amount": -1000}, -1000),
        (10, {"transform_quantity": {"divide_by": 4, "round": "up"}}, 9000),
        (10, {"transform_quantity": {"divide_by": 4, "round": "down"}}, 6000),
        (8, {"transform_quantity": {"divide_by": 4, "round": "up"}}, 6000),
        (5, {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS}, 5500),
        (8, {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS}, 6004),
        (5, {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, 5500),
        (8, {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, 7752),
        (0, {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, 500),
        (2, {"currency": "eur", "currency_options": {"usd": {"unit_amount": 2900}}}, 5800),
        (9, {"recurring": {"usage_type": "metered"}}, None),
    ],
)  # fmt: skip
def test_items_are_priced_exactly(quantity: int | None, fields: dict[str, Any], units: int | None) -> None:
    """Quantities, decimals, packages, tiers and other currencies; rounded once, as a line of an invoice is."""
    assert amount(quantity, **fields) == units


@pytest.mark.parametrize(
    "fields",
    [
        {"billing_scheme": "tiered", "tiers_mode": "volume"},
        {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": [{"up_to": 1, "unit_amount": 5}]},
        {"currency": "eur"},
        {"unit_amount": None},
    ],
)
def test_an_item_without_a_price_is_told(fields: dict[str, Any]) -> None:
    """What Stripe does not send is not said: the item is there without an amount, and the problem is named."""
    reading = read(webhook("2026-03-10", items=items(item(2, **fields))))
    assert reading.problem == stripe.UNPRICED_ITEM
    assert [each.amount for each in reading.facts[0].items] == [None]  # type: ignore[union-attr]


def test_plans_of_old_versions_and_deleted_ones_are_prices() -> None:
    """An item without `price` has `plan`; one whose plan is gone has neither, and comes to nothing."""
    plan = {"id": "gold", "amount": 900, "currency": "usd", "interval": "year", "interval_count": 2, "active": False}
    (line,) = said(items=items({"id": "si_1", "quantity": 2, "plan": plan})).items  # type: ignore[misc]
    assert (line.plan, line.amount, line.unit, line.count) == ("gold", 1800, "year", 2)
    assert read(webhook("2026-03-10", items=items({"id": "si_1", "plan": None}))).problem == stripe.UNPRICED_ITEM


@pytest.mark.parametrize("lines", [[item()] * 1_001, [item()] * 10])
def test_items_that_are_not_all_there_say_nothing(lines: list[dict[str, Any]]) -> None:
    """A part of the items would be too small a sum: those known before stand."""
    reading = read(webhook("2026-03-10", items=items(*lines, has_more=len(lines) == 10)))
    assert reading.problem == stripe.INCOMPLETE_ITEMS
    assert reading.facts[0].items is msgspec.UNSET
    assert reading.facts[0].status == "active"


def coupon(**fields: Any) -> dict[str, Any]:
    """A coupon of 10 %."""
    return {"id": "ten", "object": "coupon", "percent_off": 10, "amount_off": None, "duration": "forever"} | fields


def discount(**fields: Any) -> dict[str, Any]:
    """It, applied."""
    return {
        "id": "di_1",
        "object": "discount",
        "start": seconds("2026-03-01"),
        "end": None,
        "coupon": coupon(),
    } | fields


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"discount": discount()}, [("10", None, False, None)]),
        ({"discount": discount(), "discounts": ["di_1"]}, [("10", None, False, None)]),
        ({"discounts": [discount(coupon=coupon(percent_off=33.33)), discount(coupon=coupon(duration="once"))]},
         [("33.33", None, False, None), ("10", None, True, None)]),
        ({"discounts": [discount(coupon=coupon(percent_off=None, amount_off=500, currency="usd"))]},
         [(None, 500, False, None)]),
        ({"discounts": [discount(coupon=None, source={"type": "coupon", "coupon": coupon()})]},
         [("10", None, False, None)]),
        ({"discounts": [], "items": items(item() | {"discounts": [discount()]})}, [("10", None, False, "si_1")]),
        ({"discounts": []}, []),
        ({"discount": None}, []),
    ],
)  # fmt: skip
def test_discounts_of_every_version(fields: dict[str, Any], expected: list[Any]) -> None:
    """One or several, of the whole or of an item, with the coupon where the API version has it."""
    found = said(**({"discount": None} | fields)).discounts
    assert isinstance(found, tuple)
    listed = [(None if one.percent is None else str(one.percent), one.amount, one.once, one.item) for one in found]
    assert listed == expected
    assert all(one.starts_at == at("2026-03-01") for one in found)


@pytest.mark.parametrize(
    "discounts",
    [["di_2"], [discount(), "di_2"], [discount(coupon=None, source={"coupon": "ten"})],
     [discount(coupon=coupon(percent_off=None, amount_off=5, currency="eur"))]],
)  # fmt: skip
def test_discounts_of_which_only_the_id_came_say_nothing(discounts: list[Any]) -> None:
    """What is not known is not nothing: the discounts known before stand, and the problem is named."""
    third = discount(id="di_0", coupon=coupon(id="third", percent_off=30))
    known = read(webhook("2026-03-01", "created", discounts=[third])).facts
    reading = read(webhook("2026-03-10", discounts=discounts))
    assert reading.problem == stripe.UNEXPANDED_DISCOUNT
    state = timeline([*known, *reading.facts])[-1].state
    assert (mrr(state, Rules()), is_unknown(state, Rules())) == (2100, True)
    old = [{"coupon": "ten"}]
    assert read(webhook("2026-03-10", discounts=old)).facts[0].discounts is msgspec.UNSET


def test_events_of_a_discount_say_it_where_the_subscription_has_ids_only() -> None:
    """Newer versions send ids in the subscription, and the terms in the event of the discount."""
    body = {"id": "evt_1", "object": "event", "type": "customer.discount.created", "created": seconds("2026-03-10")}
    of = {"customer": "cus_1", "subscription": "sub_1"}
    (fact,) = read(body | {"data": {"object": discount(**of)}}).facts
    assert fact.said.keys() == {"put_on"}
    assert fact.subscription == "sub_1"
    gone = body | {"type": "customer.discount.deleted", "data": {"object": discount(**of)}}
    assert read(gone).facts[0].said == {"taken_off": ("di_1",)}
    old = {name: value for name, value in discount(**of).items() if name != "id"}
    (fact,) = stripe.facts(Event(index=0, name=body["type"], properties=json.dumps(old)), RECEIVED).facts
    assert fact.said.keys() == {"discounts"}
    sent = Event(index=0, name="customer.discount.deleted", properties=json.dumps(old))
    assert stripe.facts(sent, RECEIVED).facts[0].said == {"discounts": ()}
    unknown = discount(**of, coupon=None, source={"coupon": "ten"})
    assert read(body | {"data": {"object": unknown}}).problem == stripe.UNEXPANDED_DISCOUNT


@pytest.mark.parametrize(
    ("reason", "feedback", "comment", "cause", "told"),
    [
        ("cancellation_requested", "too_expensive", "Sorry!", "voluntary", "too_expensive"),
        ("cancellation_requested", None, "Sorry!", "voluntary", "Sorry!"),
        ("payment_failed", None, None, "involuntary", "payment_failed"),
        ("payment_disputed", None, None, "involuntary", "payment_disputed"),
        ("struck_by_lightning", None, None, None, "struck_by_lightning"),
        (None, None, "x" * 5_000, None, "x" * 1_024),
        (None, None, None, None, None),
    ],
)
def test_why_it_ends(
    reason: str | None, feedback: str | None, comment: str | None, cause: str | None, told: str | None
) -> None:
    """Whose doing it is by Stripe's reason; the customer's own words where there are some."""
    fact = said(cancellation_details={"reason": reason, "feedback": feedback, "comment": comment})
    assert (fact.cause, fact.reason) == (cause, told)


@pytest.mark.parametrize("behavior", ["void", "mark_uncollectible", "keep_as_draft", None])
def test_pauses_by_what_becomes_of_the_bills(behavior: str | None) -> None:
    """Bills that are void or written off are lost; drafts are collected later, so nothing is."""
    pause = None if behavior is None else {"behavior": behavior, "resumes_at": seconds("2026-05-01")}
    found = said(pause_collection=pause).pause
    lost = behavior in ("void", "mark_uncollectible")
    assert (found is not None and found is not msgspec.UNSET and found.ends_at == at("2026-05-01")) == lost


def test_an_expired_attempt_was_never_a_subscription() -> None:
    """`incomplete_expired` alone, or after `incomplete`, has no day with MRR."""
    expired = read(webhook("2026-03-02", status="incomplete_expired", ended_at=seconds("2026-03-02"))).facts
    begun = read(webhook("2026-03-01", "created", status="incomplete")).facts
    for known in (expired, begun + expired):
        assert {mrr(span.state, Rules()) for span in timeline(known)} == {0}
        assert timeline(known)[-1].state.status == "canceled"


def test_a_status_of_the_future_leaves_the_one_before() -> None:
    """What it means is not guessed; all else that the object says counts."""
    reading = read(webhook("2026-03-10", status="hibernating"))
    assert reading.problem == stripe.UNKNOWN_STATUS
    assert reading.facts[0].status is msgspec.UNSET
    assert reading.facts[0].items is not msgspec.UNSET


@pytest.mark.parametrize(
    "body",
    [
        webhook("2026-03-10") | {"type": "invoice.paid"},
        webhook("2026-03-10", object="subscription_schedule"),
        {"id": "evt_1", "object": "event", "type": "customer.updated", "created": 1, "data": {"object": {"id": "c"}}},
    ],
)  # fmt: skip
def test_other_events_say_nothing(body: dict[str, Any]) -> None:
    """They stay what they are: events on the timeline."""
    body["data"]["object"]["customer"] = "cus_1"
    assert read(body) == NOTHING


def test_created_and_completed_in_one_second() -> None:
    """Stripe's times are whole seconds: the later stage of life stands, in whatever order they come."""
    created = webhook("2026-03-01", "created", status="incomplete")
    paid = webhook("2026-03-01", status="active")
    for bodies in ([created, paid], [paid, created]):
        (span,) = timeline([fact for body in bodies for fact in read(body).facts])
        assert span.state.status == "active"


def imported(**fields: Any) -> dict[str, Any]:
    """The subscription as an export gives it."""
    return subscription(**fields)


def test_an_export_made_later_does_not_change_what_webhooks_said() -> None:
    """It is as of the last time that it names; at that very second the webhook stands, unless that was incomplete."""
    history = [webhook("2026-03-01", "created"), webhook("2026-03-15", items=items(item(2)))]
    known = [fact for body in history for fact in read(body).facts]
    late = read(imported(items=items(item(2)))).facts
    assert timeline([*known, *late]) == timeline(known)
    begun = read(webhook("2026-03-01", "created", status="incomplete")).facts
    assert timeline([*begun, *late])[-1].state.status == "active"


def test_an_export_alone_fills_the_past() -> None:
    """Without any webhook the subscription was in trial, then active, from its start."""
    export = imported(
        trial_end=seconds("2026-03-08"), current_period_start=seconds("2026-04-08"), start_date=seconds("2026-03-01")
    )
    spans = timeline(read(export).facts)
    assert [(span.start, span.state.status) for span in spans] == [
        (at("2026-03-01"), "trialing"), (at("2026-03-08"), "active")
    ]  # fmt: skip


HISTORY = [
    webhook("2026-03-01", "created", status="trialing", trial_end=seconds("2026-03-15")),
    webhook("2026-03-15", status="active", trial_end=seconds("2026-03-15")),
    webhook("2026-03-20", items=items(item(1, id="price_2", unit_amount=5000))),
    webhook("2026-03-25", items=items(item(3, id="price_2", unit_amount=5000))),
    webhook("2026-04-01", status="past_due"),
    webhook("2026-04-03", status="active"),
    webhook("2026-04-10", pause_collection={"behavior": "void", "resumes_at": seconds("2026-04-20")}),
    webhook("2026-04-21"),
    webhook("2026-04-25", cancel_at_period_end=True, cancel_at=seconds("2026-05-01"),
            canceled_at=seconds("2026-04-25")),
    webhook("2026-05-01", "deleted", status="canceled", canceled_at=seconds("2026-04-25"),
            ended_at=seconds("2026-05-01")),
]  # fmt: skip


def test_a_life_by_webhooks() -> None:
    """The states of a subscription through everything that can happen to it."""
    spans = timeline([fact for body in HISTORY for fact in read(body).facts])
    lived = [(span.start, span.state.status, mrr(span.state, Rules())) for span in spans]
    changed = [lived[0]] + [later for earlier, later in pairwise(lived) if earlier[1:] != later[1:]]
    assert changed == [
        (at("2026-03-01"), "trialing", 0),
        (at("2026-03-15"), "active", 3000),
        (at("2026-03-20"), "active", 5000),
        (at("2026-03-25"), "active", 15_000),
        (at("2026-04-01"), "past_due", 3000),
        (at("2026-04-03"), "active", 3000),
        (at("2026-04-10"), "paused", 0),
        (at("2026-04-20"), "active", 3000),
        (at("2026-05-01"), "canceled", 0),
    ]


@given(bodies=st.permutations(HISTORY), again=st.lists(st.sampled_from(HISTORY)), received=st.randoms())
def test_any_order_and_number_of_deliveries(bodies: list[Any], again: list[Any], received: Any) -> None:
    """Webhooks permuted and repeated end in the same states."""

    def states(delivered: list[Any]) -> list[Span]:
        known = [stripe.facts(event(body), RECEIVED + received.randrange(10**9)).facts for body in delivered]
        return timeline([fact for facts in known for fact in facts])

    assert states(bodies + again) == states(HISTORY)


names = st.sampled_from([
    "id", "object", "status", "currency", "items", "data", "price", "plan", "quantity", "unit_amount_decimal", "tiers",
    "discount", "discounts", "coupon", "percent_off", "amount_off", "pause_collection", "canceled_at", "cancel_at",
    "ended_at", "cancellation_details", "start_date", "current_period_start", "trial_end", "recurring", "up_to",
    "subscription", "source", "currency_options", "transform_quantity", "created", "customer", "products", "applies_to",
    "default_tax_rates", "tax_rates", "percentage", "inclusive", "tax_behavior", "product", "duration_in_months",
])  # fmt: skip
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    ["subscription", "active", "usd", "1E999999999", "NaN", "1e-999999", "0.1", "", "sub_1", 10**30, -(10**25)]
)  # fmt: skip
any_object = st.recursive(values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6))
types = st.sampled_from([
    "customer.subscription.updated", "subscription.imported", "customer.discount.created", "customer.discount.updated",
    "customer.discount.deleted", "customer.updated", "x",
])  # fmt: skip


@given(
    name=types, body=any_object, changes=st.dictionaries(names, any_object, max_size=4), at=st.none() | st.integers()
)
def test_any_object_is_read_or_told(name: str, body: Any, changes: dict[str, Any], at: int | None) -> None:
    """Whatever an object holds, nothing is raised; and what is said can be folded."""
    for properties in (
        body,
        subscription() | changes,
        subscription(items=items(item() | changes)),
        discount() | changes,
        {"id": "cus_1", "object": "customer", "discount": discount(coupon=coupon() | changes)} | changes,
    ):
        sent = Event(index=0, name=name, occurred_at=at, properties=json.dumps(properties))
        reading = stripe.facts(sent, RECEIVED)
        timeline(reading.facts)
        assert reading.problem is None or reading.problem in stripe.PROBLEMS or reading.problem == "invalid_value"


def test_a_hundred_thousand_items_cost_little() -> None:
    """A body as large as is taken is read, and says that its items are too many."""
    lines = [{"id": f"si_{number}", "quantity": 1} for number in range(100_000)]
    reading = stripe.facts(event(webhook("2026-03-10", items=items(*lines))), RECEIVED)
    assert reading.problem == stripe.INCOMPLETE_ITEMS


def test_what_cannot_be_read_costs_the_rest_nothing() -> None:
    """Three years as 1,095 days are an interval; one that is none, or an amount beyond all, leaves status and dates."""
    long = {"interval": "day", "interval_count": 1095}
    reading = read(webhook("2026-03-10", items=items(item(recurring=long, unit_amount=109_500))))
    assert reading.problem is None
    assert mrr(timeline(reading.facts)[-1].state, Rules()) == 100 * Fraction(365, 12)
    for odd in ({"recurring": long | {"interval_count": 10**9}}, {"recurring": long | {"interval": "fortnight"}},
                {"unit_amount": 10**30}):  # fmt: skip
        known = read(webhook("2026-03-01", "created")).facts
        ends = {"cancel_at": seconds("2026-05-01"), "canceled_at": seconds("2026-03-10")}
        reading = read(webhook("2026-03-10", status="past_due", items=items(item(**odd)), **ends))
        assert reading.problem == "invalid_value"
        state = timeline([*known, *reading.facts])[1].state
        assert (state.status, state.cancel_at, mrr(state, Rules())) == ("past_due", at("2026-05-01"), 3000)


@pytest.mark.parametrize(
    "odd",
    [
        {"price": "price_1"}, {"quantity": "three"}, {"price": {"id": 7}}, {"discounts": "none"}, {"tax_rates": 20},
        {"price": {"id": "price_1", "unit_amount": 12.5}}, {"price": {"id": "price_1", "tiers": [{"up_to": "inf"}]}},
    ],
)  # fmt: skip
def test_an_item_of_another_form_costs_neither_status_nor_dates(odd: dict[str, Any]) -> None:
    """Nor the price that is known of it, nor the period where items have it; what was wrong is told."""
    known = read(webhook("2026-03-01", "created")).facts
    period = {"current_period_start": seconds("2026-04-01"), "current_period_end": seconds("2026-05-01")}
    fields = {"items": items({"id": "si_1", "quantity": 1} | period | odd), "current_period_start": None,
              "current_period_end": None, "status": "past_due", "cancel_at": seconds("2026-05-01")}  # fmt: skip
    reading = read(webhook("2026-04-02", **fields))
    assert reading.problem == "invalid_value"
    state = next(span.state for span in timeline([*known, *reading.facts]) if span.start == at("2026-04-02"))
    assert (state.status, state.cancel_at, state.period_start, state.period_end) == (
        "past_due", at("2026-05-01"), at("2026-04-01"), at("2026-05-01")
    )  # fmt: skip
    assert mrr(state, Rules()) == 3000


@pytest.mark.parametrize(
    "odd",
    [
        {"discounts": [7]}, {"discount": "di"}, {"default_tax_rates": {}}, {"pause_collection": 1}, {"created": "?"},
        {"customer": 8}, {"items": {"data": [7]}}, {"items": 8}, {"cancellation_details": []},
    ],
)  # fmt: skip
def test_a_field_of_another_form_costs_the_others_nothing(odd: dict[str, Any]) -> None:
    """Whatever it is of; only what has no id of a subscription is none."""
    properties = json.dumps(subscription(status="past_due", cancel_at=seconds("2026-05-01")) | odd)
    sent = Event(index=0, name="customer.subscription.updated", occurred_at=at("2026-04-02"), properties=properties)
    known = read(webhook("2026-03-01", "created")).facts
    reading = stripe.facts(sent, RECEIVED)
    state = next(span.state for span in timeline([*known, *reading.facts]) if span.start == at("2026-04-02"))
    assert (reading.problem, state.status, state.cancel_at) == ("invalid_value", "past_due", at("2026-05-01"))
    nameless = Event(index=0, name=sent.name, properties=json.dumps({"object": "subscription"} | odd))
    assert stripe.facts(nameless, RECEIVED).problem == stripe.UNREADABLE
