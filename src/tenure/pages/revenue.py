"""Revenue: MRR over time, what moved it, churn, by plan; each number leads to the subscriptions behind it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

from tenure.metrics import questions
from tenure.metrics.answers import MrrRow
from tenure.pages import revenue_charts as charts
from tenure.pages.money_view import TheView
from tenure.pages.of_app import AppPage
from tenure.pages.rendering import fragment, page
from tenure.web.parameters import day

_At = Annotated[str | None, Query(description="The day up to which the chosen period goes")]


def add_revenue(site: FastAPI) -> None:
    """Put the pages into the site."""

    @site.get("/apps/{app}/revenue")
    def revenue(request: Request, of: AppPage, view: TheView, at: _At = None) -> Response:
        view.asked(of)
        shown = view.query(at=day("at", at))
        return page(request, "revenue.html", view=view, shown=shown)

    @site.get("/apps/{app}/revenue/mrr")
    def mrr(request: Request, of: AppPage, view: TheView, at: _At = None) -> Response:
        found = questions.mrr(of.tenant, of.store.billing.of(of.app.id), view._replace(currency=None).asked(of))
        closings = {row.currency: Decimal(row.closing) for row in found.rows}
        currency = view.currency or max(closings, key=lambda each: (closings[each], each), default=None)
        rows = [row for row in found.rows if row.currency == currency]
        one = view._replace(currency=currency)
        chosen = _chosen(rows, day("at", at))
        context: dict[str, Any] = {
            "basis": found.basis, "view": one, "rows": rows, "chosen": chosen, "currencies": sorted(closings),
            "up_to": charts.up_to, "chart": chosen and charts.mrr_chart(rows, one, of.path),
            "waterfall": chosen and charts.waterfall(chosen, one, of.path),
        }  # fmt: skip
        return fragment(request, "revenue/_mrr.html", **context)

    @site.get("/apps/{app}/revenue/churn")
    def churn(request: Request, of: AppPage, view: TheView) -> Response:
        found = questions.churn_rates(of.tenant, of.store.billing.of(of.app.id), view.asked(of))
        return fragment(request, "_chart.html", chart=charts.churn_chart(found.rows, view, of.path))

    @site.get("/apps/{app}/revenue/plans")
    def plans(request: Request, of: AppPage, view: TheView) -> Response:
        found = questions.mrr(of.tenant, of.store.billing.of(of.app.id), view.asked(of), by_plan=True)
        rows = sorted(found.rows, key=lambda row: -Decimal(row.closing))
        return fragment(request, "_chart.html", chart=charts.plans_chart(rows, view, of.path) if rows else None)

    @site.get("/apps/{app}/revenue/plans/churn")
    def plans_churn(request: Request, of: AppPage, view: TheView) -> Response:
        found = questions.churn_rates(of.tenant, of.store.billing.of(of.app.id), view.asked(of), by_plan=True)
        rows = sorted(found.rows, key=lambda row: -row.customers)
        return fragment(request, "_chart.html", chart=charts.plans_churn_chart(rows, view, of.path) if rows else None)


def _chosen(rows: list[MrrRow], at: date | None) -> MrrRow | None:
    """The row of a day; without one the last that is complete."""
    if at is not None:
        return next((row for row in rows if row.start <= at < row.end), rows[-1] if rows else None)
    return next((row for row in reversed(rows) if row.complete), rows[-1] if rows else None)
