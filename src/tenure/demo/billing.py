"""What a customer's life as a subscriber makes systems send: Windback's names for most, Whisperr's for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from tenure.demo import call
from tenure.demo.account import WHISPERR, Account
from tenure.demo.call import Call
from tenure.demo.life import Milestone, add_months
from tenure.demo.plans import YEAR
from tenure.wire.times import rfc3339

_WINDBACK = {
    "trial_started": "trial_started",
    "trial_ended": "trial_ended",
    "subscribed": "subscription_started",
    "renewed": "subscription_renewed",
    "upgraded": "subscription_upgraded",
    "downgraded": "subscription_downgraded",
    "seats_changed": "subscription_updated",
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
    for milestone in account.life.milestones:
        if account.billing == WHISPERR:
            yield from _whisperr(rng, account, milestone)
        else:
            yield call.windback_single(milestone.at, account, _WINDBACK[milestone.kind], _windback(account, milestone))
        if milestone.kind in ("subscribed", "upgraded", "downgraded", "seats_changed", "ended", "reactivated"):
            yield call.churnkey_update(milestone.at + 2_000, account, _attributes(milestone))
        if milestone.kind in ("subscribed", "seats_changed", "upgraded"):
            yield call.churnkey_users(milestone.at + 3_000, account)


def _attributes(milestone: Milestone) -> dict[str, Any]:
    status = "cancelled" if milestone.kind == "ended" else "active"
    return {"plan": milestone.subscription.plan.id, "seats": milestone.subscription.seats, "status": status}


def _windback(account: Account, milestone: Milestone) -> dict[str, Any]:
    """The subscription as it is from now on; `amount` is in whole dollars for one `interval`."""
    subscription = milestone.subscription
    properties: dict[str, Any] = {
        "subscription_id": account.customer_id.replace("cus_", "sub_"),
        "plan": subscription.plan.id,
        "seats": subscription.seats,
        "interval": subscription.interval,
        "amount": subscription.amount,
        "currency": "usd",
    }
    for name, value in milestone.details.items():
        if name == "before":
            properties |= {"from_plan": value.plan.id, "from_seats": value.seats, "from_amount": value.amount}
        else:
            properties[name] = rfc3339(value) if name == "ends_at" else value
    return properties


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
        "plan_id": subscription.plan.id,
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
