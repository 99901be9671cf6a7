"""The fields of Stripe's objects that say something of a subscription, in every API version that has them.

A field that an object does not have is UNSET: nothing is said of it. Times are seconds since 1970 UTC, amounts are in
the unit that Stripe counts the currency in (see `stripe_price`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from tenure.subscriptions.currency import check_decimal
from tenure.subscriptions.fact import MOST_TAX

_MOST = 10**20


class Tier(msgspec.Struct, frozen=True):
    """One tier of a price."""

    up_to: int | None = None
    """The last unit that it is for; None: all that follow."""
    unit_amount: int | None = None
    unit_amount_decimal: Decimal | None = None
    amount: int | None = None
    """The name of `unit_amount` in plans of old API versions."""
    flat_amount: int | None = None
    flat_amount_decimal: Decimal | None = None

    def __post_init__(self) -> None:
        _check(self.unit_amount_decimal, self.flat_amount_decimal)

    @property
    def unit(self) -> Decimal:
        """The price of a unit; most exactly as given."""
        return _either(self.unit_amount_decimal, self.unit_amount, self.amount) or Decimal(0)

    @property
    def flat(self) -> Decimal:
        """The price of the tier as such."""
        return _either(self.flat_amount_decimal, self.flat_amount) or Decimal(0)


class Terms(msgspec.Struct, frozen=True):
    """What a unit costs in one currency."""

    unit_amount: int | None = None
    unit_amount_decimal: Decimal | None = None
    amount: int | None = None
    """The name of `unit_amount` in plans."""
    amount_decimal: Decimal | None = None
    tiers: list[Tier] | None = None
    tax_behavior: str | None = None
    """`inclusive`, `exclusive` or `unspecified`."""

    def __post_init__(self) -> None:
        _check(self.unit_amount_decimal, self.amount_decimal)

    @property
    def unit(self) -> Decimal | None:
        """The price of a unit, most exactly as given; None when there is none for all units."""
        return _either(self.unit_amount_decimal, self.amount_decimal, self.unit_amount, self.amount)


class Reference(msgspec.Struct, frozen=True):
    """An object of which only the id is read."""

    id: str | None = None


class Recurring(msgspec.Struct, frozen=True):
    """How often a price is billed."""

    interval: str | None = None
    interval_count: int | None = None
    usage_type: str | None = None


class Packages(msgspec.Struct, frozen=True):
    """Units that are sold in packages: `transform_quantity`, of plans `transform_usage`."""

    divide_by: int = 1
    round: str = "up"


class Price(Terms, frozen=True):
    """A price; or a plan, which has the fields of `recurring` itself."""

    id: str = ""
    currency: str | None = None
    billing_scheme: str | None = None
    tiers_mode: str | None = None
    type: str | None = None
    """`recurring` or `one_time`; plans have none and always recur."""
    transform_quantity: Packages | None = None
    transform_usage: Packages | None = None
    currency_options: dict[str, Terms] | None = None
    """The terms in other currencies; only where the API was asked for them."""
    recurring: Recurring | None = None
    interval: str | None = None
    interval_count: int | None = None
    usage_type: str | None = None
    product: str | Reference | None = None


class TaxRate(msgspec.Struct, frozen=True):
    """A tax that bills are charged with."""

    percentage: Decimal | None = None
    inclusive: bool | None = None

    def __post_init__(self) -> None:
        if self.percentage is not None:
            check_decimal("percentage", self.percentage, 0, MOST_TAX)


class Off(msgspec.Struct, frozen=True):
    """What a coupon takes off in one currency."""

    amount_off: int | None = None


class AppliesTo(msgspec.Struct, frozen=True):
    """What a coupon is for, where the API was asked for it."""

    products: list[str] | None = None


class Coupon(msgspec.Struct, frozen=True):
    """The terms of a discount."""

    id: str = ""
    percent_off: Decimal | None = None
    amount_off: int | None = None
    currency: str | None = None
    currency_options: dict[str, Off] | None = None
    duration: str | None = None
    duration_in_months: int | None = None
    applies_to: AppliesTo | None = None


class DiscountSource(msgspec.Struct, frozen=True):
    """Where newer API versions keep the coupon."""

    coupon: str | Coupon | None = None


class Discount(msgspec.Struct, frozen=True):
    """A coupon that was applied."""

    id: str = ""
    coupon: str | Coupon | None = None
    source: DiscountSource | None = None
    start: int | None = None
    end: int | None = None
    customer: str | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    invoice: str | None = None
    invoice_item: str | None = None
    checkout_session: str | None = None

    @property
    def terms(self) -> Coupon:
        """The coupon; without terms when only its id was sent."""
        coupon = self.coupon if self.source is None else self.source.coupon
        return coupon if isinstance(coupon, Coupon) else Coupon(id=coupon or "")

    @property
    def is_of_a_bill(self) -> bool:
        """Whether it is on one bill, or one payment, and on nothing that recurs."""
        return any((self.invoice, self.invoice_item, self.checkout_session))


class Customer(msgspec.Struct, frozen=True):
    """Whom Stripe bills."""

    id: str
    object: str = "customer"
    discount: Discount | UnsetType | None = UNSET


class Item(msgspec.Struct, frozen=True):
    """One line of a subscription."""

    id: str = ""
    quantity: int | None = None
    price: Price | None = None
    plan: Price | None = None
    discounts: list[str | Discount] | None = None
    tax_rates: list[str | TaxRate] | None = None
    current_period_start: int | None = None
    current_period_end: int | None = None


class Items(msgspec.Struct, frozen=True):
    """The lines of a subscription, or the first of them."""

    data: list[Item] = []
    has_more: bool = False


class AutomaticTax(msgspec.Struct, frozen=True):
    """Whether Stripe computes taxes, bill by bill."""

    enabled: bool | None = None


class PauseCollection(msgspec.Struct, frozen=True):
    """A pause of what is collected."""

    behavior: str | None = None
    resumes_at: int | None = None


class CancellationDetails(msgspec.Struct, frozen=True):
    """Why a subscription ends."""

    reason: str | None = None
    feedback: str | None = None
    comment: str | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription."""

    id: str
    object: str
    customer: str | Customer | None = None
    status: str | UnsetType = UNSET
    currency: str | None = None
    created: int | None = None
    start_date: int | None = None
    items: Items | None = None
    """The lines; of API versions that had none yet, the one plan with its quantity."""
    plan: Price | None = None
    quantity: int | None = None
    discount: Discount | UnsetType | None = UNSET
    discounts: list[str | Discount] | UnsetType | None = UNSET
    default_tax_rates: list[str | TaxRate] | None = None
    automatic_tax: AutomaticTax | None = None
    current_period_start: int | None = None
    current_period_end: int | None = None
    trial_end: int | UnsetType | None = UNSET
    pause_collection: PauseCollection | UnsetType | None = UNSET
    canceled_at: int | UnsetType | None = UNSET
    cancel_at: int | UnsetType | None = UNSET
    cancel_at_period_end: bool | None = None
    ended_at: int | UnsetType | None = UNSET
    cancellation_details: CancellationDetails | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        if self.items is None and self.plan is not None:
            of_plan = Items([Item(quantity=self.quantity, plan=self.plan)])
            msgspec.structs.force_setattr(self, "items", of_plan)


