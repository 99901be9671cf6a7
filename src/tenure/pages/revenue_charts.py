"""The charts of revenue: what the API answers as columns, each number with the page of what is behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate

from tenure.metrics.answers import ChurnRow, MrrRow, Rate
from tenure.metrics.asked import DAY
from tenure.pages.charts import Chart, Draw, Series, Value
from tenure.pages.money_view import View
from tenure.subscriptions.currency import UNKNOWN

NAMES = {
    "opening": "Opening", "new": "New", "expansion": "Expansion", "reactivated": "Reactivated", "transfer": "Transfer",
    "resumed": "Resumed", "paused": "Paused", "contraction": "Contraction", "churned": "Churned", "closing": "Closing",
}  # fmt: skip
"""Of each number of a statement, in the order of a waterfall."""
RATES = {
    "customer_churn": "Customer churn",
    "gross_revenue_churn": "Gross revenue churn",
    "net_revenue_churn": "Net revenue churn",
}
GROUP = "revenue"


def up_to(row: MrrRow | ChurnRow) -> str:
    """The last day of a row."""
    return (row.end - DAY).isoformat()


def mrr_chart(rows: Sequence[MrrRow], view: View, path: str) -> Chart:
    """MRR when each period ended, and what moved it."""
    series = [_amounts(rows, "closing", view, path, "line")]
    series += [_amounts(rows, name, view, path) for name in NAMES if name != "closing"]
    return Chart("MRR", [up_to(row) for row in rows], series, "Up to", group=GROUP, height="large",
                 note="MRR when each period ended; the table has what moved it. Each number leads to the subscriptions "
                 "that it is made of.")  # fmt: skip


def waterfall(row: MrrRow, view: View, path: str) -> Chart:
    """From the opening of one period to its closing."""
    names = [name for name in NAMES if name in {"opening", "closing"} or Decimal(getattr(row, name))]
    amounts = [Decimal(getattr(row, name)) for name in names]
    inner = list(accumulate(amounts[1:-1], initial=amounts[0]))
    tops: list[Value] = [amounts[0], *inner[1:], amounts[-1]]
    lows: list[Value] = [Decimal(0), *inner[:-1], Decimal(0)]
    links = [f"{path}/revenue/behind?{view.behind('mrr', name, row.start, row.end)}" for name in names]
    columns = [
        Series("Amount", amounts, "none", row.currency, links=links),
        Series("From", lows, "low", row.currency, of="To"),
        Series("To", tops, "bars", row.currency),
    ]
    return Chart(f"From opening to closing MRR, {_span(row)}", [NAMES[name] for name in names], columns, "Movement",
                 "label")  # fmt: skip


def churn_chart(rows: Sequence[ChurnRow], view: View, path: str) -> Chart:
    """The three rates, and the numbers that they are the quotients of. Each rate leads to who was lost, who are most of
    each; what else is in it stands beside it."""
    lost = _links(rows, "lost", view, path)
    rates = [
        Series(title, [_rate(getattr(row, name)) for row in rows], "line", "percent", colour, links=lost)
        for colour, (name, title) in enumerate(RATES.items(), 1)
    ]
    counts = [
        Series("Customers", [row.customers for row in rows], "none", links=_links(rows, "opening", view, path)),
        Series("Lost", [row.lost for row in rows], "none", links=lost),
        Series("Voluntary", [row.voluntary for row in rows], "none", links=lost),
        Series("Involuntary", [row.involuntary for row in rows], "none", links=lost),
    ]
    said = {"opening": "opening", "churned": "lost", "contraction": "contracted", "expansion": "expanded"}
    amounts = [
        Series(
            f"{NAMES[name]} MRR", [Decimal(getattr(row, name)) for row in rows], "none", row_currency(rows),
            links=_links(rows, explain, view, path),
        )
        for name, explain in said.items()
    ]  # fmt: skip
    return Chart("Churn", [up_to(row) for row in rows], [*rates, *counts, *amounts], "Up to", group=GROUP,
                 note="Of those who were customers when each period began: how many left, what was lost of their MRR, "
                 "and that less what they grew by.")  # fmt: skip


def plans_chart(rows: Sequence[MrrRow], view: View, path: str) -> Chart:
    """One period's statement, a row for each plan."""
    columns = []
    for name, title in NAMES.items():
        links = [f"{path}/revenue/behind?{view.behind('mrr', name, row.start, row.end, plan=row.plan)}" for row in rows]
        values = [Decimal(getattr(row, name)) for row in rows]
        draw: Draw = "bars" if name == "closing" else "none"
        columns.append(Series(title, values, draw, row_currency(rows), links=links))
    return Chart(f"MRR by plan, {_span(rows[0])}", [plan_name(row.plan) for row in rows], columns, "Plan", "label")


def plans_churn_chart(rows: Sequence[ChurnRow], view: View, path: str) -> Chart:
    """One period's churn, a row for each plan."""
    columns = [
        Series(title, [_rate(getattr(row, name)) for row in rows], "bars" if colour == 1 else "none", "percent", colour)
        for colour, (name, title) in enumerate(RATES.items(), 1)
    ]
    for title, name, explain in (("Customers", "customers", "opening"), ("Lost", "lost", "lost")):
        links = [
            f"{path}/revenue/behind?{view.behind('churn', explain, row.start, row.end, plan=row.plan)}" for row in rows
        ]
        columns.append(Series(title, [getattr(row, name) for row in rows], "none", links=links))
    return Chart(f"Churn by plan, {_span(rows[0])}", [plan_name(row.plan) for row in rows], columns, "Plan", "label")


def row_currency(rows: Sequence[MrrRow | ChurnRow]) -> str:
    """The one of all rows."""
    return rows[0].currency if rows else UNKNOWN


def plan_name(plan: str | None) -> str:
    """A plan for people."""
    return plan or "(no plan)"


def _amounts(rows: Sequence[MrrRow], name: str, view: View, path: str, draw: Draw = "none") -> Series:
    links = [f"{path}/revenue/behind?{view.behind('mrr', name, row.start, row.end)}" for row in rows]
    return Series(NAMES[name], [Decimal(getattr(row, name)) for row in rows], draw, row_currency(rows), links=links)


def _links(rows: Sequence[ChurnRow], explain: str, view: View, path: str) -> list[str]:
    return [f"{path}/revenue/behind?{view.behind('churn', explain, row.start, row.end)}" for row in rows]


def _rate(rate: Rate | None) -> Decimal | None:
    return None if rate is None else Decimal(rate.rate)


def _span(row: MrrRow | ChurnRow) -> str:
    return f"{row.start.isoformat()} to {up_to(row)}"
