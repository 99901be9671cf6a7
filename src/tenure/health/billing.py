"""What a score needs to know of a customer's billing. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Paying(NamedTuple):
    """A time of being a paying customer. Times are milliseconds since 1970 UTC."""

    start: int
    end: int | None
    """None: still paying."""
    cause: str | None = None
    """`voluntary` or `involuntary`, of one that ended."""


class Billing(NamedTuple):
    """A customer's billing at one moment. Times are milliseconds since 1970 UTC."""

    status: str
    """As in `subscriptions.fact.Status`, of the best of the customer's subscriptions."""
    past_due: bool = False
    cancel_at: int | None = None
    """When all of it will end, if that was asked for."""
    paying_since: int | None = None
    spells: tuple[Paying, ...] = ()
    """Oldest first."""
