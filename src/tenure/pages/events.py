"""The catalogue of an app's events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request, Response

from tenure.customers.catalogue import EventName, event_names
from tenure.customers.unfit import unfit
from tenure.pages.of_app import AppPage
from tenure.pages.rendering import fragment, page
from tenure.wire.fields import NAME_LIMIT

PAGE: Final = 100
"""Names that are shown at once."""

Sort = Literal["-count", "-lately", "name", "-last_seen", "-first_seen"]
Mark = Literal["", "silent", "spike", "advice"]

SORTS: Final[dict[Sort, str]] = {
    "-count": "most events", "-lately": "most in 30 days", "-last_seen": "latest", "-first_seen": "newest",
    "name": "name",
}  # fmt: skip
MARKS: Final[dict[Mark, str]] = {
    "": "all", "silent": "fell silent", "spike": "came far more often than usual", "advice": "with advice on the name",
}  # fmt: skip
_KEYS: Final[dict[Sort, Callable[[EventName], Any]]] = {
    "-count": lambda one: one.count,
    "-lately": lambda one: sum(one.daily.counts),
    "name": lambda one: one.name.lower(),
    "-last_seen": lambda one: one.last_seen,
    "-first_seen": lambda one: one.first_seen,
}
_HAS: Final[dict[Mark, Callable[[EventName], bool]]] = {
    "": lambda _: True,
    "silent": lambda one: one.silence is not None,
    "spike": lambda one: one.spike is not None,
    "advice": lambda one: bool(one.advice),
}


def add_events(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/events")
    def events(  # noqa: PLR0917 - query parameters, which are sent by name
        request: Request,
        of_app: AppPage,
        q: Annotated[str, Query(max_length=NAME_LIMIT)] = "",
        sort: Sort = "-count",
        mark: Mark = "",
        start: Annotated[int, Query(ge=0)] = 0,
    ) -> Response:
        catalogue = event_names(of_app.tenant)
        found = [one for one in catalogue.items if q.lower() in one.name.lower() and _HAS[mark](one)]
        found.sort(key=_KEYS[sort], reverse=sort.startswith("-"))
        rest = urlencode({"q": q, "sort": sort, "mark": mark, "start": start + PAGE})
        more = f"{of_app.path}/events?{rest}" if len(found) > start + PAGE else None
        shown: dict[str, Any] = {"items": found[start : start + PAGE], "more": more}
        if start and request.headers.get("HX-Request"):
            return fragment(request, "events/_rows.html", **shown)
        return page(
            request, "events.html", **shown, q=q, sort=sort, mark=mark, sorts=SORTS, marks=MARKS,
            found=len(found), total=len(catalogue.items), similar=catalogue.similar,
            unfit=unfit(of_app.tenant, of_app.store.links),
        )  # fmt: skip
