"""Subscriptions of every kind of price, quantity, discount, tax and state: product and plain reading agree.

Public payloads have hardly a tier, a week or a package, so these are made.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.subscriptions.stripe import plain
from tests.subscriptions.stripe.test_public import expected, found
from tests.subscriptions.stripe.webhooks import items, seconds, webhook

DAY = "2026-03-10"
STATUSES = ["incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "paused", "canceled"]
CURRENCY = st.sampled_from(["usd", "eur", "jpy", "kwd"])
cents = st.integers(0, 99_999)
decimals = st.decimals(0, 9999, places=4).map(str)
amounts = st.one_of(
    st.fixed_dictionaries({"unit_amount": cents}),
    st.fixed_dictionaries({"unit_amount": st.none(), "unit_amount_decimal": decimals}),
)
flats = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"flat_amount": cents}),
    st.fixed_dictionaries({"flat_amount_decimal": decimals}),
)
packages = st.none() | st.fixed_dictionaries(
    {"divide_by": st.integers(1, 12), "round": st.sampled_from(["up", "down"])}
)
times = st.tuples(st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 12))


@st.composite
def tiers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Tiers up to growing quantities, the last without an end, mostly."""
    tops: list[int | None] = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))  # type: ignore[assignment]
    last = [None] if draw(st.integers(0, 9)) else []
    return [{"up_to": top} | draw(amounts) | draw(flats) for top in [*tops, *last]]


@st.composite
def prices(draw: st.DrawFn, currency: str) -> dict[str, Any]:
    """A price, or a plan as older API versions have it."""
    interval, count = draw(times)
    used = draw(st.sampled_from(["licensed"] * 5 + ["metered"]))
    recurring = {"interval": interval, "interval_count": count, "usage_type": used}
    if draw(st.booleans()):
        return {"id": "plan_1", "object": "plan", "currency": currency, "amount": draw(cents), **recurring,
                "billing_scheme": "per_unit", "transform_usage": draw(packages)}  # fmt: skip
    price = {"id": "price_1", "object": "price", "currency": currency, "recurring": recurring, "type": "recurring"}
    if draw(st.booleans()):
        mode = draw(st.sampled_from(["volume", "graduated"]))
        return price | {"billing_scheme": "tiered", "tiers_mode": mode, "tiers": draw(tiers()), "unit_amount": None}
    return price | {"billing_scheme": "per_unit", "transform_quantity": draw(packages)} | draw(amounts)


@st.composite
def discounts(draw: st.DrawFn, currency: str) -> dict[str, Any]:
    """A percentage or an amount, of one bill or for long; it is in force on the day."""
    off = draw(
        st.one_of(
            st.fixed_dictionaries({"percent_off": st.sampled_from([5, 12.5, 33.33, 50, 100])}),
            st.fixed_dictionaries({"amount_off": cents, "currency": st.just(currency)}),
        )
    )
    duration = draw(st.sampled_from(["forever", "once", "repeating"]))
    coupon = {"id": "c", "object": "coupon", "percent_off": None, "amount_off": None, "currency": None} | off
    return {
        "id": f"di_{draw(st.integers(1, 10**9))}", "object": "discount", "coupon": coupon | {"duration": duration},
        "start": seconds("2026-03-02"), "end": seconds("2028-01-01") if duration == "repeating" else None,
    }  # fmt: skip


@st.composite
def subscriptions(draw: st.DrawFn) -> dict[str, Any]:
    """An event of a subscription of up to three lines; of one plan without items, now and then."""
    currency = draw(CURRENCY)
    lines = []
    for place in range(draw(st.integers(1, 3))):
        price = draw(prices(currency))
        line = {"id": f"si_{place}", "object": "subscription_item", price["object"]: price | {"id": f"price_{place}"}}
        quantity = draw(st.none() | st.integers(0, 100))
        lines.append(line if quantity is None else line | {"quantity": quantity})
    body = webhook(DAY, currency=currency, items=items(*lines), status=draw(st.sampled_from(STATUSES + ["active"] * 9)))
    about = body["data"]["object"]
    about["discounts"] = draw(st.lists(discounts(currency), max_size=2, unique_by=lambda each: str(each["id"])))
    rates = st.fixed_dictionaries({"percentage": st.sampled_from([7, 19.6, 20]), "inclusive": st.booleans()})
    about["default_tax_rates"] = draw(st.lists(rates, max_size=2))
    behavior = draw(st.sampled_from([None] * 5 + ["void", "mark_uncollectible", "keep_as_draft"]))
    about["pause_collection"] = behavior and {"behavior": behavior, "resumes_at": seconds("2026-04-01")}
    if "plan" in lines[0] and draw(st.booleans()):
        del about["items"]
        about |= {"plan": lines[0]["plan"], "quantity": lines[0].get("quantity")}
    return body


@settings(max_examples=150)
@given(subscriptions())
def test_any_subscription_comes_to_what_it_says(body: dict[str, Any]) -> None:
    """Its currency, its MRR, exactly, and whether all of its price is known."""
    currency, amount, is_known = expected(body)
    assert found(body) == (currency, amount, is_known)


def test_the_plain_reading_by_hand() -> None:
    """A few that a person has computed, so that both cannot be wrong in the same way."""
    steps = [{"up_to": 5, "unit_amount": 1000, "flat_amount": 100}, {"up_to": None, "unit_amount": 800}]
    fortnight = {"interval": "week", "interval_count": 2}
    tiered = {"billing_scheme": "tiered", "currency": "usd", "recurring": fortnight, "tiers": steps}
    line = {"id": "si_1", "quantity": 7, "price": tiered}
    for mode, bill in (("graduated", 6700), ("volume", 5600)):
        body = webhook(DAY, items=items(line | {"price": tiered | {"tiers_mode": mode}}))
        assert plain.read(body).amount * 12 == bill * 26
    off = {"id": "di_1", "start": seconds(DAY), "end": None, "coupon": {"duration": "forever", "percent_off": 25}}
    yearly = {"currency": "usd", "unit_amount": 12_000, "recurring": {"interval": "year"}}
    lines = [line | {"quantity": 2, "price": yearly}, line | {"price": yearly | {"unit_amount": 1200}}]
    body = webhook(DAY, items=items(*lines), discounts=[off])
    assert plain.read(body).amount == (2000 + 700) * 3 // 4
