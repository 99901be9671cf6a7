"""What a Stripe payload comes to a month, read by Stripe's documentation alone: of one payload, without history.

It shares no line with what it is compared to. `None` as an amount: the payload does not say it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

PAYS = {"active", "past_due"}
MONTHS = {"day": Fraction(12, 365), "week": Fraction(12, 52), "month": Fraction(1), "year": Fraction(12)}
PAST = ("created", "start", "start_date", "current_period_start", "canceled_at", "ended_at")
"""Times of an object that are past when it is sent."""


class Reading(NamedTuple):
    """A currency, the amount a month in Stripe's unit of it, and whether all of that is said."""

    currency: str = ""
    amount: Fraction = Fraction(0)
    complete: bool = True
    only_ids: bool = False
    """Something is paid, less discounts of which only ids are sent."""


def own_time(body: dict[str, Any]) -> int:
    """When a payload was made, in seconds: an event says it, an object names times that are past."""
    if body.get("object") == "event":
        return int(body["created"])
    discounts = [each for each in _discounts(body) if isinstance(each, dict)]
    named = [each.get(name) for each in (body, *discounts) for name in PAST]
    return max((each for each in named if isinstance(each, int)), default=0)


def read(body: dict[str, Any]) -> Reading:
    """What the payload says is paid a month, shortly after it was made."""
    is_event = body.get("object") == "event"
    if is_event and not str(body["type"]).startswith("customer.subscription."):
        return Reading()
    about = body["data"]["object"] if is_event else body
    if about.get("object") != "subscription" or not _pays(about, own_time(body)):
        return Reading()
    if "id" not in about:  # before 2013-08-13: which subscription it is, nobody can say later
        return Reading()
    lines = _lines(about)
    prices = [line.get("price") or line.get("plan") or {} for line in lines]
    currency = about.get("currency") or next((price["currency"] for price in prices if price.get("currency")), "")
    kept = [(line, price) for line, price in zip(lines, prices, strict=True) if not _is_metered(price)]
    amounts = [_monthly(line, price, currency) for line, price in kept]
    known = [amount for amount in amounts if amount is not None]
    shortest = min((_months(price) or Fraction(1) for _, price in kept), default=Fraction(1))
    if any(isinstance(each, str) for each in _discounts(about)):  # what it takes off is not said
        return Reading(complete=False, only_ids=sum(known, Fraction(0)) > 0)
    total = _less(sum(known, Fraction(0)), about, currency, shortest, own_time(body))
    taxes = {_tax(line, price, about) for line, price in kept} or {Fraction(0)}
    assert len(taxes) == 1, "of several taxes the parts would have to be told apart"
    (tax,) = taxes
    return Reading(currency, max(total, Fraction(0)) / (1 + (tax or 0)), len(known) == len(amounts) and tax is not None)


def _pays(about: dict[str, Any], now: int) -> bool:
    if about["status"] not in PAYS or (about.get("ended_at") or now + 1) <= now:
        return False
    pause = about.get("pause_collection") or {}
    is_paused = pause.get("behavior") in ("void", "mark_uncollectible")
    return not is_paused or (pause.get("resumes_at") or now + 1) <= now


def _lines(about: dict[str, Any]) -> list[dict[str, Any]]:
    """The items; before there were items, a subscription had one plan and a quantity."""
    if "items" in about:
        return list(about["items"]["data"])
    return [about] if about.get("plan") else []


def _is_metered(price: dict[str, Any]) -> bool:
    return "metered" in (price.get("usage_type"), (price.get("recurring") or {}).get("usage_type"))


def _months(price: dict[str, Any]) -> Fraction | None:
    every = price.get("recurring") or price
    if every.get("interval") is None:
        return None
    return MONTHS[every["interval"]] * (every.get("interval_count") or 1)


def _monthly(line: dict[str, Any], price: dict[str, Any], currency: str) -> Fraction | None:
    """A line of a bill is whole, half a unit up; a month is a part of it, or several."""
    months, quantity = _months(price), line.get("quantity")
    quantity = 1 if quantity is None else quantity
    if (price.get("currency") or currency) != currency:
        price = (price.get("currency_options") or {}).get(currency) or {}
    bill = _tiered(price, quantity) if price.get("billing_scheme") == "tiered" else _per_unit(price, quantity)
    return None if bill is None or months is None else (bill + Fraction(1, 2)).__floor__() / months


def _number(of: dict[str, Any], *names: str) -> Fraction | None:
    return next((Fraction(str(of[name])) for name in names if of.get(name) is not None), None)


def _per_unit(price: dict[str, Any], quantity: int) -> Fraction | None:
    unit = _number(price, "unit_amount_decimal", "amount_decimal", "unit_amount", "amount")
    packages = price.get("transform_quantity") or price.get("transform_usage")
    if packages:
        rounding = packages["divide_by"] - 1 if packages["round"] == "up" else 0
        quantity = (quantity + rounding) // packages["divide_by"]
    return None if unit is None else unit * quantity


def _tiered(price: dict[str, Any], quantity: int) -> Fraction | None:
    total, below = Fraction(0), 0
    for tier in price.get("tiers") or ():
        unit = _number(tier, "unit_amount_decimal", "unit_amount", "amount") or 0
        flat = _number(tier, "flat_amount_decimal", "flat_amount") or 0
        top = tier["up_to"] or quantity
        if price["tiers_mode"] == "volume" and quantity <= top:
            return unit * quantity + flat
        total += unit * (min(quantity, top) - below) + flat
        below = min(quantity, top)
        if price["tiers_mode"] == "graduated" and quantity <= top:
            return total
    return None


def _tax(line: dict[str, Any], price: dict[str, Any], about: dict[str, Any]) -> Fraction | None:
    """The part of the net price that is tax within the price; None where there is one of which no rate is said."""
    rates = line.get("tax_rates") or about.get("default_tax_rates") or []
    if not rates and price.get("tax_behavior") == "inclusive":
        return None
    return sum((Fraction(str(rate["percentage"])) / 100 for rate in rates if rate["inclusive"]), Fraction(0))


def _discounts(about: dict[str, Any]) -> list[Any]:
    """Those of the whole subscription; ids where only these are sent."""
    alone = about.get("discount")
    listed = about.get("discounts") or ([alone] if alone else [])
    return [alone if alone and each == alone.get("id") else each for each in listed]


def _less(amount: Fraction, about: dict[str, Any], currency: str, months: Fraction, now: int) -> Fraction:
    """After the discounts of the whole subscription: one after the other, those of a single bill left out."""
    for discount in _discounts(about):
        coupon = discount.get("coupon") or (discount.get("source") or {}).get("coupon") or {}
        if coupon["duration"] == "once" or not discount["start"] <= now < (discount["end"] or now + 1):
            continue
        if coupon["percent_off"] is not None:
            amount *= 1 - Fraction(str(coupon["percent_off"])) / 100
        elif coupon["currency"] == currency:
            amount = max(amount - Fraction(coupon["amount_off"]) / months, Fraction(0))
    return amount
