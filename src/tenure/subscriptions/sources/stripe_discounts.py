"""What Stripe says of discounts: of a subscription, of its items, and of whom it bills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tenure.subscriptions import fact, periods
from tenure.subscriptions.sources import stripe_price
from tenure.subscriptions.sources.reading import NOTHING, Reading, converted
from tenure.subscriptions.sources.stripe_objects import Coupon, Customer, Discount, Item, Subscription

UNEXPANDED_DISCOUNT: Final = "unexpanded_discount"

_MONTH: Final = fact.Item()


class _Previous(msgspec.Struct, frozen=True):
    """What a discount was before an update: another one, where it has another id."""

    id: str | None = None


class _Updated(msgspec.Struct, frozen=True):
    """An event's object, as far as it says that."""

    previous_attributes: _Previous | None = None


_updated = msgspec.json.Decoder(_Updated).decode


def of_subscription(stripe: Subscription, items: Sequence[Item], currency: str, problems: list[str]) -> dict[str, Any]:
    """The discounts of the items, then those of the whole; nothing when one was sent of which nothing is told."""
    if stripe.discount is UNSET and stripe.discounts is UNSET:
        return {}
    known = {stripe.discount.id: stripe.discount} if stripe.discount else {}
    said = []
    for listed, item in _listed(stripe, items):
        discount = known.get(listed, Discount(id=listed)) if isinstance(listed, str) else listed
        found = _said(discount, item, currency)
        if not _has_terms(found):
            problems.append(UNEXPANDED_DISCOUNT)
            if not discount.id:
                return {}
        said.append(found)
    return {"discounts": said}


def of_event(told: dict[str, Any], discount: Discount, name: str, properties: str) -> Reading:
    """A discount that was put on, or taken off, a subscription, one of its items, or whom Stripe bills.

    Old API versions have no ids of discounts, and but one of each.
    """
    if discount.subscription is not None:
        told = told | {"subscription": discount.subscription}
    elif discount.customer is not None and discount.subscription_item is None and not discount.is_of_a_bill:
        told = told | {"subscription": "", "payer": discount.customer}
    else:
        return NOTHING
    if name.endswith(".deleted"):
        gone = {"taken_off": [discount.id]} if discount.id else {"discounts": []}
        return NOTHING if discount.subscription_item and not discount.id else converted(told | gone)
    said = _said(discount, discount.subscription_item, "")
    problem = None if _has_terms(said) else UNEXPANDED_DISCOUNT
    if discount.id:
        former = _updated(properties).previous_attributes
        taken_off = [former.id] if former is not None and former.id else []
        return converted(told | {"put_on": [said], "taken_off": taken_off}, problem)
    if problem or discount.subscription_item:
        return Reading((), problem)
    return converted(told | {"discounts": [said]})


def of_customer(told: dict[str, Any], customer: Customer, *, is_new: bool = False) -> Reading:
    """The discount of whom Stripe bills, or that there is none; nothing where that is not said. Nor of one who is new
    and has none, as most are: who has no word of one has none."""
    if customer.object != "customer" or customer.discount is UNSET or (is_new and customer.discount is None):
        return NOTHING
    said = [_said(customer.discount, None, "")] if customer.discount else []
    problem = None if all(map(_has_terms, said)) else UNEXPANDED_DISCOUNT
    if problem and customer.discount and not customer.discount.id:
        return Reading((), problem)
    return converted(told | {"subscription": "", "payer": customer.id, "discounts": said}, problem)


def _listed(stripe: Subscription, items: Sequence[Item]) -> Iterator[tuple[str | Discount, str | None]]:
    """Each discount, in the order in which they are taken off, with the item that it is on."""
    for item in items:
        for discount in item.discounts or ():
            yield discount, item.id
    if stripe.discounts:
        for discount in stripe.discounts:
            yield discount, None
    elif stripe.discount:
        yield stripe.discount, None


def _said(discount: Discount, item: str | None, currency: str) -> dict[str, Any]:
    """A discount in the words of a fact; without terms where they are not sent, or not in the currency."""
    terms = discount.terms
    said: dict[str, Any] = {"id": discount.id, "coupon": terms.id, "item": item, "starts_at": _ms(discount.start)}
    said |= {"ends_at": _end(discount, terms), "once": terms.duration == "once"}
    if terms.applies_to is not None and terms.applies_to.products:
        said["products"] = terms.applies_to.products
    if terms.percent_off is not None:
        return said | {"percent": terms.percent_off}
    amounts = _amounts(terms)
    if not currency:
        return said | {"amounts": amounts}
    return said | ({"amount": amounts[currency]} if currency in amounts else {})


def _has_terms(said: dict[str, Any]) -> bool:
    return "percent" in said or "amount" in said or bool(said.get("amounts"))


def _amounts(terms: Coupon) -> dict[str, int]:
    """What it takes off, by currency."""
    options = {code: option.amount_off for code, option in (terms.currency_options or {}).items()}
    found = options | {terms.currency or "": terms.amount_off}
    return {code.upper(): stripe_price.smallest_units(amount, code.upper())
            for code, amount in found.items() if code and amount is not None}  # fmt: skip


def _end(discount: Discount, terms: Coupon) -> int | None:
    """When it ends; of one for some months, where Stripe does not say it, so many after its start."""
    start, months = discount.start, terms.duration_in_months
    if discount.end is None and terms.duration == "repeating" and start is not None and months is not None:
        return periods.after(start * 1_000, _MONTH, min(max(months, 0), fact.MAX_COUNT))
    return _ms(discount.end)


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000
