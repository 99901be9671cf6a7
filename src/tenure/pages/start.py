"""The first minute: an app, its keys, something to send, and seeing it arrive."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Form, Request, Response

from tenure.control.keys import SECRET, TRACKER
from tenure.control.store import App, Store
from tenure.customers.latest import latest
from tenure.errors import TenureError, Unavailable
from tenure.pages.of_app import AppAdmin, AppPage, of_app
from tenure.pages.rendering import form_status, fragment, page
from tenure.pages.session import Admin, SignedIn, is_secure
from tenure.snippets import CLIENTS, LANGUAGES, snippets

NOT_SHOWN = {"secret_key": "YOUR_SECRET_KEY", "tracker_key": "YOUR_TRACKER_KEY"}
"""What stands in the snippets where keys cannot be shown any more."""


def add_start(site: FastAPI) -> None:
    """Put the pages into the site."""
    store: Store = site.state.store

    @site.get("/start")
    def form(request: Request, visitor: SignedIn) -> Response:
        return page(request, "start.html", apps=store.apps(), name="", problem=None)

    @site.post("/start")
    def create(request: Request, visitor: Admin, name: Annotated[str, Form()] = "") -> Response:
        try:
            app = store.create_app(name.strip())
        except TenureError as error:
            return page(
                request, "start.html", status=form_status(error), apps=store.apps(), name=name, problem=str(error)
            )
        of_app(request, app.id, visitor)
        return _first_event(request, app, store.create_keys(app.id))

    @site.get("/apps/{app}/start")
    def again(request: Request, here: AppPage) -> Response:
        return _first_event(request, here.app, {})

    @site.post("/apps/{app}/start")
    def fresh_keys(request: Request, here: AppAdmin) -> Response:
        fresh = {f"{kind}_key": store.create_key(here.app.id, kind) for kind in (SECRET, TRACKER)}
        return _first_event(request, here.app, fresh)

    @site.get("/apps/{app}/start/arrived")
    def arrived(request: Request, here: AppPage, seen: str = "") -> Response:
        """What arrived last; nothing when that is what the page shows already, or when nobody can tell now."""
        try:
            found = latest(here.tenant, seen)
        except Unavailable:
            found = None
        if found is None:
            return Response(status_code=204)
        return fragment(request, "start/_arrived.html", found=found, sent_by=CLIENTS.get(found.dialect, found.dialect))


def base_url(request: Request) -> str:
    """Where the browser found this server: where clients find it too."""
    return f"{'https' if is_secure(request) else 'http'}://{request.headers.get('Host', '')}"


def _first_event(request: Request, app: App, keys: dict[str, str]) -> Response:
    shown = snippets(base_url(request), app.id, NOT_SHOWN | keys)
    return page(request, "start/first_event.html", keys=keys, snippets=shown, clients=CLIENTS, languages=LANGUAGES)