class Bill(NamedTuple):
    """What a line of an invoice is for: an item of a subscription, or a price."""

    subscription: str | None
    item: str
    price: str | None
    amount: int


class LineDetails(msgspec.Struct, frozen=True):
    """Where newer API versions say what a line is for."""

    subscription: str | None = None
    subscription_item: str | None = None
    proration: bool | None = None


class LineParent(msgspec.Struct, frozen=True):
    """What a line belongs to."""

    subscription_item_details: LineDetails | None = None


class PriceDetails(msgspec.Struct, frozen=True):
    """The id of a line's price."""

    price: str | None = None


class Pricing(msgspec.Struct, frozen=True):
    """Where newer API versions name the price."""

    price_details: PriceDetails | None = None


class Line(msgspec.Struct, frozen=True):
    """One line of an invoice."""

    amount: int | None = None
    currency: str | None = None
    subscription: str | None = None
    subscription_item: str | None = None
    proration: bool | None = None
    price: Price | None = None
    plan: Price | None = None
    parent: LineParent | None = None
    pricing: Pricing | None = None

    def bill(self, subscription: str | None) -> Bill | None:
        """What it is for, of an invoice of a subscription; None where it is for no interval of an item."""
        details = (self.parent and self.parent.subscription_item_details) or LineDetails()
        price = self.price or self.plan
        named = price.id if price else self.pricing and self.pricing.price_details and self.pricing.price_details.price
        if self.amount is None or self.proration or details.proration:
            return None
        item = self.subscription_item or details.subscription_item or ""
        return Bill(self.subscription or details.subscription or subscription, item, named or None, self.amount)


class Lines(msgspec.Struct, frozen=True):
    """The lines of an invoice, or the first of them."""

    data: list[Line] = []
    has_more: bool = False


class InvoiceParent(msgspec.Struct, frozen=True):
    """Where newer API versions name the subscription."""

    subscription_details: LineDetails | None = None


class Invoice(msgspec.Struct, frozen=True):
    """A bill."""

    object: str
    currency: str | None = None
    subscription: str | None = None
    parent: InvoiceParent | None = None
    lines: Lines | None = None

    @property
    def of_subscription(self) -> str | None:
        """The subscription that it is of."""
        details = self.parent and self.parent.subscription_details
        return self.subscription or (details.subscription if details else None)


def _check(*amounts: Decimal | None) -> None:
    for amount in amounts:
        if amount is not None:
            check_decimal("a decimal amount", amount, -_MOST, _MOST)


def _either(*amounts: Decimal | int | None) -> Decimal | None:
    return next((Decimal(amount) for amount in amounts if amount is not None), None)
