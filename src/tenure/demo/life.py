"""A customer's life as a subscriber: its milestones, and how much it uses the product at any time.

What decides a life is its `kind`: who fades uses less and less before the cancellation, who fails to pay does
not. Times are milliseconds since 1970 UTC.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any, NamedTuple

from tenure.demo.plans import BUSINESS, MONTH, PLANS, STARTER, YEAR, Subscription

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TRIAL = 14 * DAY
NEVER = 2**62

TRYING, STEADY, GROWING, SAVED = "trying", "steady", "growing", "saved"
FADING, LEAVING, FAILING = "fading", "leaving", "failing"
KINDS = {TRYING: 26, STEADY: 28, GROWING: 14, SAVED: 5, FADING: 19, LEAVING: 3, FAILING: 5}
"""How many of a hundred customers: trial only; pay on; grow; nearly leave; leave slowly, at once, by a failed card."""

REASONS = {
    "too_expensive": "We cannot justify the price for how little we use it.",
    "missing_features": "We need permissions per project and waited for months.",
    "switched_product": "The team moved to another tool that our parent company uses.",
    "unused": "Nobody has opened it since the project ended.",
    "too_complex": "New people never found their way around.",
    "customer_service": "Three tickets, and none of them solved.",
}
"""Why a customer that fades cancels, as a cancel flow asks it, and in its own words."""


class Milestone(NamedTuple):
    """Something that changes what the customer is to the business. `subscription` is what holds from then on."""

    at: int
    kind: str
    subscription: Subscription
    details: Mapping[str, Any]


@dataclass
class Life:
    """Milestones in the order of time, and the level of use: 1 is the customer's own normal."""

    kind: str
    signed_up: int
    milestones: list[Milestone] = field(default_factory=list)
    levels: list[tuple[int, float]] = field(default_factory=list)
    """(time, level), linear in between, constant after the last."""
    fades_at: int = NEVER
    """When use begins to fall before a cancellation."""

    def add(self, at: int, kind: str, subscription: Subscription, **details: object) -> None:
        """Append a milestone."""
        self.milestones.append(Milestone(at, kind, subscription, details))

    def level(self, at: int) -> float:
        """How much the customer uses the product at a time."""
        after = bisect_right(self.levels, at, key=lambda point: point[0])
        if after == 0:
            return 0.0
        if after == len(self.levels):
            return self.levels[-1][1]
        (start, low), (end, high) = self.levels[after - 1 : after + 1]
        return low + (high - low) * (at - start) / (end - start)

    def find(self, kind: str) -> Milestone | None:
        """The first milestone of a kind."""
        return next((milestone for milestone in self.milestones if milestone.kind == kind), None)


