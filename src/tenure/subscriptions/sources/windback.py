"""Windback's churn events, and the names of its events that say what became of a subscription.

The vendor tells customers by e-mail and gives its events no subscription, so that each customer has one. Amounts are
the vendor's `mrr`: a whole number of the currency's smallest unit, a month. Other amounts have no documented unit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tenure import churn_event
from tenure.event import Event
from tenure.subscriptions import names
from tenure.subscriptions.sources import reading
from tenure.subscriptions.sources.reading import NOTHING, Problem, Reading, Values

SOURCE: Final = "windback"

Fields = dict[str, Any]
_TAKEN_BACK: Final[Fields] = dict.fromkeys(("cancel_at", "canceled_at", "cause", "reason"))


def facts(event: Event, received_at: int) -> Reading:
    """What an event says of the customer's subscription."""
    if event.name not in NAMES:
        return NOTHING
    values = Values(event.properties)
    fields = _READERS[event.name](values, reading.effective(event, received_at))
    if not fields:
        return Reading((), values.problem)
    opens = event.name in churn_event.OPENING
    return reading.said(SOURCE, event, received_at, values, fields, (names.OWN_CHURN_EVENT,) if opens else ())


def _churn_recorded(values: Values, at: int) -> Fields:
    return {"status": "canceled", "ended_at": at} | _why(values) | _money(values)


def _cancel_flow_submitted(values: Values, at: int) -> Fields:
    return {"canceled_at": at} | _why(values) | _money(values)


def _cancel_reason_reported(values: Values, at: int) -> Fields:
    reason = values.text("cancel_reason")
    return {} if reason is None else {"reason": reason}


def _trial_started(values: Values, at: int) -> Fields:
    return {"status": "trialing", "started_at": at, "trial_end": None} | _TAKEN_BACK | _money(values)


def _trial_ended(values: Values, at: int) -> Fields:
    return {"trial_end": at}


def _started(values: Values, at: int) -> Fields:
    return {"started_at": at} | _renewed(values, at)


def _renewed(values: Values, at: int) -> Fields:
    return {"status": "active", "period_start": at} | _TAKEN_BACK | _money(values)


def _changed(values: Values, at: int) -> Fields:
    return _money(values)


def _cancelled(values: Values, at: int) -> Fields:
    return {"canceled_at": at}


def _ended(values: Values, at: int) -> Fields:
    return {"status": "canceled", "ended_at": at}


def _invoice_overdue(values: Values, at: int) -> Fields:
    return {"status": "past_due", "when": ["incomplete", "active"]}


def _invoice_paid(values: Values, at: int) -> Fields:
    return {"status": "active", "when": ["past_due", "unpaid"]}


_READERS: Final[dict[str, Callable[[Values, int], Fields]]] = {
    churn_event.RECORDED: _churn_recorded,
    churn_event.SUBMITTED: _cancel_flow_submitted,
    churn_event.REASON_REPORTED: _cancel_reason_reported,
    "trial_started": _trial_started,
    "trial_ended": _trial_ended,
    "subscription_started": _started,
    "subscription_renewed": _renewed,
    "subscription_reactivated": _renewed,
    "subscription_upgraded": _changed,
    "subscription_downgraded": _changed,
    "subscription_cancelled": _cancelled,
    "subscription_canceled": _cancelled,
    "subscription_ended": _ended,
    "invoice_overdue": _invoice_overdue,
    "invoice_paid": _invoice_paid,
}
NAMES: Final = frozenset(_READERS)
"""The names that are read."""


def _why(values: Values) -> Fields:
    """Who cancels, or goes through a cancel flow, chose to; the vendor's reasons are all a customer's."""
    reason = values.text("cancel_reason")
    return {"cause": "voluntary"} if reason is None else {"cause": "voluntary", "reason": reason}


def _money(values: Values) -> Fields:
    """The currency and the one item, where `mrr` and `currency` can be read; the plan, where it is said."""
    plan = values.text("plan_name") or values.text("plan")
    item: Fields = {} if plan is None else {"plan": plan}
    unpriced: Fields = {"items": [item]} if item else {}
    mrr = values.get("mrr")
    if mrr is None:
        return unpriced
    if not values.has("currency"):
        values.wrong(reading.INCOMPLETE_PRICE)
        return unpriced
    try:
        currency = reading.currency_code(values.get("currency"))
        if type(mrr) is not int or not 0 <= mrr < 2**63:
            raise Problem(reading.INVALID_AMOUNT)
    except Problem as problem:
        values.wrong(str(problem))
        return unpriced
    return {"currency": currency, "items": [item | {"amount": mrr}]}
