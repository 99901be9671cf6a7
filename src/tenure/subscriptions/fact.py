"""The one form of what a source says about a subscription: a statement, as of a time.

A fact says some or all fields of a subscription; a field that it leaves UNSET it says nothing about. So a whole
object from a billing system and "auto-renewal was switched off" have the same form. Times within a subscription
are milliseconds since 1970 UTC; amounts are integers of the currency's smallest unit. Untrusted input comes in by
`msgspec.convert(…, Fact)`, which checks every range.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tenure.subscriptions.chain import in_chains
from tenure.subscriptions.currency import check_decimal

Status: TypeAlias = Literal["incomplete", "trialing", "active", "past_due", "unpaid", "paused", "canceled"]
Unit: TypeAlias = Literal["day", "week", "month", "quarter", "year"]
Kind: TypeAlias = Literal["recurring", "metered", "one_off"]
Cause: TypeAlias = Literal["voluntary", "involuntary"]

Time: TypeAlias = Annotated[int, Meta(ge=-(2**48), le=2**48)]
Amount: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Text: TypeAlias = Annotated[str, Meta(max_length=1024)]
Name: TypeAlias = Annotated[str, Meta(max_length=1_100)]
"""Room for the longest identifier, with its kind before it."""
MAX_COUNT: Final = 9_999
MOST_TAX: Final = 1_000
"""Percent of tax, at the most."""
Off: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_COUNT)]

STATUSES: Final[tuple[Status, ...]] = (
    "incomplete", "trialing", "active", "past_due", "unpaid", "paused", "canceled",
)  # fmt: skip
"""In the order a subscription goes through them."""


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One priced line of a subscription. It holds its own price, so that a deleted plan changes nothing."""

    id: Text = ""
    plan: Text | None = None
    """None: not said; empty where there is none."""
    amount: Amount | None = None
    """For the whole quantity, each interval, before discounts. Metered: what the last whole interval came to. None: not
    said, so that what is known of it stands (`items.filled`)."""
    quantity: Annotated[int, Meta(ge=0)] = 1
    unit: Unit = "month"
    count: Count = 1
    """How many units an interval has: 3 with `month` is quarterly."""
    kind: Kind = "recurring"
    """`one_off`: set-up fees and prorations, of either sign; never MRR."""
    product: Text | None = None
    """What it is a price of, where the source says so: coupons may be for some products only."""
    tax: Decimal | None = None
    """Percent of the taxes that the amount includes; 0: none is in it. None: not said."""
    taxed: bool = False
    """A tax is in the amount, of which the percent need not be said."""
    period_end: Time | None = None
    """Where items have periods of their own."""

    def __post_init__(self) -> None:
        if self.tax is not None:
            check_decimal("tax", self.tax, 0, MOST_TAX)


class Discount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A discount on a subscription, on one of its items, or of whom it is billed to. In force within
    [starts_at, ends_at); of a price that is billed less often than each month until the next bill (`periods`)."""

    id: Text = ""
    """The source's. With an id and no terms it is one of which only that was told (`discounts`)."""
    coupon: Text = ""
    """The source's id of its terms."""
    percent: Decimal | None = None
    amount: Off | None = None
    """Off each bill; with several intervals, off that of the shortest."""
    amounts: dict[str, Off] = {}
    """Likewise by currency, where the subscription's is not known by who says it."""
    item: Text | None = None
    products: tuple[Text, ...] | None = None
    """It is on items of these products alone. None: nobody said that it is for some only."""
    only: tuple[int, ...] | None = None
    """In a state: places of the items that it is still on; None: all."""
    starts_at: Time | None = None
    ends_at: Time | None = None
    once: bool = False
    """For one bill only."""

    def __post_init__(self) -> None:
        if self.percent is not None:
            check_decimal("percent", self.percent, 0, 100)

    @property
    def has_terms(self) -> bool:
        """Whether it is said what it takes off."""
        return self.percent is not None or self.amount is not None or bool(self.amounts)


