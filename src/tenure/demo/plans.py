"""What the demo's product costs. Amounts are whole US dollars, so that sums are exact."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

MONTH, YEAR = "month", "year"
MONTHS_PAID_A_YEAR = 10
"""An annual subscription is paid at once, and two months of it are free."""


class Plan(NamedTuple):
    """A plan: the price of a month with its first `seats`, and of each seat more."""

    id: str
    price: int
    seats: int
    seat_price: int


STARTER, PRO, BUSINESS = Plan("starter", 29, 3, 9), Plan("pro", 99, 8, 9), Plan("business", 399, 25, 12)
PLANS = (STARTER, PRO, BUSINESS)


class Subscription(NamedTuple):
    """What a customer pays for."""

    plan: Plan
    seats: int
    interval: str

    @property
    def months(self) -> int:
        """Months of one period."""
        return 12 if self.interval == YEAR else 1

    @property
    def amount(self) -> int:
        """Dollars of one period."""
        monthly = self.plan.price + max(0, self.seats - self.plan.seats) * self.plan.seat_price
        return monthly * (MONTHS_PAID_A_YEAR if self.interval == YEAR else 1)

    @property
    def mrr(self) -> Fraction:
        """Dollars a month."""
        return Fraction(self.amount, self.months)

    def upgraded(self) -> Subscription:
        """The next larger plan, with seats to match; the largest stays."""
        plan = PLANS[min(PLANS.index(self.plan) + 1, len(PLANS) - 1)]
        return Subscription(plan, max(self.seats, plan.seats), self.interval)

    def downgraded(self) -> Subscription:
        """The next smaller plan, with no seat more than it includes; the smallest stays."""
        plan = PLANS[max(PLANS.index(self.plan) - 1, 0)]
        return Subscription(plan, min(self.seats, plan.seats), self.interval)
