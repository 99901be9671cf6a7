"""MRR and churn, and what is behind each number."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal, NamedTuple

from fastapi import Depends, FastAPI, Query, Request, Response

from tenure.control.store import Store
from tenure.customers.conditions import Filter
from tenure.customers.use import segment_with_uses
from tenure.metrics import questions
from tenure.metrics.asked import DAY, Asked
from tenure.metrics.explain import MAX_LIMIT
from tenure.metrics.questions import OfChurn, OfMrr, Page, book_of, invalid
from tenure.subscriptions.metrics import Period, periods, start_of
from tenure.web.access import Reader
from tenure.web.answer import json_response
from tenure.web.customers import MAX_TEXT, Segment
from tenure.web.parameters import CurrencyCode, day

_From = Annotated[str | None, Query(alias="from", description="A day of the first period; default: a year before `to`")]
_To = Annotated[str | None, Query(alias="to", description="The last day; default, and at the most: today (UTC)")]
_Start = Annotated[str | None, Query(description="One period alone, that of this day")]
_Currency = Annotated[CurrencyCode | None, Query(description="Only MRR in this currency")]
_Converted = Annotated[bool | None, Query(description="Whether in the currency to report in; default: if there is one")]
_Plan = Annotated[str | None, Query(max_length=MAX_TEXT, description="Only this plan")]
_Cohort = Annotated[str | None, Query(description="Only customers whose first MRR came in the month of this day")]


class Span(NamedTuple):
    """From the first day of a period to the last day that counts."""

    period: Period
    first: date
    last: date


async def span(
    period: Annotated[Period, Query(description="Weeks begin on Monday")] = "month",
    first: _From = None,
    last: _To = None,
    period_start: _Start = None,
) -> Span:
    """Which days were asked about. Raises BadRequest."""
    today = datetime.now(UTC).date()
    start = day("period_start", period_start)
    if start is None:
        until = min(day("to", last) or today, today)
        since = day("from", first) or start_of(until, "month").replace(year=until.year - 1)
    elif first or last:
        raise invalid("period_start", "give period_start, or from and to")
    else:
        ((since, end),) = periods(period, start, start)
        until = min(end - DAY, today)
    if since > until:
        field = "from" if start is None else "period_start"
        raise invalid(field, f"{field} must not be after the last day, which is today at the most")
    return Span(period, start_of(since, period), until)


TheSpan = Annotated[Span, Depends(span)]


def _asked(  # noqa: PLR0917 - query parameters, which are sent by name
    request: Request,
    tenant: Reader,
    span: TheSpan,
    segment: Segment,
    currency: _Currency = None,
    converted: _Converted = None,
    plan: _Plan = None,
    cohort: _Cohort = None,
) -> Asked:
    month = day("cohort", cohort)
    anybody = segment.question == Filter()
    chosen = segment_with_uses(tenant, request.app.state.store, segment)
    asked = Asked(
        **span._asdict(), book=book_of(request.app.state.store.billing.of(tenant.app), converted), currency=currency,
        plan=plan, cohort=month and start_of(month, "month"), segment=None if anybody else chosen,
    )  # fmt: skip
    asked.check()
    return asked


async def _page(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="With `explain`: so many subscriptions")] = 100,
    cursor: Annotated[str | None, Query(description="`next` of the page before, with the same parameters")] = None,
) -> Page:
    return Page(limit, cursor)


_Asked = Annotated[Asked, Depends(_asked)]
ThePage = Annotated[Page, Depends(_page)]


def add_metrics(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store

    @api.get("/v1/metrics/mrr", tags=["metrics"], summary="MRR and its movements")
    def mrr(
        tenant: Reader,
        asked: _Asked,
        page: ThePage,
        by: Literal["none", "plan"] = "none",
        of: Annotated[OfMrr | None, Query(alias="explain", description="List what is behind this number")] = None,
    ) -> Response:
        """By day, week or month: opening, what was new, expanded, contracted, churned and came back, and closing. With
        `explain` the subscriptions behind one number of one period, currency and perhaps plan. The parameters of
        `/v1/customers` choose customers, as they are now."""
        billing = store.billing.of(tenant.app)
        return json_response(questions.mrr(tenant, billing, asked, by_plan=by == "plan", of=of, page=page))

    @api.get("/v1/metrics/churn", tags=["metrics"], summary="Churn of customers and of revenue")
    def churn_rates(
        tenant: Reader,
        asked: _Asked,
        page: ThePage,
        by: Literal["none", "plan", "cohort"] = "none",
        of: Annotated[OfChurn | None, Query(alias="explain", description="List what is behind this number")] = None,
    ) -> Response:
        """By day, week or month, what became of those who were customers when it began. By plan, each counts under the
        plan that most of its MRR was of then. By cohort: the customers whose first MRR came in each month, month by
        month. `explain` and the choice of customers are as in `/v1/metrics/mrr`."""
        billing = store.billing.of(tenant.app)
        if by == "cohort":
            if of is not None:
                raise invalid("explain", "to explain a number of a cohort, name the cohort and not by=cohort")
            return json_response(questions.churn_by_cohort(tenant, billing, asked))
        return json_response(questions.churn_rates(tenant, billing, asked, by_plan=by == "plan", of=of, page=page))
