"""What an item of a Stripe subscription comes to each interval, exactly, in ISO 4217's smallest units.

Stripe counts nearly every currency in ISO's smallest unit, also those without decimals and those with three (whose last
digit is 0 where cards are charged). The exceptions are in `_DECIMALS`. HUF and TWD are counted in hundredths like
others; only payouts of them are whole.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from tenure.subscriptions.currency import exponent
from tenure.subscriptions.sources.stripe_objects import Item, Price, Terms, Tier

_DECIMALS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Currencies that Stripe counts otherwise than ISO 4217: with two decimals that are always 0, and without its two."""

_HALF: Final = Fraction(1, 2)


def smallest_units(amount: Fraction | Decimal | int, currency: str) -> int:
    """An amount of Stripe's in ISO's smallest units, rounded as a line of an invoice is: half away from 0."""
    units = Fraction(amount) * Fraction(10) ** (exponent(currency) - _DECIMALS.get(currency, exponent(currency)))
    rounded = int(abs(units) + _HALF)
    return -rounded if units < 0 else rounded


def price_of(item: Item) -> Price | None:
    """The price of an item: the plan where an API version has no prices yet."""
    return item.price or item.plan


def quantity_of(item: Item) -> int:
    """How many; one where an object does not say, as for what is billed by use."""
    return 1 if item.quantity is None else item.quantity


def is_metered(price: Price) -> bool:
    """Whether it is billed by use, of which a subscription says nothing."""
    return "metered" in (price.usage_type, price.recurring and price.recurring.usage_type)


def is_licensed(price: Price) -> bool:
    """Whether it says that it is not billed by use."""
    return "licensed" in (price.usage_type, price.recurring and price.recurring.usage_type)


def is_one_off(price: Price) -> bool:
    """Whether it says that it is billed once. One that does not say its interval is not known."""
    return price.type == "one_time"


def interval_of(price: Price) -> tuple[str | None, int | None]:
    """How often it is billed: the unit, and how many of them."""
    every = price.recurring or price
    return every.interval, every.interval_count


def is_metered_item(item: Item) -> bool:
    """Whether an item is billed by use."""
    price = price_of(item)
    return price is not None and is_metered(price)


def amount(item: Item, currency: str) -> int | None:
    """What the whole quantity comes to each interval; None when not said: tiers, a currency, an interval, use."""
    price = price_of(item)
    if price is None or not currency or is_metered(price):
        return None
    if interval_of(price)[0] is None and not is_one_off(price):
        return None
    terms = terms_of(price, currency)
    total = None if terms is None else _total(price, terms, quantity_of(item))
    return None if total is None else smallest_units(total, currency)


def terms_of(price: Price, currency: str) -> Terms | None:
    """The terms in the currency of the subscription, which need not be the price's first."""
    if price.currency is None or price.currency.upper() == currency:
        return price
    return (price.currency_options or {}).get(currency.lower())


def _total(price: Price, terms: Terms, quantity: int) -> Fraction | None:
    if price.billing_scheme == "tiered":
        tiers = terms.tiers or []
        return _volume(tiers, quantity) if price.tiers_mode == "volume" else _graduated(tiers, quantity)
    if terms.unit is None:
        return None
    packages = price.transform_quantity or price.transform_usage
    if packages is not None and packages.divide_by > 0:
        whole, rest = divmod(quantity, packages.divide_by)
        quantity = whole + (rest > 0 and packages.round == "up")
    return Fraction(terms.unit) * quantity


def _volume(tiers: list[Tier], quantity: int) -> Fraction | None:
    """All units at the price of the tier that the quantity falls into."""
    for tier in tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return Fraction(tier.unit) * quantity + Fraction(tier.flat)
    return None


def _graduated(tiers: list[Tier], quantity: int) -> Fraction | None:
    """Each unit at the price of its own tier, with the flat price of each tier that is reached; the first always is."""
    total, below = Fraction(0), 0
    for tier in tiers:
        last = quantity if tier.up_to is None else min(quantity, tier.up_to)
        total += Fraction(tier.unit) * (last - below) + Fraction(tier.flat)
        below = last
        if last == quantity:
            return total
    return None
