"""Survival curves of being a paying customer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

import msgspec
from fastapi import Depends, FastAPI, Query, Response

from tenure.control.store import Store
from tenure.customers.conditions import Filter
from tenure.customers.use import segment_with_uses
from tenure.metrics import answers
from tenure.metrics.estimator import Estimator
from tenure.metrics.lasting import INTERVAL_DAYS, Lasting, survival
from tenure.metrics.questions import invalid
from tenure.metrics.survival import Interval, OfSpells, Spells, behind
from tenure.subscriptions.metrics import start_of
from tenure.web.access import Reader
from tenure.web.answer import json_response
from tenure.web.customers import MAX_TEXT, Segment
from tenure.web.metrics import ThePage
from tenure.web.parameters import day

MAX_INTERVAL = 3_650
_BY = r"^(none|plan|cohort|attribute:(?s:.+))$"

By = Annotated[str, Query(pattern=_BY, max_length=MAX_TEXT, description="none, plan, cohort, or attribute:name")]
Days = Annotated[int, Query(ge=1, le=MAX_INTERVAL, description="Every so many days of a spell the curve is read off")]


async def spells(  # noqa: PLR0917 - query parameters, which are sent by name
    segment: Segment,
    first: Annotated[str | None, Query(alias="from", description="Spells that began on this day or later")] = None,
    last: Annotated[
        str | None, Query(alias="to", description="The last day that counts; default, and at the most: today (UTC)")
    ] = None,
    by: By = "none",
    plan: Annotated[str | None, Query(max_length=MAX_TEXT, description="Spells that began with this plan")] = None,
    cohort: Annotated[
        str | None, Query(description="Customers whose first spell began in the month of this day")
    ] = None,
) -> Spells:
    """Which spells were asked about. Raises BadRequest."""
    today = datetime.now(UTC).date()
    since, until = day("from", first) or date(1970, 1, 1), min(day("to", last) or today, today)
    if since > until:
        raise invalid("from", "from must not be after the last day, which is today at the most")
    month = day("cohort", cohort)
    anybody = segment.question == Filter()
    return Spells(first=since, last=until, by=by, plan=plan, cohort=month and start_of(month, "month"),
                  segment=None if anybody else segment)  # fmt: skip


def add_survival(api: FastAPI) -> None:
    """Put the route into the application."""
    store: Store = api.state.store
    estimator: Estimator = api.state.estimator

    @api.get("/v1/metrics/survival", tags=["metrics"], summary="How long being a paying customer lasts")
    def survival_curves(  # noqa: PLR0917 - as above
        tenant: Reader,
        asked: Annotated[Spells, Depends(spells)],
        page: ThePage,
        interval: Days = INTERVAL_DAYS,
        of: Annotated[OfSpells | None, Query(alias="explain", description="List what is behind this number")] = None,
        group: Annotated[str, Query(max_length=MAX_TEXT, description="With `explain`: of this group")] = "",
        start: Annotated[int, Query(ge=0, description="With `explain`: of the interval that begins there")] = 0,
    ) -> Response:
        """Kaplan-Meier curves of the spells of paying, by plan, cohort or an attribute, with 95 % confidence bands and
        what happened in each interval. With `explain` the spells behind one number. The parameters of
        `/v1/customers` choose customers, as they are now."""
        billing = store.billing.of(tenant.app)
        asked = msgspec.structs.replace(asked, segment=segment_with_uses(tenant, store, asked.segment))
        if of is None:
            return json_response(survival(tenant, billing, estimator, asked, interval))
        one = Interval(group, start, start + interval)
        explained = behind(tenant, asked, of, one, **page._asdict())
        basis = answers.basis(tenant, billing, "")
        return json_response(Lasting(basis, asked.first, asked.last, [], 0, None, explained))
