"""Metrics over the movements of many customers, each of one currency. Pure, exact, with what is behind each number.

Every function takes all movements from the first on, in any order: MRR is what they add up to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias, TypeVar

from tenure.subscriptions.movements import KINDS, Change, Kind, Movement

Period: TypeAlias = Literal["day", "week", "month"]

_Number = TypeVar("_Number", int, Fraction)
_NONE = Fraction(0)
_ONE_DAY = timedelta(days=1)


class Row(NamedTuple):
    """MRR over a period, of one currency (and one plan): opening + the sum of `movements` = closing."""

    start: date
    """The first day."""
    end: date
    """The day after the last."""
    currency: str
    plan: str | None
    opening: Fraction
    movements: dict[Kind, Fraction]
    closing: Fraction


class Churn(NamedTuple):
    """What became, within a period, of those who were customers when it began; who came later does not matter.

    The rates are None where there was nobody, or nothing, to lose.
    """

    customers: int
    """Customers when it began, those who were held without MRR by a pause or a concession included."""
    lost: int
    """Those of them who had no MRR when it ended, and were not held."""
    opening: Fraction
    """Their MRR when it began."""
    closing: Fraction
    """The MRR, when it ended, of those who had MRR when it began."""
    kept: Fraction
    """Of their opening MRR, what was left: of each customer the smaller of opening and closing."""
    churned: Fraction
    """The opening MRR of those lost."""

    @property
    def contraction(self) -> Fraction:
        """What the MRR of those who stayed fell by, of each customer."""
        return self.opening - self.kept - self.churned

    @property
    def expansion(self) -> Fraction:
        """What it rose by, of each customer."""
        return self.closing - self.kept

    @property
    def customer_churn(self) -> Fraction | None:
        """Customers lost / customers at the start (J. York, "SaaS Metrics FAQs", 2013)."""
        return Fraction(self.lost, self.customers) if self.customers else None

    @property
    def gross_revenue_churn(self) -> Fraction | None:
        """1 - gross revenue retention: (churned + contraction) / opening MRR, expansion left out, so 0 to 1.

        SaaS Metrics Standards Board, "Gross revenue retention" (saasmetricsboard.com/gross-revenue-retention).
        """
        return 1 - self.kept / self.opening if self.opening else None

    @property
    def net_revenue_churn(self) -> Fraction | None:
        """1 - net revenue retention: (churned + contraction - expansion) / opening MRR; negative where they grew.

        SaaS Metrics Standards Board, "Net revenue retention".
        """
        return 1 - self.closing / self.opening if self.opening else None


class Cohort(NamedTuple):
    """The customers whose first MRR came in one month, and what is left of them month by month."""

    month: date
    """Its first day."""
    customers: tuple[int, ...]
    """How many of them have MRR at the end of that month, the next, and so on."""
    mrr: tuple[Fraction, ...]


def statement(
    movements: Iterable[Movement], period: Period, first: date, last: date, *, by_plan: bool = False
) -> list[Row]:
    """MRR and its movements in each period from that of one day to that of another, by currency (and plan).

    By plan, an amount counts under the kind of its customer's movement that day: who goes from one plan to a dearer one
    expands, by less than nothing in the plan that was left. So the plans add up to the whole, kind by kind.
    """
    sums: defaultdict[tuple[str, str | None], dict[date, dict[Kind, Fraction]]] = defaultdict(dict)
    opening: defaultdict[tuple[str, str | None], Fraction] = defaultdict(Fraction)
    begin, stop = start_of(first, period), _next(start_of(last, period), period)
    for movement in movements:
        if movement.day >= stop:
            continue
        for plan, amount in _amounts(movement, by_plan):
            key = movement.currency, plan
            if movement.day < begin:
                opening[key] += amount
            else:
                kinds = sums[key].setdefault(start_of(movement.day, period), {})
                kinds[movement.kind] = kinds.get(movement.kind, _NONE) + amount
    rows = []
    for currency, plan in sorted(opening.keys() | sums.keys(), key=lambda key: (key[0], key[1] or "")):
        mrr = opening[currency, plan]
        for start, end in periods(period, first, last):
            kinds = dict.fromkeys(KINDS, _NONE) | sums[currency, plan].get(start, {})
            closing = mrr + sum(kinds.values(), _NONE)
            rows.append(Row(start, end, currency, plan, mrr, kinds, closing))
            mrr = closing
    return rows


def churn(movements: Iterable[Movement], currency: str, first: date, last: date) -> Churn:
    """What was lost from the start of one day to the end of another, in one currency."""
    opening: defaultdict[str, Fraction] = defaultdict(Fraction)
    closing: defaultdict[str, Fraction] = defaultdict(Fraction)
    held_before: dict[str, bool] = {}
    held: dict[str, bool] = {}
    for movement in sorted(movements, key=lambda movement: movement.day):
        if movement.currency == currency and movement.day <= last:
            closing[movement.customer] += movement.amount
            held[movement.customer] = movement.held
            if movement.day < first:
                opening[movement.customer] += movement.amount
                held_before[movement.customer] = movement.held
    there = {customer: mrr for customer, mrr in opening.items() if mrr or held_before[customer]}
    left = {customer: closing[customer] for customer, mrr in there.items() if mrr}
    lost = {customer for customer in there if not closing[customer] and not held[customer]}
    return Churn(
        customers=len(there),
        lost=len(lost),
        opening=sum(there.values(), _NONE),
        closing=sum(left.values(), _NONE),
        kept=sum((min(there[customer], mrr) for customer, mrr in left.items()), _NONE),
        churned=sum((there[customer] for customer in lost), _NONE),
    )


def cohorts(movements: Iterable[Movement], currency: str, last: date) -> list[Cohort]:
    """The cohorts of one currency up to the month of a day, which counts as far as it goes."""
    by_customer: defaultdict[str, list[Movement]] = defaultdict(list)
    for movement in movements:
        if movement.currency == currency and movement.day <= last:
            by_customer[movement.customer].append(movement)
    customers: defaultdict[date, defaultdict[date, int]] = defaultdict(lambda: defaultdict(int))
    mrr: defaultdict[date, defaultdict[date, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for history in by_customer.values():
        history.sort(key=lambda movement: movement.day)
        cohort, was_there = start_of(history[0].day, "month"), False
        for movement in history:
            month = start_of(movement.day, "month")
            is_there = bool(movement.after) or movement.held
            customers[cohort][month] += is_there - was_there
            was_there = is_there
            mrr[cohort][month] += movement.amount
    found = []
    for cohort in sorted(customers):
        months = [month for month, _ in periods("month", cohort, last)]
        found.append(Cohort(cohort, _running(customers[cohort], months), _running(mrr[cohort], months)))
    return found


def explain_movements(
    movements: Iterable[Movement], kind: Kind, currency: str, first: date, last: date
) -> list[tuple[Movement, Change]]:
    """What is behind a number of movements from one day to another: each with each of its changes, by day."""
    found = [
        (movement, change)
        for movement in movements
        if (movement.kind, movement.currency) == (kind, currency) and first <= movement.day <= last
        for change in movement.changes
    ]
    return sorted(found, key=lambda pair: (pair[0].day, pair[0].customer, pair[1].subscription, pair[1].plan))


def explain_mrr(movements: Iterable[Movement], currency: str, day: date) -> list[tuple[str, Change]]:
    """What is behind MRR at the end of a day: by customer, the last change of each subscription and plan with MRR."""
    last: dict[tuple[str, str, str, str], tuple[date, Change]] = {}
    for movement in movements:
        if movement.currency == currency and movement.day <= day:
            for change in movement.changes:
                key = movement.customer, *change.subscription, change.plan
                if key not in last or last[key][0] < movement.day:
                    last[key] = movement.day, change
    return [(key[0], last[key][1]) for key in sorted(last) if last[key][1].after]


def main_plans(movements: Iterable[Movement], currency: str, day: date) -> dict[str, str]:
    """By customer at the end of a day, the plan that most of its MRR is of; of equal ones the first by name.

    Of one who is held without MRR it is the plan of before.
    """
    parts: defaultdict[str, defaultdict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    main: dict[str, str] = {}
    for movement in sorted(movements, key=lambda movement: movement.day):
        if movement.currency == currency and movement.day <= day:
            mrr = parts[movement.customer]
            for change in movement.changes:
                mrr[change.plan] += change.after - change.before
            if any(mrr.values()):
                main[movement.customer] = min((plan for plan in mrr if mrr[plan]), key=lambda plan: (-mrr[plan], plan))
            elif not movement.held:
                main.pop(movement.customer, None)
    return main


def periods(period: Period, first: date, last: date) -> Iterator[tuple[date, date]]:
    """Each period from that of one day to that of another: its first day, and the day after its last."""
    start = start_of(first, period)
    while start <= last:
        end = _next(start, period)
        yield start, end
        start = end


def start_of(day: date, period: Period) -> date:
    """The first day of the period that a day is in; weeks begin on Monday."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def _next(start: date, period: Period) -> date:
    if period == "month":
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start + (7 if period == "week" else 1) * _ONE_DAY


def _amounts(movement: Movement, by_plan: bool) -> Iterator[tuple[str | None, Fraction]]:
    if by_plan:
        for change in movement.changes:
            yield change.plan, change.after - change.before
    else:
        yield None, movement.amount


def _running(steps: Mapping[date, _Number], months: Iterable[date]) -> tuple[_Number, ...]:
    return tuple(accumulate(steps[month] for month in months))
