"""Retention: the cohorts as a heat map, and how long being a paying customer lasts."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Request, Response

from tenure.metrics import questions
from tenure.metrics.answers import CohortRow
from tenure.metrics.estimator import Estimator
from tenure.metrics.lasting import survival
from tenure.metrics.survival import attribute_names
from tenure.pages.behind import csv_file
from tenure.pages.money_view import TheView, View
from tenure.pages.of_app import AppPage, OfApp
from tenure.pages.rendering import fragment, page
from tenure.pages.retention_charts import Of, group_name, heat_map, heat_map_rows, survival_chart
from tenure.pages.survival_view import TheSpells

_Show = Annotated[Of, Query(description="What the heat map shows")]


def add_retention(site: FastAPI) -> None:
    """Put the pages into the site."""
    estimator: Estimator = site.state.estimator

    @site.get("/apps/{app}/retention")
    def retention(
        request: Request, of: AppPage, view: TheView, spells: TheSpells, show: _Show = "customers"
    ) -> Response:
        view = view._replace(period="month")
        asked = msgspec.structs.replace(spells.asked, first=view.first, last=view.last)
        return page(request, "retention.html", view=view, spells=spells._replace(asked=asked), show=show)

    @site.get("/apps/{app}/retention/cohorts")
    def cohorts(request: Request, of: AppPage, view: TheView, spells: TheSpells, show: _Show = "customers") -> Response:
        one, rows, currencies = _cohorts(of, view)
        lines = heat_map(rows, one, of.path, show)
        return fragment(request, "retention/_cohorts.html", lines=lines, view=one, show=show, currencies=currencies,
                        by=spells.asked.by, interval=spells.interval)  # fmt: skip

    @site.get("/apps/{app}/retention/cohorts.csv")
    def cohorts_file(of: AppPage, view: TheView) -> Response:
        one, rows, _ = _cohorts(of, view)
        return csv_file("cohorts.csv", heat_map_rows(rows, one))

    @site.get("/apps/{app}/retention/survival")
    def curves(request: Request, of: AppPage, view: TheView, spells: TheSpells, show: _Show = "customers") -> Response:
        found = survival(of.tenant, of.store.billing.of(of.app.id), estimator, spells.asked, spells.interval)
        chart = survival_chart(found.curves, spells) if found.curves else None
        names = [f"attribute:{name}" for name in attribute_names(of.tenant)]
        return fragment(request, "retention/_survival.html", found=found, spells=spells, chart=chart, names=names,
                        show=show, currency=view.currency, converted=view.converted, group_name=group_name)  # fmt: skip


def _cohorts(of: OfApp, view: View) -> tuple[View, list[CohortRow], list[str]]:
    """Those of the currency that is asked about, or else of the one with most MRR; all currencies."""
    asked = view._replace(currency=None).asked(of)
    found = questions.churn_by_cohort(of.tenant, of.store.billing.of(of.app.id), asked)
    sizes: dict[str, Decimal] = {}
    for row in found.cohorts:
        sizes[row.currency] = sizes.get(row.currency, Decimal(0)) + sum(map(Decimal, row.mrr))
    currency = view.currency or max(sizes, key=lambda each: (sizes[each], each), default=None)
    rows = [row for row in found.cohorts if row.currency == currency]
    return view._replace(currency=currency), rows, sorted(sizes)
