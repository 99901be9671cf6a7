"""The heat map of cohorts and the chart of survival: what the API answers, each number with its page. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, NamedTuple

from tenure.csv_text import Ours
from tenure.metrics.answers import CohortRow
from tenure.metrics.asked import DAY
from tenure.metrics.lasting import GroupCurve
from tenure.pages.charts import Chart, Series, Value
from tenure.pages.money_view import View
from tenure.pages.survival_view import SpellsView
from tenure.subscriptions.metrics import periods

DRAWN = 6
"""So many curves are drawn at most: more cannot be told apart."""
SHADES = 10

Of = Literal["customers", "mrr"]


class Cell(NamedTuple):
    """A cohort at the end of a month: its share of what it was at the end of its first, and what that is."""

    share: Decimal | None
    value: Decimal
    shade: int
    """0 to 9."""
    link: str


class Line(NamedTuple):
    """A cohort, month by month."""

    month: date
    cells: list[Cell]


def heat_map(cohorts: Sequence[CohortRow], view: View, path: str, of: Of) -> list[Line]:
    """A line for each cohort."""
    lines = []
    for cohort in cohorts:
        months = [(start, min(end, view.last + DAY)) for start, end in periods("month", cohort.month, view.last)]
        values = [Decimal(value) for value in (cohort.customers if of == "customers" else cohort.mrr)]
        cells = []
        for (start, end), value in zip(months, values, strict=True):
            share = value / values[0] if values[0] else None
            link = f"{path}/revenue/behind?{view.behind('mrr', 'closing', start, end, cohort=cohort.month)}"
            shade = 0 if share is None else min(SHADES - 1, int(share * (SHADES - 1)))
            cells.append(Cell(share, value, shade, link))
        lines.append(Line(cohort.month, cells))
    return lines


def heat_map_rows(cohorts: Sequence[CohortRow], view: View) -> Iterator[Sequence[object]]:
    """The same as rows of a file: a line for each cohort and month."""
    yield "cohort", "currency", "month", "up_to", "customers", "mrr"
    for cohort in cohorts:
        months = periods("month", cohort.month, view.last)
        for number, ((_, end), customers, mrr) in enumerate(zip(months, cohort.customers, cohort.mrr, strict=True)):
            yield cohort.month, cohort.currency, number, min(end - DAY, view.last), customers, Ours(mrr)


def survival_chart(curves: Sequence[GroupCurve], view: SpellsView) -> Chart:
    """The curves of the largest groups with their bands, by the days that a spell lasted."""
    curves = curves[:DRAWN]
    days = [0, *(row.end for row in max((curve.rows for curve in curves), key=len, default=[]))]
    columns = []
    for colour, curve in enumerate(curves, 1):
        name = group_name(curve.group, view.asked.by)
        lower, upper = [row.lower for row in curve.rows], [row.upper for row in curve.rows]
        missing: list[Value] = [None] * (len(days) - 1 - len(curve.rows))
        columns += [
            Series(name, [1.0, *(row.survival for row in curve.rows), *missing], "steps", "percent", colour),
            Series(f"{name}, lower", [None, *lower, *missing], "low", "percent", colour, name),
            Series(f"{name}, upper", [None, *upper, *missing], "high", "percent", colour, name),
        ]
    return Chart("Share of customers who go on paying, by days", [str(day) for day in days], columns, "Days", "number",
                 height="large", note="Kaplan-Meier estimate with 95 % confidence bands.")  # fmt: skip


def group_name(group: str, by: str) -> str:
    """A group for people."""
    if by == "none":
        return "All"
    return group or ("(no plan)" if by == "plan" else "(none)")
