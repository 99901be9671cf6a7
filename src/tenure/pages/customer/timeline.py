"""What a customer did, newest first, by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from itertools import groupby
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI, Query, Request, Response

from tenure.customers.days import names_of
from tenure.customers.timeline import Item, timeline
from tenure.pages.customer.asked import PATH, Asked, AskedFor, begins, chosen, ends, part
from tenure.wire.fields import NAME_LIMIT

PAGE_EVENTS = 50


class Day(NamedTuple):
    """The events of a page that are of one day. `begun`: the page before had some of them."""

    on: date
    begun: bool
    events: list[Item]


class Filter(NamedTuple):
    """Which events are shown: of a name, from a day to another, both included."""

    name: str | None
    since: date | None
    until: date | None

    def query(self) -> dict[str, str]:
        """As it stands in a URL."""
        return {field: str(value) for field, value in self._asdict().items() if value is not None}


def add(site: FastAPI) -> None:
    """Put the part into the site."""

    @site.get(f"{PATH}/timeline")
    def customer_timeline(  # noqa: PLR0917 - query parameters, which are sent by name
        request: Request,
        asked: AskedFor,
        name: Annotated[str | None, Query(max_length=NAME_LIMIT)] = None,
        since: Annotated[str | None, Query()] = None,
        until: Annotated[str | None, Query()] = None,
        cursor: Annotated[str | None, Query()] = None,
        after: Annotated[str | None, Query()] = None,
    ) -> Response:
        wanted = Filter(name or None, chosen("since", since), chosen("until", until))
        found = timeline(
            asked.of.tenant,
            asked.customer,
            limit=PAGE_EVENTS,
            cursor=cursor,
            name=wanted.name,
            since=None if wanted.since is None else begins(wanted.since, asked.of.zone),
            until=None if wanted.until is None else ends(wanted.until, asked.of.zone),
            as_of=asked.at,
        )
        days = list(_days(asked, found.items, chosen("after", after)))
        more = found.next and asked.url("timeline", **wanted.query(), cursor=found.next, after=days[-1].on)
        shown: dict[str, Any] = {"days": days, "more": more, "wanted": wanted}
        if cursor is not None and "HX-Request" in request.headers:
            return part(request, asked, "events", "Timeline", **shown)
        names = names_of(asked.of.tenant, asked.customer)
        response = part(request, asked, "timeline", "Timeline", **shown, names=names)
        if request.headers.get("HX-Target") == "timeline":
            response.headers["HX-Push-Url"] = _shown_at(request, asked, wanted)
        return response


def _days(asked: Asked, items: list[Item], begun: date | None) -> Iterator[Day]:
    def on(item: Item) -> date:
        return datetime.fromisoformat(item.occurred_at).astimezone(asked.of.zone).date()

    for day, events in groupby(items, on):
        yield Day(day, day == begun, list(events))


def _shown_at(request: Request, asked: Asked, wanted: Filter) -> str:
    """The address of the page that is open, with this filter."""
    path = urlsplit(request.headers.get("HX-Current-URL", "")).path or asked.url("timeline")
    query = wanted.query() | ({} if asked.day is None else {"as_of": str(asked.day)})
    return f"{path}?{urlencode(query)}" if query else path
