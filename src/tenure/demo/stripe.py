"""What Stripe sends of a subscription as it goes on: each event has the whole of it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tenure.demo import call
from tenure.demo.account import Account
from tenure.demo.call import Call
from tenure.demo.life import TRIAL, Milestone, add_months
from tenure.demo.plans import Subscription

_FEEDBACK = {"switched_product": "switched_service", "company_closed": "other"}
"""Reasons that Stripe's portal has no such choice for, or another word."""


def stripe(rng: Random, account: Account) -> Iterator[Call]:
    """The webhooks of every milestone of an account."""
    current: dict[str, Any] = {}

    for milestone in account.life.milestones:
        at, kind, subscription, details = milestone
        if kind == "trial_started":
            about = {"id": account.customer_id, "object": "customer", "name": account.company, "email": account.email}
            yield call.stripe(rng, at, "customer.created", about)
        if kind in ("trial_started", "reactivated"):
            number = account.life.milestones.index(milestone)
            current = _begun(account, number, at) | _terms(subscription)
            current |= _trial(at) if kind == "trial_started" else _period(at, subscription)
            yield call.stripe(rng, at, "customer.subscription.created", current)
        elif kind == "refund_requested":
            yield call.stripe(rng, at, "charge.refunded", _bill("charge", account, milestone))
        elif kind == "invoice_paid":
            yield call.stripe(rng, at, "invoice.paid", _bill("invoice", account, milestone))
        elif kind == "ended" or (kind == "trial_ended" and not details["converted"]):
            current = current | {"status": "canceled", "ended_at": at // 1_000, "cancel_at": None} | _why(milestone)
            yield call.stripe(rng, at, "customer.subscription.deleted", current)
        elif kind != "trial_ended":
            if kind == "invoice_overdue":
                yield call.stripe(rng, at, "invoice.payment_failed", _bill("invoice", account, milestone))
            current = current | _terms(subscription) | _changed(milestone)
            yield call.stripe(rng, at + 1_000, "customer.subscription.updated", current)


def _begun(account: Account, number: int, at: int) -> dict[str, Any]:
    return {
        "id": f"{account.customer_id.replace('cus_', 'sub_')}{number}",
        "object": "subscription",
        "customer": account.customer_id,
        "currency": "usd",
        "start_date": at // 1_000,
        "status": "active",
        "trial_end": None,
        "cancel_at": None,
        "canceled_at": None,
        "ended_at": None,
        "discounts": [],
    }


def _terms(subscription: Subscription) -> dict[str, Any]:
    """The plan, and the seats beyond those that it includes."""
    prices = [(subscription.price_id, subscription.base, 1)]
    if subscription.extra_seats:
        prices.append((f"{subscription.price_id}-seat", subscription.seat, subscription.extra_seats))
    items = [
        {"id": f"si_{price}", "quantity": quantity,
         "price": {"id": price, "object": "price", "currency": "usd", "unit_amount": 100 * amount,
                   "recurring": {"interval": subscription.interval, "interval_count": 1}}}
        for price, amount, quantity in prices
    ]  # fmt: skip
    return {"items": {"object": "list", "data": items, "has_more": False}}


def _trial(at: int) -> dict[str, Any]:
    end = (at + TRIAL) // 1_000
    return {"status": "trialing", "trial_end": end, "current_period_start": at // 1_000, "current_period_end": end}


def _period(at: int, subscription: Subscription) -> dict[str, Any]:
    end = add_months(at, subscription.months)
    return {"status": "active", "current_period_start": at // 1_000, "current_period_end": end // 1_000}


def _changed(milestone: Milestone) -> dict[str, Any]:
    """What else than its terms a milestone changes."""
    at, kind, subscription, details = milestone
    if kind == "subscribed":
        return _period(at, subscription) | {"trial_end": at // 1_000}
    if kind == "renewed":
        return _period(at, subscription)
    if kind == "invoice_overdue":
        return {"status": "past_due"}
    if kind == "cancelled":
        return {"canceled_at": at // 1_000, "cancel_at": details["ends_at"] // 1_000} | _why(milestone)
    return {}


def _why(milestone: Milestone) -> dict[str, Any]:
    """Why it ends; the customer's own words come when it cancels, and stay."""
    details = milestone.details
    if "comment" in details:
        feedback = _FEEDBACK.get(details["reason"], details["reason"])
        why = {"reason": "cancellation_requested", "feedback": feedback, "comment": details["comment"]}
        return {"cancellation_details": why}
    return {} if details.get("voluntary") else {"cancellation_details": {"reason": details.get("reason")}}


def _bill(kind: str, account: Account, milestone: Milestone) -> dict[str, Any]:
    amount = 100 * milestone.subscription.amount
    about = {"id": f"{kind[:2]}_{milestone.at:x}", "object": kind, "customer": account.customer_id, "currency": "usd"}
    return about | ({"amount_refunded": amount} if kind == "charge" else {"amount_due": amount})
