"""The list of customers."""

from __future__ import annotations

import time
from typing import Annotated, Literal, NamedTuple

import msgspec
from fastapi import Depends, FastAPI, Query, Response

from tenure.control.store import Store
from tenure.customers.conditions import Filter
from tenure.customers.listing import MAX_LIMIT, SORTS, customers
from tenure.customers.use import with_uses
from tenure.web.access import Reader
from tenure.web.answer import json_response
from tenure.web.parameters import CurrencyCode, moment
from tenure.wire.fields import NAME_LIMIT

MAX_DAYS = 36_500
MAX_TEXT = 1_024

Days = Annotated[int | None, Query(ge=1, le=MAX_DAYS)]
Count = Annotated[int | None, Query(ge=1, le=2**63)]
Time = Annotated[str | None, Query(description="A time (ISO 8601)")]
_AMOUNT = r"^[0-9]{1,18}(\.[0-9]{1,10})?$"
Amount = Annotated[str | None, Query(pattern=_AMOUNT, description="In units of the customer's currency a month")]
Score = Annotated[int | None, Query(ge=0, le=100, description="A health score, from 0 to 100")]
Status = Literal["active", "past_due", "trialing", "unpaid", "paused", "incomplete", "canceled", "none"]
Condition = Annotated[str, Query(max_length=MAX_TEXT)]


class _Activity(NamedTuple):
    """What was asked of a customer's events."""

    last_seen_after: int | None
    last_seen_before: int | None
    first_seen_after: int | None
    first_seen_before: int | None
    active_days: int | None
    inactive_days: int | None


async def _activity(  # noqa: PLR0917 - query parameters, which are sent by name
    last_seen_after: Time = None,
    last_seen_before: Time = None,
    first_seen_after: Time = None,
    first_seen_before: Time = None,
    active_days: Annotated[Days, Query(description="Use within so many days")] = None,
    inactive_days: Annotated[Days, Query(description="No use for so many days, but some before")] = None,
) -> _Activity:
    return _Activity(
        moment("last_seen_after", last_seen_after),
        moment("last_seen_before", last_seen_before),
        moment("first_seen_after", first_seen_after),
        moment("first_seen_before", first_seen_before),
        active_days,
        inactive_days,
    )


class _Billing(NamedTuple):
    """What was asked of how a customer pays."""

    status: str | None
    plan: str | None
    past_due: bool | None
    currency: str | None
    mrr_at_least: str | None
    mrr_below: str | None
    renews_after: int | None
    renews_before: int | None


async def _billing(  # noqa: PLR0917 - query parameters, which are sent by name
    status: Annotated[Status | None, Query(description="Pays so; `none`: has no subscription")] = None,
    plan: Annotated[str | None, Query(max_length=MAX_TEXT, description="Has a live subscription to this plan")] = None,
    past_due: Annotated[bool | None, Query(description="Has a bill that is late or was given up, or has none")] = None,
    currency: Annotated[CurrencyCode | None, Query(description="Of `mrr` on the list")] = None,
    mrr_at_least: Amount = None,
    mrr_below: Amount = None,
    renews_after: Time = None,
    renews_before: Time = None,
) -> _Billing:
    return _Billing(
        "" if status == "none" else status,
        plan,
        past_due,
        currency,
        mrr_at_least,
        mrr_below,
        moment("renews_after", renews_after),
        moment("renews_before", renews_before),
    )


class _Doing(NamedTuple):
    """What was asked of the events of a name, and of health."""

    did: str | None
    did_within_days: int | None
    did_at_least: int | None
    did_not: str | None
    did_not_within_days: int | None
    health_at_least: int | None
    health_below: int | None


async def _doing(  # noqa: PLR0917 - query parameters, which are sent by name
    did: Annotated[str | None, Query(max_length=NAME_LIMIT, description="Has events of this name")] = None,
    did_within_days: Annotated[Days, Query(description="… within so many days")] = None,
    did_at_least: Annotated[Count, Query(description="… at least so many times")] = None,
    did_not: Annotated[str | None, Query(max_length=NAME_LIMIT, description="Has no event of this name")] = None,
    did_not_within_days: Annotated[Days, Query(description="… within so many days")] = None,
    health_at_least: Score = None,
    health_below: Score = None,
) -> _Doing:
    return _Doing(
        did, did_within_days, did_at_least, did_not, did_not_within_days, health_at_least, health_below
    )  # fmt: skip


async def segment(  # noqa: PLR0917 - query parameters, which are sent by name
    activity: Annotated[_Activity, Depends(_activity)],
    doing: Annotated[_Doing, Depends(_doing)],
    q: Annotated[
        str | None,
        Query(
            max_length=MAX_TEXT,
            description="The beginning of an identifier, `kind:` before it or not, or of the name",
        ),
    ] = None,
    events_at_least: Annotated[Count, Query(description="Has at least so many events")] = None,
    attribute: Annotated[
        list[Condition] | None,
        Query(description="`name:op:value`, op eq, ne, gt or lt; `name:exists`, `name:missing`. All given must hold"),
    ] = None,
    verified: Annotated[bool | None, Query(description="Has verified events, or has none")] = None,
) -> Filter:
    """What was asked of customers, now; without the names that count as use, which depend on the app."""
    return Filter(
        q=q, **activity._asdict(), **doing._asdict(),
        events_at_least=events_at_least, attributes=tuple(attribute or ()), verified=verified,
        now=time.time_ns() // 1_000_000,
    )  # fmt: skip


Segment = Annotated[Filter, Depends(segment)]


def add_customers(api: FastAPI) -> None:
    """Put the route into the application."""
    store: Store = api.state.store

    @api.get("/v1/customers", tags=["read"], summary="The list of customers")
    def list_customers(  # noqa: PLR0917 - as above
        tenant: Reader,
        asked: Segment,
        billing: Annotated[_Billing, Depends(_billing)],
        sort: Annotated[str, Query(description=f"{', '.join(SORTS)}; with `-` the greatest first")] = "-last_seen",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the page before, with the same filters")] = None,
    ) -> Response:
        """Every customer once, however many identifiers they have. An event is counted here about a second
        after it is on its timeline; while many wait to be loaded, somewhat later."""
        asked = with_uses(tenant, store, msgspec.structs.replace(asked, **billing._asdict()))
        return json_response(customers(tenant, asked, sort=sort, limit=limit, cursor=cursor))
