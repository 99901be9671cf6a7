"""How much of a Stripe price is tax. Exclusive taxes come on top, so that they are none of it.

A rate says itself whether the price includes it; where it does not say, the price does (`tax_behavior`). An item's own
rates stand in for those of the subscription.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tenure.subscriptions.sources.stripe_objects import Item, Subscription, TaxRate
from tenure.subscriptions.sources.stripe_price import price_of, terms_of


def of_item(stripe: Subscription, item: Item, currency: str) -> dict[str, Any]:
    """The percent of the taxes that an item's price includes, as far as the subscription says it.

    Of a price that includes a tax of an unknown rate only that is said.
    """
    behavior = _behavior(item, currency)
    rates = item.tax_rates or stripe.default_tax_rates
    if rates:
        return _of_rates(rates, is_inclusive=behavior == "inclusive")
    if behavior == "inclusive":
        return {"taxed": True}
    is_by_settings = behavior != "exclusive" and stripe.automatic_tax is not None and stripe.automatic_tax.enabled
    return {} if is_by_settings or (rates is None and behavior != "exclusive") else {"tax": 0}


def is_unknown(said: dict[str, Any]) -> bool:
    """Whether there is a tax of which the rate is not said."""
    return bool(said.get("taxed")) and "tax" not in said


def _of_rates(rates: Sequence[str | TaxRate], *, is_inclusive: bool) -> dict[str, Any]:
    total = Decimal(0)
    for rate in rates:
        if isinstance(rate, str):
            return {"taxed": True}
        if rate.inclusive or (rate.inclusive is None and is_inclusive):
            if rate.percentage is None:
                return {"taxed": True}
            total += rate.percentage
    return {"tax": total} | ({"taxed": True} if total else {})


def _behavior(item: Item, currency: str) -> str | None:
    price = price_of(item)
    if price is None:
        return None
    terms = terms_of(price, currency)
    return (terms and terms.tax_behavior) or price.tax_behavior
