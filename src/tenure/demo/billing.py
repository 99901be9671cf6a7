"""What a customer's life as a subscriber makes systems send: Windback's names, Whisperr's, or Stripe's webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tenure.demo import call
from tenure.demo.account import STRIPE, WHISPERR, WINDBACK, Account
from tenure.demo.call import Call
from tenure.demo.life import Milestone, add_months
from tenure.demo.plans import YEAR, Subscription
from tenure.demo.stripe import stripe
from tenure.wire.times import rfc3339

_WINDBACK = {
    "trial_started": "trial_started",
    "trial_ended": "trial_ended",
    "subscribed": "subscription_started",
    "renewed": "subscription_renewed",
    "upgraded": "subscription_upgraded",
    "downgraded": "subscription_downgraded",
    "invoice_paid": "invoice_paid",
    "invoice_overdue": "invoice_overdue",
    "cancelled": "subscription_cancelled",
    "refund_requested": "refund_requested",
    "ended": "subscription_ended",
    "reactivated": "subscription_reactivated",
}
_WHISPERR = {
    "trial_started": "trial_started",
    "subscribed": "trial_converted",
    "renewed": "renewal_succeeded",
    "upgraded": "membership_started",
    "downgraded": "membership_started",
    "seats_changed": "membership_started",
    "invoice_overdue": "billing_issue_started",
    "cancelled": "auto_renew_disabled",
    "refund_requested": "refund_granted",
    "ended": "membership_ended",
    "reactivated": "membership_started",
}
"""Its reserved names; a change of plan starts a membership. `trial_ended` and `invoice_paid` depend on the case."""


def billing(rng: Random, account: Account) -> Iterator[Call]:
    """The calls of every milestone: the event, and after changes the attributes that follow from it."""
    if account.billing == STRIPE:
        yield from stripe(rng, account)
    for milestone in account.life.milestones:
        if account.billing == WHISPERR:
            yield from _whisperr(rng, account, milestone)
        elif account.billing == WINDBACK:
            yield from _windback(account, milestone)
        if milestone.kind in ("subscribed", "upgraded", "downgraded", "seats_changed", "ended", "reactivated"):
            yield call.churnkey_update(milestone.at + 2_000, account, _attributes(milestone))
        if milestone.kind in ("subscribed", "seats_changed", "upgraded"):
            yield call.churnkey_users(milestone.at + 3_000, account)


def _attributes(milestone: Milestone) -> dict[str, Any]:
    status = "cancelled" if milestone.kind == "ended" else "active"
    return {"plan": milestone.subscription.plan.id, "seats": milestone.subscription.seats, "status": status}


def _windback(account: Account, milestone: Milestone) -> Iterator[Call]:
    """The subscription as it is from now on; `mrr` is in cents."""
    subscription, details = milestone.subscription, milestone.details
    properties: dict[str, Any] = {
        "plan": subscription.price_id,
        "seats": subscription.seats,
        "interval": subscription.interval,
        "mrr": _cents(subscription),
        "currency": "USD",
    }
    for name, value in details.items():
        if name == "before":
            properties |= {"from_plan": value.price_id, "from_seats": value.seats, "from_mrr": _cents(value)}
        else:
            properties[name] = rfc3339(value) if name == "ends_at" else value
    name = _WINDBACK.get(milestone.kind) or _seats_changed(details["before"], subscription)
    yield call.windback_single(milestone.at, account, name, properties)
    if milestone.kind == "cancelled":
        flow = _cents(subscription), details["reason"], details["comment"]
        yield call.windback_cancel_flow(milestone.at + 1_000, account, *flow)
    if milestone.kind == "trial_ended" and not details["converted"]:
        yield call.windback_single(milestone.at + 1_000, account, "subscription_ended", properties)


def _seats_changed(before: Subscription, after: Subscription) -> str:
    """The name of a change of seats: Windback has none for seats that cost nothing."""
    if before.amount == after.amount:
        return "subscription_updated"
    return "subscription_upgraded" if after.amount > before.amount else "subscription_downgraded"


def _cents(subscription: Subscription) -> int:
    """Its MRR as Windback takes it: whole cents."""
    return round(100 * subscription.mrr)


def _whisperr(rng: Random, account: Account, milestone: Milestone) -> Iterator[Call]:
    name = _WHISPERR.get(milestone.kind)
    if milestone.kind == "trial_ended" and not milestone.details["converted"]:
        name = "membership_ended"
    elif milestone.kind == "invoice_paid" and milestone.details["late"]:
        name = "billing_recovered"
    if name is None:
        return
    subscription = milestone.subscription
    properties: dict[str, Any] = {
        "plan_id": subscription.price_id,
        "plan_period": "annual" if subscription.interval == YEAR else "monthly",
        "price": subscription.amount,
        "currency": "USD",
        "seats": subscription.seats,
        "store": "stripe",
        "transaction_id": f"txn_{rng.getrandbits(64):016x}",
    }
    if name == "membership_ended":
        properties["end_reason"] = milestone.details.get("reason", "trial_expired")
    elif name == "auto_renew_disabled":
        properties |= {
            "store_cancel_reason": milestone.details["reason"],
            "access_ends_at": rfc3339(milestone.details["ends_at"]),
        }
    elif name != "refund_granted":
        properties["current_period_ends_at"] = rfc3339(add_months(milestone.at, subscription.months))
    yield call.whisperr(rng, milestone.at, account, name, properties)