class Pause(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pause: from `starts_at` until `ends_at`, when it ends by itself, or until a fact ends it."""

    starts_at: Time
    ends_at: Time | None = None


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a source said about a subscription, as of a time."""

    source: Text
    customer: Text
    subscription: Name
    """Its id at the source; of a source that gives none, the identifier that the event is kept under. Empty beside a
    `payer`: it says something of all that one is billed for."""
    payer: Text = ""
    """Whom the source bills for it, by the source's own id, where discounts may be that one's."""
    effective_at: Time
    received_at: int
    """Microseconds since 1970 UTC."""
    id: Text = ""
    """The source's id of the statement, equal in each delivery of it; without one it is told by its content."""
    sequence: int | None = None
    """The source's own count of the subscription's versions, where it has one: decides at equal times."""
    becomes: str = ""
    """A mark of all that the subscription was then, where the source tells what it was before each change."""
    was: str = ""
    """Such a mark of what it was before the change, where this is one: what becomes so comes before (`chain`)."""
    place: Annotated[str, Meta(max_length=48)] = ""
    """Its place in the order of first receipt, as text: what came earlier sorts first. It is part of the input."""
    when: tuple[Status, ...] = ()
    """It counts only where the subscription is in one of these states then; without any, always."""

    also: tuple[Name, ...] = ()
    """Of a source that gives no ids: the other identifiers that came with the event (`names`)."""
    usage: tuple[Item, ...] = ()
    """What metered items came to in the last whole interval: only their id or plan, and the amount."""
    put_on: tuple[Discount, ...] = ()
    """Discounts that there are from then on, beside those that there were."""
    taken_off: tuple[Text, ...] = ()
    """Ids of discounts that there are no more."""

    status: Status | UnsetType = UNSET
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | UnsetType = UNSET
    items: tuple[Item, ...] | UnsetType = UNSET
    discounts: tuple[Discount, ...] | UnsetType = UNSET
    """In the order in which they are taken off."""
    started_at: Time | UnsetType | None = UNSET
    period_start: Time | UnsetType | None = UNSET
    period_end: Time | UnsetType | None = UNSET
    trial_end: Time | UnsetType | None = UNSET
    pause: Pause | UnsetType | None = UNSET
    canceled_at: Time | UnsetType | None = UNSET
    """When it was asked to end."""
    cancel_at: Time | UnsetType | None = UNSET
    """When it is going to end."""
    ended_at: Time | UnsetType | None = UNSET
    cause: Cause | UnsetType | None = UNSET
    """Whose doing the end is, where the source says."""
    reason: Text | UnsetType | None = UNSET

    @property
    def content(self) -> bytes:
        """All that it says, as bytes; equal in every delivery."""
        return msgspec.json.encode(msgspec.structs.replace(self, received_at=0, place=""))

    @property
    def identity(self) -> bytes:
        """16 bytes that are equal in each delivery of one statement."""
        told_by = msgspec.json.encode((self.source, self.subscription, self.id)) if self.id else self.content
        return blake2b(told_by, digest_size=16, person=b"subscription").digest()

    @property
    def tie(self) -> tuple[int, int]:
        """Facts of one subscription in which this is equal were said of one time, and of one version."""
        return self.effective_at, -1 if self.sequence is None else self.sequence

    @property
    def heard(self) -> tuple[str, int, bytes]:
        """Its place in the order of first receipt."""
        return self.place, self.received_at, self.content

    @property
    def is_of_payer(self) -> bool:
        """Whether it says something of whom is billed, and of no subscription alone."""
        return bool(self.payer) and not self.subscription

    @property
    def said(self) -> dict[str, Any]:
        """The fields that it says, by name."""
        values = ((name, getattr(self, name)) for name in SAID)
        found = {name: value for name, value in values if value is not UNSET}
        return found | {name: value for name in CHANGES if (value := getattr(self, name))}


SAID: Final = Fact.__struct_fields__[Fact.__struct_fields__.index("status") :]
"""The fields that a fact may say of its subscription."""
CHANGES: Final = ("usage", "put_on", "taken_off")
"""The fields that change a part of what another says."""


def known(facts: Iterable[Fact], as_of: int | None = None) -> list[Fact]:
    """Each statement once, in order: of its deliveries the first, of those received by `as_of` (microseconds).

    The order is that of effective times; at one time, of the source's versions; within one version, of the source's
    chain of changes, where it tells one; else of first receipt.
    """
    first: dict[bytes, Fact] = {}
    for fact in facts:
        if as_of is None or fact.received_at <= as_of:
            same = first.setdefault(fact.identity, fact)
            if same is not fact:
                first[fact.identity] = min(same, fact, key=lambda copy: copy.heard)
    return in_chains(sorted(first.values(), key=lambda fact: (*fact.tie, *fact.heard)))
