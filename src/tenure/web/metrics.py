"""MRR and churn, and what is behind each number."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Annotated, Literal, NamedTuple

import msgspec
from fastapi import Depends, FastAPI, Query, Request, Response

from tenure.control.billing import Billing
from tenure.control.store import Store
from tenure.customers.conditions import Filter
from tenure.errors import BadRequest
from tenure.metrics import answers
from tenure.metrics.asked import DAY, Asked
from tenure.metrics.churn import Lost, churn, cohorts
from tenure.metrics.explain import MAX_LIMIT, explain, of_churn, of_mrr
from tenure.metrics.statement import statement
from tenure.subscriptions.currency import UNKNOWN
from tenure.subscriptions.metrics import Period, Row, periods, start_of
from tenure.web.access import Reader
from tenure.web.answer import json_response
from tenure.web.customers import MAX_TEXT, Segment
from tenure.web.parameters import day

OfMrr = Literal["opening", "new", "expansion", "contraction", "churned", "reactivated", "transfer", "closing"]
OfChurn = Literal["opening", "lost", "contracted", "expanded"]

_From = Annotated[str | None, Query(alias="from", description="A day of the first period; default: a year before `to`")]
_To = Annotated[str | None, Query(alias="to", description="The last day; default, and at the most: today (UTC)")]
_Start = Annotated[str | None, Query(description="One period alone, that of this day")]
_Currency = Annotated[str | None, Query(pattern="^[A-Z]{3}$", description="Only MRR in this currency")]
_Converted = Annotated[bool | None, Query(description="Whether in the currency to report in; default: if there is one")]
_Plan = Annotated[str | None, Query(max_length=MAX_TEXT, description="Only this plan")]
_Cohort = Annotated[str | None, Query(description="Only customers whose first MRR came in the month of this day")]


class _Span(NamedTuple):
    """From the first day of a period to the last day that counts."""

    period: Period
    first: date
    last: date


def _span(
    period: Annotated[Period, Query(description="Weeks begin on Monday")] = "month",
    first: _From = None,
    last: _To = None,
    period_start: _Start = None,
) -> _Span:
    today = datetime.now(UTC).date()
    start = day("period_start", period_start)
    if start is None:
        until = min(day("to", last) or today, today)
        since = day("from", first) or start_of(until, "month").replace(year=until.year - 1)
    elif first or last:
        raise _invalid("period_start", "give period_start, or from and to")
    else:
        ((since, end),) = periods(period, start, start)
        until = min(end - DAY, today)
    if since > until:
        field = "from" if start is None else "period_start"
        raise _invalid(field, f"{field} must not be after the last day, which is today at the most")
    return _Span(period, start_of(since, period), until)


def _asked(  # noqa: PLR0917 - query parameters, which are sent by name
    request: Request,
    tenant: Reader,
    span: Annotated[_Span, Depends(_span)],
    segment: Segment,
    currency: _Currency = None,
    converted: _Converted = None,
    plan: _Plan = None,
    cohort: _Cohort = None,
) -> Asked:
    month = day("cohort", cohort)
    anybody = msgspec.structs.replace(segment, now=0) == Filter()
    asked = Asked(
        **span._asdict(), book=_book(request.app.state.store.billing.of(tenant.app), converted), currency=currency,
        plan=plan, cohort=month and start_of(month, "month"), segment=None if anybody else segment,
    )  # fmt: skip
    asked.check()
    return asked


class _Page(NamedTuple):
    """Which page of what is behind a number."""

    limit: int
    cursor: str | None


def _page(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="With `explain`: so many subscriptions")] = 100,
    cursor: Annotated[str | None, Query(description="`next` of the page before, with the same parameters")] = None,
) -> _Page:
    return _Page(limit, cursor)


_Asked = Annotated[Asked, Depends(_asked)]
_ThePage = Annotated[_Page, Depends(_page)]


def add_metrics(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store

    @api.get("/v1/metrics/mrr", tags=["metrics"], summary="MRR and its movements")
    def mrr(
        tenant: Reader,
        asked: _Asked,
        page: _ThePage,
        by: Literal["none", "plan"] = "none",
        of: Annotated[OfMrr | None, Query(alias="explain", description="List what is behind this number")] = None,
    ) -> Response:
        """By day, week or month: opening, what was new, expanded, contracted, churned and came back, and closing. With
        `explain` the subscriptions behind one number of one period, currency and perhaps plan. The parameters of
        `/v1/customers` choose customers, as they are now."""
        by_plan = by == "plan" or asked.plan is not None
        rows = statement(tenant, _one(asked, by) if of else asked, by_plan=by_plan)
        explained = None
        if of is not None:
            asked = _of_one_currency(asked, rows)
            rows = [row for row in rows if row.currency == asked.currency]
            number = _number(rows[0], of) if rows else Fraction(0)
            explained = explain(tenant, asked, of, of_mrr(asked, of), number, **page._asdict())
        basis = answers.basis(tenant, store.billing.of(tenant.app), asked.book)
        shown = [answers.mrr_row(row, asked.period) for row in rows]
        return json_response(answers.Mrr(asked.period, basis, shown, explained))

    @api.get("/v1/metrics/churn", tags=["metrics"], summary="Churn of customers and of revenue")
    def churn_rates(
        tenant: Reader,
        asked: _Asked,
        page: _ThePage,
        by: Literal["none", "plan", "cohort"] = "none",
        of: Annotated[OfChurn | None, Query(alias="explain", description="List what is behind this number")] = None,
    ) -> Response:
        """By day, week or month, what became of those who were customers when it began. By plan, each counts under the
        plan that most of its MRR was of then. By cohort: the customers whose first MRR came in each month, month by
        month. `explain` and the choice of customers are as in `/v1/metrics/mrr`."""
        basis = answers.basis(tenant, store.billing.of(tenant.app), asked.book)
        if by == "cohort":
            found = answers.cohort_rows(cohorts(tenant, _whole_months(asked, of)))
            return json_response(answers.ChurnAnswer(asked.period, basis, [], found, None))
        rows = churn(tenant, _one(asked, by) if of else asked, by_plan=by == "plan")
        explained = None
        if of is not None:
            asked = _of_one_currency(asked, rows)
            rows = [row for row in rows if row.currency == asked.currency]
            number = _number_of_churn(rows[0], of) if rows else Fraction(0)
            explained = explain(tenant, asked, of, of_churn(asked, of), number, **page._asdict())
        shown = [answers.churn_row(row, asked.period) for row in rows]
        return json_response(answers.ChurnAnswer(asked.period, basis, shown, [], explained))


def _book(billing: Billing, converted: bool | None) -> str:
    base = None if billing.rates is None else billing.rates.base
    if converted and base is None:
        raise _invalid("converted", "there is no currency to report in; `tenure app mrr --currency` sets one")
    return "" if base is None or converted is False else base


def _one(asked: Asked, by: str) -> Asked:
    """The same, if it is about one period and, by plan, one plan. Raises BadRequest."""
    if len(asked.periods()) > 1:
        raise _invalid("period_start", "explain is of one period; say with period_start of which")
    if by == "plan" and asked.plan is None:
        raise _invalid("plan", "explain is of one number; say of which plan")
    return asked


def _of_one_currency(asked: Asked, rows: list[Row] | list[Lost]) -> Asked:
    """The same about the one currency that there is. Raises BadRequest."""
    there = {row.currency for row in rows}
    if asked.currency is None and len(there) > 1:
        raise _invalid("currency", f"explain is of one number; say of which currency: {', '.join(sorted(there))}")
    return msgspec.structs.replace(asked, currency=asked.currency or min(there, default=asked.book or UNKNOWN))


def _whole_months(asked: Asked, of: str | None) -> Asked:
    """The same, if cohorts can be made by it. Raises BadRequest."""
    if of is not None:
        raise _invalid("explain", "to explain a number of a cohort, name the cohort and not by=cohort")
    if asked.period != "month":
        raise _invalid("period", "cohorts are by month")
    if asked.plan is not None:
        raise _invalid("plan", "cohorts are of whole customers, not of a plan")
    return asked


def _number(row: Row, of: OfMrr) -> Fraction:
    if of in row.movements:
        return row.movements[of]
    return row.opening if of == "opening" else row.closing


def _number_of_churn(row: Lost, of: OfChurn) -> Fraction:
    churn = row.churn
    numbers: dict[OfChurn, Fraction] = {
        "opening": churn.opening, "lost": churn.churned, "contracted": churn.contraction, "expanded": churn.expansion,
    }  # fmt: skip
    return numbers[of]


def _invalid(field: str, message: str) -> BadRequest:
    return BadRequest(message, field=field, code="invalid_parameter")
