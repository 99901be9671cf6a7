"""The page of all customers: search, filters, sort, columns, saved views, and the list as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from fastapi import FastAPI, Form, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from tenure.customers.conditions import MAX_ATTRIBUTES, Filter
from tenure.customers.listing import ATTRIBUTE, Customers, all_customers, count_customers, customers
from tenure.customers.suggestions import suggestions
from tenure.customers.use import with_uses
from tenure.errors import BadRequest
from tenure.loader.profile import CustomerItem
from tenure.pages import customers_csv
from tenure.pages.customer_question import OPERATORS, Question, parse
from tenure.pages.of_app import AppAdmin, AppPage, OfApp
from tenure.pages.rendering import fragment, page
from tenure.web.strict_parameters import reads_its_query

PAGE_ROWS: Final = 50
STATUSES: Final = ("active", "past_due", "trialing", "unpaid", "paused", "incomplete", "canceled", "none")
TONES: Final = {"good": "good", "fair": "warn", "poor": "bad", None: ""}
_OLD: Final = timedelta(days=1, hours=1)
"""The age from which on it is told when a score was computed: a day, and the time that a round takes."""


class Heading(NamedTuple):
    """A column's head."""

    name: str
    field: str
    """What it sorts by."""
    descending_first: bool
    number: bool


HEADINGS: Final = (
    Heading("Customer", "name", descending_first=False, number=False),
    Heading("Plan", "plan", descending_first=False, number=False),
    Heading("Status", "status", descending_first=False, number=False),
    Heading("MRR", "mrr", descending_first=True, number=True),
    Heading("Health", "health", descending_first=False, number=True),
    Heading("Last used", "last_used", descending_first=True, number=False),
    Heading("Last seen", "last_seen", descending_first=True, number=False),
    Heading("Events", "events", descending_first=True, number=True),
)


def add_customers(site: FastAPI) -> None:
    """Put the page and its parts into the site."""

    @site.get("/apps/{app}/customers", name=reads_its_query("customer_list"))
    def customer_list(request: Request, of: AppPage) -> Response:
        given = request.query_params.multi_items()
        try:
            question = parse(given)
            found = customers(of.tenant, _filter(of, question), sort=question.sort, limit=PAGE_ROWS,
                              attributes=question.column)  # fmt: skip
        except BadRequest as error:
            shown = _shown(of, Question(), Customers([], None), 0)
            return page(request, "customers.html", status=400, **shown, problem=error.message)
        if parse_qsl(question.query) != given and "HX-Request" not in request.headers:
            return RedirectResponse(_path(of, question), 303)
        response = page(request, "customers.html", problem="",
                        **_shown(of, question, found, count_customers(of.tenant, _filter(of, question))))  # fmt: skip
        response.headers["HX-Push-Url"] = _path(of, question)
        return response

    @site.get("/apps/{app}/customer-list/rows", name=reads_its_query("customer_rows"))
    def more_rows(request: Request, of: AppPage, cursor: Annotated[str, Query()]) -> Response:
        given = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        question = parse(given)
        found = customers(of.tenant, _filter(of, question), sort=question.sort, limit=PAGE_ROWS, cursor=cursor,
                          attributes=question.column)  # fmt: skip
        return fragment(request, "customers/_rows.html", **_rows(of, question, found))

    @site.get("/apps/{app}/customer-list/names")
    def names(request: Request, of: AppPage) -> Response:
        return fragment(request, "customers/_names.html", names=suggestions(of.tenant))

    @site.get("/apps/{app}/customer-list/export.csv", name=reads_its_query("customers_csv"))
    def export(request: Request, of: AppPage) -> Response:
        question = parse(request.query_params.multi_items())
        items = all_customers(of.tenant, _filter(of, question), question.column)
        name = f"customers-{datetime.now(of.zone):%Y-%m-%d}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingResponse(customers_csv.lines(items, question.column), headers=headers, media_type="text/csv")

    @site.post("/apps/{app}/customer-list/views")
    def save(of: AppAdmin, name: Annotated[str, Form()], query: Annotated[str, Form()] = "") -> Response:
        question = parse(parse_qsl(query, keep_blank_values=True)).changed(q=None)
        of.store.saved_views.save(of.app.id, name, question.query)
        return RedirectResponse(_path(of, question), 303)

    @site.post("/apps/{app}/customer-list/views/{view}/delete")
    def delete(of: AppAdmin, view: str) -> Response:
        of.store.saved_views.delete(of.app.id, view)
        return RedirectResponse(f"{of.path}/customers", 303)


def _filter(of: OfApp, question: Question) -> Filter:
    return with_uses(of.tenant, of.store, question.filter)


def _path(of: OfApp, question: Question) -> str:
    return f"{of.path}/customers{'?' if question.query else ''}{question.query}"


def _shown(of: OfApp, question: Question, found: Customers, total: int) -> dict[str, Any]:
    """What the page is made from."""
    return _rows(of, question, found) | {
        "headings": [*HEADINGS, *_attributes(question.column)],
        "total": total,
        "views": of.store.saved_views.of(of.app.id),
        "status_options": [(status, status.replace("_", " ").capitalize()) for status in STATUSES],
        "operators": OPERATORS,
        "room": len(question.attribute) < MAX_ATTRIBUTES,
        "address": _path(of, question),
    }


def _attributes(names: Sequence[str]) -> list[Heading]:
    return [Heading(name, f"{ATTRIBUTE}{name}", descending_first=False, number=False) for name in names]


def _rows(of: OfApp, question: Question, found: Customers) -> dict[str, Any]:
    more = f"{question.query}{'&' if question.query else ''}cursor={found.next}"
    return {
        "question": question,
        "items": found.items,
        "next": f"{of.path}/customer-list/rows?{more}" if found.next else None,
        "path": f"{of.path}/customers",
        "tones": TONES,
        "value_of": _value,
        "is_old": _is_old,
        "width": len(HEADINGS) + len(question.column),
    }


def _value(item: CustomerItem, name: str) -> str | None:
    """An attribute as a person reads it."""
    values = {} if item.attributes is msgspec.UNSET else item.attributes
    if name not in values:
        return None
    value = msgspec.json.decode(values[name])
    return value if isinstance(value, str) else bytes(values[name]).decode()


def _is_old(scored_at: str) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(scored_at) > _OLD
