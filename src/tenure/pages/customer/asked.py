"""Whom a page is about, as of which day, and where its parts are."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Depends, Query, Request
from fastapi.responses import HTMLResponse

from tenure.customers.confirming import covered
from tenure.customers.customer import Customer, find_customer
from tenure.customers.freshness import find_fresh
from tenure.identity import Identifier
from tenure.pages.of_app import AppAdmin, AppPage, OfApp
from tenure.pages.rendering import fragment, page
from tenure.web.parameters import day

LAST_DAY: Final = date(2299, 12, 30)
"""The last but one that the warehouse can tell."""
PATH: Final = "/apps/{app}/customers/{customer_id:identifier}"


class Asked(NamedTuple):
    """A customer, as known at the end of a day; without a day, now."""

    of: OfApp
    customer: Customer
    day: date | None
    at: int | None
    """The end of that day, in milliseconds since 1970 UTC."""

    @property
    def id(self) -> str:
        """The strongest identifier, as `kind:value`."""
        return text(self.customer.identifiers[0])

    @property
    def value(self) -> str:
        """The strongest identifier, as a person says it."""
        return self.customer.identifiers[0].value

    @property
    def today(self) -> date:
        """The day that the page is about, for its viewer."""
        return self.day or datetime.now(self.of.zone).date()

    def url(self, part: str = "", **query: str | int | date | None) -> str:
        """The address of a part of the page, as of the same day."""
        return address(self.of, self.id, part, as_of=self.day, **query)

    def path(self, part: str = "") -> str:
        """The address of a part of the page now: where its forms go."""
        return address(self.of, self.id, part)


def text(identifier: Identifier) -> str:
    """An identifier as it stands in a URL: never a mere `.` or `..`, which browsers would resolve."""
    return f"{identifier.kind}:{identifier.value}"


def address(of: OfApp, identifier: str, part: str = "", **query: str | int | date | None) -> str:
    """The address of a part of a customer's page."""
    given = {name: str(value) for name, value in query.items() if value not in {None, ""}}
    path = f"{of.path}/customers/{quote(identifier, safe='')}" + (f"/{part}" if part else "")
    return f"{path}?{urlencode(given)}" if given else path


def begins(on: date, zone: ZoneInfo) -> int:
    """When a day begins in a time zone, in milliseconds since 1970 UTC."""
    return round(datetime.combine(on, time(), zone).timestamp() * 1_000)


def ends(on: date, zone: ZoneInfo) -> int:
    """When the next day begins."""
    return begins(on + timedelta(days=1), zone)


def chosen(field: str, value: str | None) -> date | None:
    """A day from a form, where nothing chosen is sent as nothing. Raises BadRequest."""
    found = day(field, value or None)
    return found and min(found, LAST_DAY)


def asked(of: AppPage, customer_id: str, as_of: Annotated[str | None, Query()] = None) -> Asked:
    """The customer of the path. Raises BadRequest, NotFound and Unavailable."""
    on = chosen("as_of", as_of)
    at = None if on is None else ends(on, of.zone) - 1
    return Asked(of, find_customer(of.tenant, of.store, customer_id, at), on, at)


def asked_to_change(request: Request, of: AppAdmin, customer_id: str) -> Asked:
    """The same for an admin, with all that was acknowledged before. Raises NotFound, Ambiguous, Forbidden and
    Unavailable."""
    journals: Path = request.app.state.journals
    return Asked(of, find_fresh(of.tenant, of.store, journals, customer_id), None, None)


AskedFor = Annotated[Asked, Depends(asked)]
AskedToChange = Annotated[Asked, Depends(asked_to_change)]


def part(request: Request, asked: Asked, name: str, title: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A part of the page for htmx; for who opens its address, a page of its own."""
    template, shown = f"customer/_{name}.html", helpers(asked) | context
    if "HX-Request" in request.headers:
        return fragment(request, template, status=status, **shown)
    return page(request, "customer/part.html", status=status, title=title, template=template, **shown)


def helpers(asked: Asked) -> dict[str, Any]:
    """What the templates of all parts are given."""

    def clock(at: str) -> str:
        return f"{datetime.fromisoformat(at).astimezone(asked.of.zone):%H:%M:%S}"

    return {"asked": asked, "plain": plain, "clock": clock, "covered": covered(asked.of.app.id, asked.customer)}


def plain(value: msgspec.Raw) -> str:
    """A JSON value for people: a text without its quotes, anything else as it is written."""
    raw = bytes(value)
    found = msgspec.json.decode(raw) if raw[:1] == b'"' else raw.decode()
    return str(found)