def live(rng: Random, signed_up: int, end: int) -> Life:
    """A life from the sign-up; nothing in it happens at or after `end`."""
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    life = Life(kind, signed_up, levels=[(signed_up, 0.7)])
    subscription = _first_subscription(rng, kind)
    life.add(signed_up, "trial_started", subscription, trial_days=TRIAL // DAY)
    decides = signed_up + TRIAL - rng.randrange(2 * DAY)
    if kind == TRYING:
        life.add(signed_up + TRIAL, "trial_ended", subscription, converted=False)
        life.levels += [(signed_up + 4 * DAY, 0.4), (signed_up + TRIAL, 0.1), (signed_up + TRIAL + DAY, 0.0)]
    else:
        life.add(decides, "trial_ended", subscription, converted=True)
        life.add(decides + MINUTE, "subscribed", subscription)
        life.levels.append((decides, 1.0))
        _subscribe(life, rng, subscription, decides + MINUTE, end)
    life.milestones = sorted((m for m in life.milestones if m.at < end), key=lambda milestone: milestone.at)
    return life


def _first_subscription(rng: Random, kind: str) -> Subscription:
    plan = rng.choices(PLANS, (50, 36, 14))[0]
    seats = rng.randint(max(1, plan.seats // 3), plan.seats)
    yearly = 0.08 if kind in (FADING, FAILING) else 0.24
    return Subscription(plan, seats, YEAR if rng.random() < yearly else MONTH)


def _subscribe(life: Life, rng: Random, subscription: Subscription, start: int, end: int) -> None:
    """From the first payment to the end of the history, or to the cancellation and perhaps a return."""
    leaves = NEVER
    if life.kind in (FADING, LEAVING, FAILING):
        leaves = start + 40 * DAY + int(rng.expovariate(1 / (95 * DAY)))
    subscription = _pay(life, rng, subscription, start, min(leaves, end))
    if life.kind == GROWING:
        life.levels.append((max(end, start + 1), 1.0 + rng.uniform(0.5, 1.4)))
    elif life.kind == SAVED:
        _dip(life, rng, subscription, start)
    elif life.kind == FAILING:
        _fail(life, subscription, _next_due(start, leaves))
    elif life.kind in (FADING, LEAVING):
        ends = _cancel(life, rng, subscription, start, leaves)
        if life.kind == FADING and rng.random() < 0.25:
            _return(life, rng, subscription, ends + rng.randint(15, 75) * DAY, end)


def _pay(life: Life, rng: Random, subscription: Subscription, start: int, until: int) -> Subscription:
    """Invoices and changes, month by month, while they lie before `until`; returns what is paid for at last."""
    for month in count():
        due = add_months(start, month)
        if due >= until:
            return subscription
        if month % subscription.months == 0:
            _invoice(life, rng, subscription, due, first=month == 0, until=until)
        changes_at = due + rng.randint(2 * DAY, 26 * DAY)
        changed, kind = _change(life.kind, rng, subscription)
        if month and changes_at < until and changed != subscription:
            life.add(changes_at, kind, changed, before=subscription)
            subscription = changed
    raise AssertionError("unreachable: `count` does not end")


def _invoice(life: Life, rng: Random, subscription: Subscription, due: int, *, first: bool, until: int) -> None:
    paid = due + rng.randint(MINUTE, 10 * MINUTE)
    late = not first and due + 7 * DAY < until and rng.random() < 0.03
    if late:
        life.add(paid, "invoice_overdue", subscription, attempt=1)
        paid += rng.randint(2 * DAY, 6 * DAY)
    if not first:
        life.add(paid, "renewed", subscription)
    life.add(paid + MINUTE, "invoice_paid", subscription, late=late)


def _change(kind: str, rng: Random, subscription: Subscription) -> tuple[Subscription, str]:
    """What the customer makes of its subscription this month; mostly nothing."""
    chance = rng.random()
    if kind == GROWING and chance < 0.35:
        if chance < 0.1 and subscription.plan != BUSINESS:
            return subscription.upgraded(), "upgraded"
        return subscription._replace(seats=subscription.seats + rng.randint(1, 4)), "seats_changed"
    if kind == FADING and chance < 0.08 and subscription.plan != STARTER:
        return subscription.downgraded(), "downgraded"
    if kind == STEADY and chance < 0.06:
        return subscription._replace(seats=max(1, subscription.seats + rng.choice((-1, 1, 2)))), "seats_changed"
    return subscription, ""


def _dip(life: Life, rng: Random, subscription: Subscription, start: int) -> None:
    """Use falls, the customer pays for less, and comes back to its normal."""
    begins = start + rng.randint(40, 120) * DAY
    lowest = begins + rng.randint(20, 35) * DAY
    life.levels += [(begins, 1.0), (lowest, 0.25), (lowest + 14 * DAY, 0.3), (lowest + 35 * DAY, 0.95)]
    if subscription.plan != STARTER:
        life.add(lowest, "downgraded", subscription.downgraded(), before=subscription)


def _fail(life: Life, subscription: Subscription, due: int) -> None:
    """The card is declined at the renewal, at each of three attempts: nobody decided to leave."""
    for attempt, days in enumerate((0, 3, 7), start=1):
        life.add(due + days * DAY, "invoice_overdue", subscription, attempt=attempt)
    life.add(due + 14 * DAY, "ended", subscription, reason="payment_failed", voluntary=False)
    life.levels += [(due + 14 * DAY, 0.9), (due + 14 * DAY + HOUR, 0.0)]


def _cancel(life: Life, rng: Random, subscription: Subscription, start: int, at: int) -> int:
    """The customer cancels: at once with a refund when paid for a year, mostly at the end of the month else.

    Returns when its access ends.
    """
    reason = rng.choice(list(REASONS)) if life.kind == FADING else "company_closed"
    at_period_end = subscription.interval == MONTH and rng.random() < 0.6
    ends = _next_due(start, at) if at_period_end else at + HOUR
    comment = REASONS.get(reason, "We are closing down. Thank you for everything.")
    life.add(at, "cancelled", subscription, reason=reason, comment=comment, ends_at=ends)
    if subscription.interval == YEAR:
        life.add(at + MINUTE, "refund_requested", subscription, reason=reason)
    life.add(ends, "ended", subscription, reason=reason, voluntary=True)
    if life.kind == FADING:
        life.fades_at = max(start + DAY, at - rng.randint(28, 63) * DAY)
        life.levels += [(life.fades_at, 1.0), (at, 0.08)]
    else:
        life.levels += [(at, 1.0), (at + 10 * MINUTE, 0.1)]
    life.levels.append((ends + HOUR, 0.0))
    return ends


def _return(life: Life, rng: Random, subscription: Subscription, at: int, end: int) -> None:
    life.add(at, "reactivated", subscription)
    life.levels += [(at - MINUTE, 0.0), (at, 0.7), (at + 20 * DAY, 0.95)]
    _pay(life, rng, subscription, at, end)


def _next_due(start: int, at: int) -> int:
    """The first monthly date of a subscription at or after a time."""
    return next(due for month in count() if (due := add_months(start, month)) >= at)


def add_months(at: int, months: int) -> int:
    """The same time so many months later, on the last day of a month that is too short."""
    moment = datetime.fromtimestamp(at // 1_000, UTC)
    years, before = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + years, before + 1
    later = moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
    return int(later.timestamp()) * 1_000 + at % 1_000
