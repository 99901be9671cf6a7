"""What Stripe's events say of subscriptions.

Each event of a subscription carries all of it, as of the event's time. Invoices say what metered items came to. Charges
and checkouts say nothing here: what follows from them, Stripe says of the subscription too.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tenure.event import Event
from tenure.subscriptions.sources import lenient, stripe_discounts, stripe_price, stripe_tax
from tenure.subscriptions.sources.reading import INVALID_VALUE, NOTHING, UNKNOWN_TAX, Reading, converted, effective
from tenure.subscriptions.sources.stripe_chain import marks
from tenure.subscriptions.sources.stripe_discounts import UNEXPANDED_DISCOUNT
from tenure.subscriptions.sources.stripe_objects import (
    CancellationDetails,
    Customer,
    Discount,
    Invoice,
    Item,
    Items,
    Reference,
    Subscription,
)
from tenure.wire import times

UNREADABLE: Final = "unreadable_subscription"
UNKNOWN_STATUS: Final = "unknown_status"
UNPRICED_ITEM: Final = "unpriced_item"
INCOMPLETE_ITEMS: Final = "incomplete_items"

PROBLEMS: Final[dict[str, str]] = {
    UNREADABLE: "A Stripe object does not have the form of a subscription, or of a discount.",
    UNKNOWN_STATUS: "Stripe gave a status that is not known here; the one before stands.",
    UNPRICED_ITEM: "Stripe did not send what an item costs (tiers, another currency); what is known of it stands.",
    INCOMPLETE_ITEMS: "Stripe sent only the first of a subscription's items, or over 1,000; those known before stand.",
    UNEXPANDED_DISCOUNT: "Stripe sent only the id of a discount or its coupon; what other messages say of it stands.",
}

MAX_ITEMS: Final = 1_000

_SUBSCRIPTIONS: Final = "customer.subscription."
_IMPORTED: Final = "subscription.imported"
_DISCOUNTS: Final = frozenset({"customer.discount.created", "customer.discount.updated", "customer.discount.deleted"})
_CUSTOMERS: Final = frozenset({"customer.created", "customer.updated", "customer.imported"})
_SNAPSHOTS: Final = frozenset({_IMPORTED, "customer.imported"})
_OF_DISCOUNTS: Final = 1
_CHANGED: Final = 2
_PLACES: Final = {
    "customer.subscription.created": 0,
    "customer.created": 0,
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
_READ: Final = _DISCOUNTS | _CUSTOMERS | INVOICES | {_IMPORTED}
_ALIVE: Final = ("trialing", "active", "past_due", "unpaid", "paused")
_REASON_LIMIT: Final = 1_024

_LINES: Final[frozenset[type[msgspec.Struct]]] = frozenset({Items, Item})
_customer = msgspec.json.Decoder(Customer).decode
_invoice = msgspec.json.Decoder(Invoice).decode
_discount = msgspec.json.Decoder(Discount).decode


def facts(event: Event, received_at: int) -> Reading:
    """What an event says of a subscription; of most events, nothing. Never raises. `received_at` is in microseconds."""
    name = event.name
    if not name.startswith(_SUBSCRIPTIONS) and name not in _READ:
        return NOTHING
    is_snapshot = name in _SNAPSHOTS
    at = _taken_at(event, received_at) if is_snapshot else effective(event, received_at)
    told = {
        "source": "stripe",
        "customer": "",
        "id": (event.message_id or "").removeprefix("stripe:"),
        "effective_at": at,
        "received_at": received_at,
    }
    if name in _DISCOUNTS or name in INVOICES:
        told["sequence"] = _OF_DISCOUNTS
    elif not is_snapshot:
        was, becomes = marks(event.properties)
        told |= {"sequence": _PLACES.get(name, _CHANGED), "was": was, "becomes": becomes}
    try:
        if name in _DISCOUNTS:
            return stripe_discounts.of_event(told, _discount(event.properties), name, event.properties)
        if name in INVOICES:
            return _of_invoice(told, _invoice(event.properties))
        if name in _CUSTOMERS:
            return stripe_discounts.of_customer(told, _customer(event.properties), is_new=name == "customer.created")
        subscription, is_whole = lenient.read(event.properties, Subscription, _LINES)
    except (msgspec.DecodeError, RecursionError):
        return NOTHING if name in INVOICES or name in _CUSTOMERS else Reading((), UNREADABLE)
    return _of_subscription(told, subscription, at, [] if is_whole else [INVALID_VALUE])


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
    said = told | {"when": _ALIVE}
    readings = [converted(said | {"subscription": each, "usage": bills}) for each, bills in usage.items()]
    return Reading(tuple(fact for reading in readings for fact in reading.facts))


def _of_subscription(told: dict[str, Any], stripe: Subscription, at: int, problems: list[str]) -> Reading:
    if stripe.object != "subscription":
        return NOTHING
    items = [] if stripe.items is None else stripe.items.data
    prices = [price for item in items if (price := stripe_price.price_of(item)) is not None]
    currency = next((given for given in (stripe.currency, *(price.currency for price in prices)) if given), "").upper()
    payer = stripe.customer.id if isinstance(stripe.customer, Customer) else stripe.customer or ""
    said = {"subscription": stripe.id, "payer": payer} | _life(stripe, problems) | _end(stripe)
    if currency:
        said["currency"] = currency
    if stripe.items is not None:
        if stripe.items.has_more or len(items) > MAX_ITEMS:
            problems.append(INCOMPLETE_ITEMS)
        else:
            said["items"] = [_item(stripe, item, currency, problems) for item in items]
    said |= stripe_discounts.of_subscription(stripe, items, currency, problems)
    if stripe.pause_collection is not UNSET:
        said["pause"] = _pause(stripe, at)
    reading = converted(told | said, next(iter(problems), None))
    if not isinstance(stripe.customer, Customer):
        return reading
    of_customer = stripe_discounts.of_customer(told, stripe.customer)
    return Reading(reading.facts + of_customer.facts, reading.problem or of_customer.problem)


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


def _item(stripe: Subscription, item: Item, currency: str, problems: list[str]) -> dict[str, Any]:
    amount = stripe_price.amount(item, currency)
    tax = stripe_tax.of_item(stripe, item, currency)
    if amount is None and not stripe_price.is_metered_item(item):
        problems.append(UNPRICED_ITEM)
    if stripe_tax.is_unknown(tax):
        problems.append(UNKNOWN_TAX)
    said: dict[str, Any] = {
        "id": item.id,
        "quantity": stripe_price.quantity_of(item),
    } | tax
    if amount is not None:
        said["amount"] = amount
    if item.current_period_end not in (None, _period(stripe)[1]):
        said["period_end"] = _ms(item.current_period_end)
    price = stripe_price.price_of(item)
    if price is None:
        return said
    interval, count = stripe_price.interval_of(price)
    kind = "one_off" if stripe_price.is_one_off(price) else "metered" if stripe_price.is_metered(price) else "recurring"
    said |= {"plan": price.id, "unit": interval or "month", "count": count or 1, "kind": kind}
    product = price.product.id if isinstance(price.product, Reference) else price.product
    return said if product is None else said | {"product": product}


def _pause(stripe: Subscription, at: int) -> dict[str, Any] | None:
    """A pause, unless its bills are only put off (`keep_as_draft`): they are collected later, so nothing is lost."""
    pause = stripe.pause_collection
    if not pause or pause.behavior == "keep_as_draft":
        return None
    return {"starts_at": at, "ends_at": _ms(pause.resumes_at)}


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000
