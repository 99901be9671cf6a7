"""Whisperr's reserved billing names. The vendor knows one membership for each user, and so do the facts.

Few of its events carry a property that tells memberships apart, and those that take a payment problem or a
cancellation back carry none: by a store or a transaction, an end would often not find what it ends.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tenure.event import Event
from tenure.subscriptions.fact import STATUSES, Cause
from tenure.subscriptions.sources import reading
from tenure.subscriptions.sources.reading import NOTHING, Problem, Reading, Values
from tenure.wire.times import DAY_MS

SOURCE: Final = "whisperr"

_TAKEN_BACK: Final = dict.fromkeys(("cancel_at", "canceled_at", "cause", "reason"))
_NOT_ENDED: Final = [status for status in STATUSES if status != "canceled"]
_RECURRING: Final = frozenset({"self_subscription", "web_other"})
_OTHER_ACCESS: Final = frozenset({"lifetime", "family_share", "promotional", "sponsored"})
"""Ways of access for which this customer pays nothing, or nothing that recurs."""
_CAUSES: Final[dict[str, Cause]] = {
    "unsubscribe": "voluntary", "customer_support": "voluntary", "price_increase": "voluntary",
    "voluntary": "voluntary", "refund": "voluntary",
    "billing_error": "involuntary", "billing": "involuntary", "developer_initiated": "involuntary",
    "product_unavailable": "involuntary",
}  # fmt: skip
"""Whose doing the end is, of the vendor's two closed lists of reasons; of other reasons it is not said."""

_ISO_8601: Final = re.compile(r"P([1-9][0-9]{0,3})([DWMY])")
_UNITS: Final = {"D": "day", "W": "week", "M": "month", "Y": "year"}
_WORDS: Final = {
    "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "annual": "year", "yearly": "year",
}  # fmt: skip


def facts(event: Event, received_at: int) -> Reading:
    """What a billing event says of the customer's membership."""
    if event.name not in NAMES:
        return NOTHING
    values = Values(event.properties)
    fields = _READERS[event.name](values, reading.effective(event, received_at))
    return reading.said(SOURCE, event, received_at, values, fields)


def _trial_started(values: Values, at: int) -> dict[str, Any]:
    trial_end = values.time("trial_ends_at")
    days = values.get("trial_length_days")
    if trial_end is None and days is not None:
        if type(days) is int and 0 <= days <= 36_500:
            trial_end = at + days * DAY_MS
        else:
            values.wrong(reading.INVALID_VALUE)
    ends = {} if trial_end is None else {"trial_end": trial_end}
    return {"status": "trialing", "started_at": at} | ends | _TAKEN_BACK | _price(values)


def _trial_converted(values: Values, at: int) -> dict[str, Any]:
    return _paid(values, at) | _price(values)


def _trial_auto_renew_disabled(values: Values, at: int) -> dict[str, Any]:
    trial_end = values.time("trial_ends_at")
    ends = {} if trial_end is None else {"trial_end": trial_end, "cancel_at": trial_end}
    return {"status": "trialing", "canceled_at": at} | ends | _why(values, "store_cancel_reason")


def _membership_started(values: Values, at: int) -> dict[str, Any]:
    access = values.get("access_source")
    if access is None or access in _RECURRING:
        return _paid(values, at) | {"started_at": at} | _price(values)
    if access not in _OTHER_ACCESS:
        values.wrong(reading.INVALID_VALUE)
    return _paid(values, at) | {"started_at": at, "items": []}


def _renewal_succeeded(values: Values, at: int) -> dict[str, Any]:
    return _paid(values, at) | _price(values)


def _auto_renew_disabled(values: Values, at: int) -> dict[str, Any]:
    ends_at = values.time("access_ends_at")
    if ends_at is None:
        ends_at = values.time("current_period_ends_at")
    ends = {} if ends_at is None else {"cancel_at": ends_at}
    return {"canceled_at": at} | ends | _why(values, "store_cancel_reason")


def _auto_renew_enabled(values: Values, at: int) -> dict[str, Any]:
    return dict(_TAKEN_BACK)


def _membership_ended(values: Values, at: int) -> dict[str, Any]:
    return {"status": "canceled", "ended_at": at} | _why(values, "end_reason")


def _billing_issue_started(values: Values, at: int) -> dict[str, Any]:
    return {"status": "past_due", "when": _NOT_ENDED}


def _billing_recovered(values: Values, at: int) -> dict[str, Any]:
    return {"status": "active"}


_READERS: Final = {
    "trial_started": _trial_started,
    "trial_converted": _trial_converted,
    "trial_auto_renew_disabled": _trial_auto_renew_disabled,
    "membership_started": _membership_started,
    "renewal_succeeded": _renewal_succeeded,
    "auto_renew_disabled": _auto_renew_disabled,
    "auto_renew_enabled": _auto_renew_enabled,
    "membership_ended": _membership_ended,
    "billing_issue_started": _billing_issue_started,
    "billing_recovered": _billing_recovered,
}
NAMES: Final = frozenset(_READERS)
"""The names that are read; `refund_granted` says nothing of the membership."""


def _paid(values: Values, at: int) -> dict[str, Any]:
    """A paid period has begun, so whatever was to end the membership is taken back."""
    period_end = values.time("current_period_ends_at")
    return {"status": "active", "period_start": at, "period_end": period_end} | _TAKEN_BACK


def _why(values: Values, name: str) -> dict[str, Any]:
    reason = values.text(name)
    if reason is None:
        return {}
    return {"reason": reason, "cause": _CAUSES[reason]} if reason in _CAUSES else {"reason": reason}


def _price(values: Values) -> dict[str, Any]:
    """The currency and the one item, where price, currency and period are all there and can be read; the plan, where it
    is said."""
    plan = values.text("plan_id")
    item: dict[str, Any] = {} if plan is None else {"plan": plan}
    unpriced: dict[str, Any] = {"items": [item]} if item else {}
    if not values.has("price"):
        return unpriced
    if not values.has("currency") or not values.has("plan_period"):
        values.wrong(reading.INCOMPLETE_PRICE)
        return unpriced
    try:
        currency = reading.currency_code(values.get("currency"))
        amount = reading.smallest_units(values.get("price"), currency)
        unit, count = _period(values.get("plan_period"))
        if amount < 0:
            raise Problem(reading.INVALID_AMOUNT)
    except Problem as problem:
        values.wrong(str(problem))
        return unpriced
    return {"currency": currency, "items": [item | {"amount": amount, "unit": unit, "count": count}]}


def _period(value: object) -> tuple[str, int]:
    """An ISO 8601 duration of one unit, or its English word. Raises Problem."""
    if isinstance(value, str):
        if value in _WORDS:
            return _WORDS[value], 1
        found = _ISO_8601.fullmatch(value)
        if found is not None:
            return _UNITS[found[2]], int(found[1])
    raise Problem(reading.INVALID_INTERVAL)
