"""What API versions of Stripe left out that had no items, no prices or no ids yet."""

from __future__ import annotations

import msgspec
import pytest

from tenure.subscriptions.sources import stripe
from tests.subscriptions.stripe.webhooks import items, price, read, webhook

PLAN = {"id": "gold", "object": "plan", "amount": 900, "currency": "usd", "interval": "week", "interval_count": 2}


def test_a_subscription_without_items_has_one_plan() -> None:
    """API versions that had no items yet: the plan and the quantity of the subscription are its one line."""
    body = webhook("2026-03-10", currency=None, plan=PLAN, quantity=3)
    without = {name: value for name, value in body["data"]["object"].items() if name != "items"}
    (fact,) = read(body | {"data": {"object": without}}).facts
    (line,) = fact.items  # type: ignore[misc]
    assert (line.plan, line.amount, line.quantity, line.unit, line.count) == ("gold", 2700, 3, "week", 2)
    assert fact.currency == "USD"
    (fact,) = read(body).facts
    assert [each.plan for each in fact.items] == ["price_1"]  # type: ignore[union-attr]
    (fact,) = read(body | {"data": {"object": without | {"plan": None}}}).facts
    assert fact.items is msgspec.UNSET


def test_packages_of_plans() -> None:
    """What prices call `transform_quantity` plans call `transform_usage`."""
    plan = PLAN | {"transform_usage": {"divide_by": 5, "round": "up"}}
    (fact,) = read(webhook("2026-03-10", items=items({"id": "si_1", "quantity": 11, "plan": plan}))).facts
    (line,) = fact.items  # type: ignore[misc]
    assert line.amount == 2700


@pytest.mark.parametrize(("kind", "expected"), [("one_time", ("one_off", 3000)), ("recurring", ("recurring", None))])
def test_a_price_that_does_not_say_its_interval(kind: str, expected: tuple[str, int | None]) -> None:
    """One that is billed once has none; of another it is not known, so that nothing is made up, and nothing is free."""
    reading = read(webhook("2026-03-10", items=items({"id": "si_1", "price": price(type=kind) | {"recurring": None}})))
    (line,) = reading.facts[0].items  # type: ignore[misc]
    assert (line.kind, line.amount) == expected
    assert reading.problem == (None if kind == "one_time" else stripe.UNPRICED_ITEM)


def test_a_subscription_without_an_id_is_not_read() -> None:
    """API versions before 2013-08-13 name none: it could not be told from the one that an import has."""
    body = webhook("2026-03-10")
    del body["data"]["object"]["id"]
    assert read(body) == ((), stripe.UNREADABLE)
