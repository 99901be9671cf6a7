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
    def price_id(self) -> str:
        """What a billing system calls the plan: one for each interval."""
        return f"{self.plan.id}-yearly" if self.interval == YEAR else self.plan.id

    @property
    def base(self) -> int:
        """Dollars of one period with the first seats."""
        return self.plan.price * self._months_paid

    @property
    def seat(self) -> int:
        """Dollars of one period for each seat more."""
        return self.plan.seat_price * self._months_paid

    @property
    def extra_seats(self) -> int:
        """How many seats there are beyond the first."""
        return max(0, self.seats - self.plan.seats)

    @property
    def amount(self) -> int:
        """Dollars of one period."""
        return self.base + self.extra_seats * self.seat

    @property
    def mrr(self) -> Fraction:
        """Dollars a month."""
        return Fraction(self.amount, self.months)

    @property
    def _months_paid(self) -> int:
        return MONTHS_PAID_A_YEAR if self.interval == YEAR else 1

    def upgraded(self) -> Subscription:
        """The next larger plan, with seats to match; the largest stays."""
        plan = PLANS[min(PLANS.index(self.plan) + 1, len(PLANS) - 1)]
        return Subscription(plan, max(self.seats, plan.seats), self.interval)

    def downgraded(self) -> Subscription:
        """The next smaller plan, with no seat more than it includes; the smallest stays."""
        plan = PLANS[max(PLANS.index(self.plan) - 1, 0)]
        return Subscription(plan, min(self.seats, plan.seats), self.interval)
