"""What Stripe's events say of subscriptions.

Each event of a subscription carries all of it, as of the event's time. Invoices say what metered items came to. Charges
and checkouts say nothing here: what follows from them, Stripe says of the subscription too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tenure.event import Event
from tenure.subscriptions.sources import stripe_price
from tenure.subscriptions.sources.reading import NOTHING, Reading, converted, effective
from tenure.subscriptions.sources.stripe_chain import marks
from tenure.subscriptions.sources.stripe_objects import (
    CancellationDetails,
    Coupon,
    Discount,
    Invoice,
    Item,
    Subscription,
)
from tenure.wire import times

UNREADABLE: Final = "unreadable_subscription"
UNKNOWN_STATUS: Final = "unknown_status"
UNPRICED_ITEM: Final = "unpriced_item"
INCOMPLETE_ITEMS: Final = "incomplete_items"
UNEXPANDED_DISCOUNT: Final = "unexpanded_discount"

PROBLEMS: Final[dict[str, str]] = {
    UNREADABLE: "A Stripe object does not have the form of a subscription, or of a discount.",
    UNKNOWN_STATUS: "Stripe gave a status that is not known here; the one before stands.",
    UNPRICED_ITEM: "Stripe did not send what an item costs (tiers, another currency); what is known of it stands.",
    INCOMPLETE_ITEMS: "Stripe sent only the first of a subscription's items, or over 1,000; those known before stand.",
    UNEXPANDED_DISCOUNT: "Stripe sent only the id of a discount or its coupon; the discounts known before stand.",
}

MAX_ITEMS: Final = 1_000

_SUBSCRIPTIONS: Final = "customer.subscription."
_IMPORTED: Final = "subscription.imported"
_DISCOUNTS: Final = frozenset({"customer.discount.created", "customer.discount.updated", "customer.discount.deleted"})
_CHANGED: Final = 2
_PLACES: Final = {
    "customer.subscription.created": 0,
    **dict.fromkeys(_DISCOUNTS, 1),
    "customer.subscription.deleted": 3,
}
"""The place of an event among those of one second, by its type: it begins before it changes, and is gone at last. Where
the subscription says its discounts too, that stands."""
_STATUSES: Final = {
    "incomplete": "incomplete", "incomplete_expired": "canceled", "trialing": "trialing", "active": "active",
    "past_due": "past_due", "unpaid": "unpaid", "paused": "paused", "canceled": "canceled",
}  # fmt: skip
_CAUSES: Final = {
    "cancellation_requested": "voluntary", "payment_failed": "involuntary", "payment_disputed": "involuntary",
}  # fmt: skip
INVOICES: Final = frozenset({"invoice.finalized", "invoice.paid", "invoice.payment_succeeded", "invoice.imported"})
_ALIVE: Final = ("trialing", "active", "past_due", "unpaid", "paused")
_REASON_LIMIT: Final = 1_024

_subscription = msgspec.json.Decoder(Subscription).decode
_invoice = msgspec.json.Decoder(Invoice).decode
_discount = msgspec.json.Decoder(Discount).decode


def facts(event: Event, received_at: int) -> Reading:
    """What an event says of a subscription; of most events, nothing. Never raises. `received_at` is in microseconds."""
    name = event.name
    if not name.startswith(_SUBSCRIPTIONS) and name != _IMPORTED and name not in _DISCOUNTS and name not in INVOICES:
        return NOTHING
    imported = name == _IMPORTED
    at = _taken_at(event, received_at) if imported else effective(event, received_at)
    told = {
        "source": "stripe",
        "customer": "",
        "id": (event.message_id or "").removeprefix("stripe:"),
        "effective_at": at,
        "received_at": received_at,
    }
    try:
        if name in _DISCOUNTS:
            return _of_discount(told, _discount(event.properties), name)
        if name in INVOICES:
            return _of_invoice(told, _invoice(event.properties))
        subscription = _subscription(event.properties)
    except (msgspec.DecodeError, RecursionError):
        return NOTHING if name in INVOICES else Reading((), UNREADABLE)
    if not imported:
        was, becomes = marks(event.properties)
        told |= {"sequence": _PLACES.get(name, _CHANGED), "was": was, "becomes": becomes}
    return _of_subscription(told, subscription, at)


def _taken_at(event: Event, received_at: int) -> int:
    """When a subscription was read from the API: it was so then, whatever times it names.

    Not known, it is when it came here; it is not before what the object names as past, nor after it came here.
    """
    received = received_at // 1_000
    try:
        said = msgspec.json.decode(event.context, type=dict[str, object]).get("taken_at")
        taken = times.parse(said).ms if isinstance(said, str) else received
    except (msgspec.DecodeError, RecursionError, times.TimeInvalid):
        taken = received
    return min(max(taken, effective(event, received_at)), received)


def _of_discount(told: dict[str, Any], discount: Discount, name: str) -> Reading:
    """A discount that was put on, or taken off, a subscription as a whole: its only one, as far as it says."""
    if discount.subscription is None or discount.subscription_item is not None:
        return NOTHING
    said: dict[str, Any] = {"subscription": discount.subscription, "sequence": _PLACES[name]}
    if name.endswith(".deleted"):
        return converted(told | said | {"discounts": []})
    terms = discount.terms
    if terms is None or (terms.percent_off is None and terms.currency is None):
        return Reading((), UNEXPANDED_DISCOUNT)
    return converted(told | said | {"discounts": [_taken_off(discount, terms, (terms.currency or "").upper(), None)]})


def _of_invoice(told: dict[str, Any], invoice: Invoice) -> Reading:
    """What metered items came to, by subscription. Stripe says the rest of the subscription too.

    Amounts are before discounts. Of an invoice of which only the first lines came nothing is said.
    """
    if invoice.object != "invoice" or invoice.lines is None or invoice.lines.has_more:
        return NOTHING
    usage: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in invoice.lines.data:
        price = line.price or line.plan
        is_licensed = price is not None and stripe_price.is_licensed(price)
        bill = None if is_licensed else line.bill(invoice.of_subscription)
        if bill is not None and bill.subscription is not None:
            units = stripe_price.smallest_units(bill.amount, (line.currency or invoice.currency or "").upper())
            usage[bill.subscription].append({"id": bill.item, "plan": bill.price, "amount": units})
    said = told | {"sequence": _PLACES["customer.discount.created"], "when": _ALIVE}
    readings = [converted(said | {"subscription": each, "usage": bills}) for each, bills in usage.items()]
    return Reading(tuple(fact for reading in readings for fact in reading.facts))


def _of_subscription(told: dict[str, Any], stripe: Subscription, at: int) -> Reading:
    if stripe.object != "subscription":
        return NOTHING
    problems: list[str] = []
    items = [] if stripe.items is None else stripe.items.data
    prices = [price for item in items if (price := stripe_price.price_of(item)) is not None]
    currency = next((given for given in (stripe.currency, *(price.currency for price in prices)) if given), "").upper()
    said = {"subscription": stripe.id} | _life(stripe, problems) | _end(stripe)
    if currency:
        said["currency"] = currency
    if stripe.items is not None:
        if stripe.items.has_more or len(items) > MAX_ITEMS:
            problems.append(INCOMPLETE_ITEMS)
        else:
            said["items"] = [_item(item, currency, problems) for item in items]
    said |= _discounts(stripe, items, currency, problems)
    if stripe.pause_collection is not UNSET:
        said["pause"] = _pause(stripe, at)
    return converted(told | said, next(iter(problems), None))


def _life(stripe: Subscription, problems: list[str]) -> dict[str, Any]:
    """Its status, and when it started, is paid for and is in trial."""
    said: dict[str, Any] = {}
    if isinstance(stripe.status, str):
        if stripe.status in _STATUSES:
            said["status"] = _STATUSES[stripe.status]
        else:
            problems.append(UNKNOWN_STATUS)
    started = stripe.created if stripe.start_date is None else stripe.start_date
    if started is not None and stripe.status != "incomplete_expired":  # which was never alive
        said["started_at"] = _ms(started)
    start, end = _period(stripe)
    if start is not None:
        said["period_start"] = _ms(start)
    if end is not None:
        said["period_end"] = _ms(end)
    if stripe.trial_end is not UNSET:
        said["trial_end"] = _ms(stripe.trial_end)
    return said


def _period(stripe: Subscription) -> tuple[int | None, int | None]:
    """What is paid for; where newer API versions have a period for each item, from the last renewal to the next."""
    items = [] if stripe.items is None else stripe.items.data
    starts = [item.current_period_start for item in items if item.current_period_start is not None]
    ends = [item.current_period_end for item in items if item.current_period_end is not None]
    start = max(starts, default=None) if stripe.current_period_start is None else stripe.current_period_start
    end = min(ends, default=None) if stripe.current_period_end is None else stripe.current_period_end
    return start, end


def _end(stripe: Subscription) -> dict[str, Any]:
    """When it was asked to end, ends and ended, and why."""
    said: dict[str, Any] = {}
    if stripe.canceled_at is not UNSET:
        said["canceled_at"] = _ms(stripe.canceled_at)
    if stripe.cancel_at or stripe.cancel_at_period_end:
        said["cancel_at"] = _ms(stripe.cancel_at or _period(stripe)[1])
    elif stripe.cancel_at is not UNSET or stripe.cancel_at_period_end is not None:
        said["cancel_at"] = None
    if stripe.ended_at is not UNSET:
        said["ended_at"] = _ms(stripe.ended_at)
    if stripe.cancellation_details is not UNSET:
        why = stripe.cancellation_details or CancellationDetails()
        said["cause"] = _CAUSES.get(why.reason or "")
        said["reason"] = (why.feedback or why.comment or why.reason or "")[:_REASON_LIMIT] or None
    return said


def _item(item: Item, currency: str, problems: list[str]) -> dict[str, Any]:
    amount = stripe_price.amount(item, currency)
    if amount is None and not stripe_price.is_metered_item(item):
        problems.append(UNPRICED_ITEM)
    said: dict[str, Any] = {
        "id": item.id,
        "quantity": stripe_price.quantity_of(item),
    } | ({} if amount is None else {"amount": amount})
    price = stripe_price.price_of(item)
    if price is None:
        return said
    interval, count = stripe_price.interval_of(price)
    kind = "one_off" if stripe_price.is_one_off(price) else "metered" if stripe_price.is_metered(price) else "recurring"
    return said | {"plan": price.id, "unit": interval or "month", "count": count or 1, "kind": kind}


def _discounts(stripe: Subscription, items: list[Item], currency: str, problems: list[str]) -> dict[str, Any]:
    """The discounts of the items, then those of the whole; nothing when the terms of one were not sent."""
    if stripe.discount is UNSET and stripe.discounts is UNSET:
        return {}
    known = {stripe.discount.id: stripe.discount} if stripe.discount else {}
    said = []
    for listed, item in _listed(stripe, items):
        discount = known.get(listed) if isinstance(listed, str) else listed
        terms = None if discount is None else discount.terms
        if discount is None or terms is None or not _is_known(terms, currency):
            problems.append(UNEXPANDED_DISCOUNT)
            return {}
        said.append(_taken_off(discount, terms, currency, item))
    return {"discounts": said}


def _listed(stripe: Subscription, items: list[Item]) -> Iterator[tuple[str | Discount, str | None]]:
    """Each discount, in the order in which they are taken off, with the item that it is on."""
    for item in items:
        for discount in item.discounts or ():
            yield discount, item.id
    if stripe.discounts:
        for discount in stripe.discounts:
            yield discount, None
    elif stripe.discount:
        yield stripe.discount, None


def _is_known(terms: Coupon, currency: str) -> bool:
    return terms.percent_off is not None or _amount_off(terms, currency) is not None


def _amount_off(terms: Coupon, currency: str) -> int | None:
    if (terms.currency or "").upper() == currency:
        return terms.amount_off
    option = (terms.currency_options or {}).get(currency.lower())
    return None if option is None else option.amount_off


def _taken_off(discount: Discount, terms: Coupon, currency: str, item: str | None) -> dict[str, Any]:
    said: dict[str, Any] = {"item": item, "starts_at": _ms(discount.start), "ends_at": _ms(discount.end)}
    said |= {"once": terms.duration == "once"}
    if terms.percent_off is not None:
        return said | {"percent": terms.percent_off}
    return said | {"amount": stripe_price.smallest_units(_amount_off(terms, currency) or 0, currency)}


def _pause(stripe: Subscription, at: int) -> dict[str, Any] | None:
    """A pause, unless its bills are only put off (`keep_as_draft`): they are collected later, so nothing is lost."""
    pause = stripe.pause_collection
    if not pause or pause.behavior == "keep_as_draft":
        return None
    return {"starts_at": at, "ends_at": _ms(pause.resumes_at)}


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000
