"""What was lost in each period: `tenure.subscriptions.metrics.churn` and `cohorts`, by the warehouse.

By plan, a customer counts under the plan that most of its MRR was of when the period began (`main_plans`). So the plans
add up to the whole, and who changes plan is not lost.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from tenure.metrics.asked import EXTENDED, Asked, Sql
from tenure.metrics.remembered import rows_of_ledger
from tenure.subscriptions.metrics import Churn, Cohort, periods
from tenure.warehouse.client import Tenant

# Customers are counted by their plans before and after; then, of these few rows, what leaves the plan of before and
# what is there at the end.
_SQL = """
SELECT of_currency, side.1 AS of_plan, period, sum(side.2), sum(side.3), sum(side.4), sum(side.5), sum(side.6),
    sum(side.7), sum(side.8), sum(side.9)
FROM (
    SELECT toString(currency) AS of_currency, period, arrayJoin([
        ({before}, -countIf(was_there), -sum(open), countIf(lost), countIf(lost AND cause = 1),
            countIf(lost AND cause = 2), sumIf(open, lost), sumIf(open - close, open > close AND NOT lost),
            sumIf(close - open, open != 0 AND close > open)),
        ({after}, toInt64(countIf(is_there)), sum(close), 0, 0, 0, 0, 0, 0)
    ]) AS side
    FROM ({steps})
    GROUP BY currency, period{plans}
) GROUP BY of_currency, of_plan, period HAVING max(side.2 != 0) {extended}
"""

_COHORTS = """
SELECT toString(currency), cohort, period, sum(toInt64(is_there) - toInt64(was_there)), sum(close - open)
FROM ({steps}) WHERE cohort >= {{first:Date32}} GROUP BY currency, cohort, period {extended}
"""


class Lost(NamedTuple):
    """What was lost within a period, of one currency (and plan)."""

    start: date
    end: date
    """The day after the last."""
    currency: str
    plan: str | None
    churn: Churn
    voluntary: int
    """Of the customers lost, those whose spell of paying ended of their own will."""
    involuntary: int
    """Those whose spell ended otherwise. The rest goes on paying, in another currency."""


def churn(tenant: Tenant, asked: Asked, *, by_plan: bool = False) -> list[Lost]:
    """A row for each currency (and plan) and period, exact.

    Raises BadRequest (segment, too many rows) and Unavailable.
    """
    by_plan = by_plan or asked.plan is not None
    steps = asked.steps(asked.start("day"))
    before, after, plans = ("main_before", "main", ", main_before, main") if by_plan else ("''", "''", "")
    sql = _SQL.format(before=before, after=after, plans=plans, steps=steps.text, extended=EXTENDED)
    found: defaultdict[tuple[str, str], dict[date, tuple[Any, ...]]] = defaultdict(dict)
    for currency, plan, period, *sums in rows_of_ledger(tenant, asked, Sql(sql, steps.parameters)):
        if asked.plan in (None, plan):
            found[currency, plan][period] = tuple(sums)
    asked.check(len(found))
    rows = []
    for (currency, plan), by_period in sorted(found.items()):
        rows += _rows(asked, currency, plan if by_plan else None, by_period)
    return rows


def _rows(asked: Asked, currency: str, plan: str | None, by_period: dict[date, tuple[Any, ...]]) -> list[Lost]:
    none = (0,) * 8
    customers, mrr, rows = 0, Fraction(0), []
    for period, sums in by_period.items():
        if period < asked.first:
            customers, mrr = customers + sums[0], mrr + Fraction(sums[1])
    for start, end in asked.periods():
        came, amount, lost, voluntary, involuntary, *amounts = by_period.get(start, none)
        churned, contraction, expansion = (Fraction(each) for each in amounts)
        kept = mrr - churned - contraction
        lost_here = Churn(customers, lost, mrr, kept + expansion, kept, churned)
        rows.append(Lost(start, end, currency, plan, lost_here, voluntary, involuntary))
        customers, mrr = customers + came, mrr + Fraction(amount)
    return rows


def cohorts(tenant: Tenant, asked: Asked) -> dict[str, list[Cohort]]:
    """By currency, the cohorts of the months that were asked about. Raises BadRequest (segment) and Unavailable."""
    steps = asked.steps("toStartOfMonth(day)")
    moved: defaultdict[tuple[str, date], dict[date, tuple[int, Fraction]]] = defaultdict(dict)
    sql = _COHORTS.format(steps=steps.text, extended=EXTENDED)
    for currency, cohort, month, customers, mrr in rows_of_ledger(tenant, asked, Sql(sql, steps.parameters)):
        moved[currency, cohort][month] = customers, Fraction(mrr)
    found: defaultdict[str, list[Cohort]] = defaultdict(list)
    for (currency, cohort), by_month in sorted(moved.items()):
        customers, mrr, there = 0, Fraction(0), []
        for month, _ in periods("month", cohort, asked.last):
            came, amount = by_month.get(month, (0, Fraction(0)))
            customers, mrr = customers + came, mrr + amount
            there.append((customers, mrr))
        found[currency].append(Cohort(cohort, *zip(*there, strict=True)))
    return dict(found)
