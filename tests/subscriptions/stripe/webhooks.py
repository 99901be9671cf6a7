"""Webhooks as Stripe sends them, written short."""

from __future__ import annotations

import json
from typing import Any

from tenure.event import Event
from tenure.subscriptions.sources.reading import Reading
from tenure.subscriptions.sources.stripe import facts
from tenure.wire import stripe
from tests.subscriptions.histories import at

RECEIVED = 1_800_000_000_000_000


def seconds(text: str) -> int:
    """A date, or a time, as Stripe writes it."""
    return at(text) // 1_000


def price(**fields: Any) -> dict[str, Any]:
    """A monthly price of 30.00 USD."""
    recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"} | fields.pop("recurring", {})
    filled = {"id": "price_1", "object": "price", "currency": "usd", "unit_amount": 3000, "billing_scheme": "per_unit"}
    return filled | {"recurring": recurring} | fields


def item(quantity: int | None = 1, **fields: Any) -> dict[str, Any]:
    """A line, of a price of these fields."""
    return {"id": "si_1", "object": "subscription_item", "quantity": quantity, "price": price(**fields)}


def items(*lines: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    """The list of a subscription's lines."""
    return {"object": "list", "data": list(lines), "has_more": has_more}


def subscription(**fields: Any) -> dict[str, Any]:
    """A subscription that is active since 1 March 2026, paid until 1 April."""
    return {
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "currency": "usd",
        "created": seconds("2026-03-01"), "start_date": seconds("2026-03-01"),
        "current_period_start": seconds("2026-03-01"), "current_period_end": seconds("2026-04-01"),
        "trial_end": None, "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None, "ended_at": None,
        "discount": None, "pause_collection": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None}, "items": items(item()),
    } | fields  # fmt: skip


def webhook(created: str, name: str = "updated", id: str = "", **fields: Any) -> dict[str, Any]:
    """An event of the subscription."""
    body = {"id": id or f"evt_{name}_{created}", "object": "event", "type": f"customer.subscription.{name}"}
    return body | {"created": seconds(created), "livemode": True, "data": {"object": subscription(**fields)}}


def event(body: dict[str, Any]) -> Event:
    """The one event that a body is decoded into."""
    (found,) = stripe.decode(json.dumps(body).encode(), 0).events
    return found


def read(body: dict[str, Any]) -> Reading:
    """What a body says of a subscription."""
    return facts(event(body), RECEIVED)
