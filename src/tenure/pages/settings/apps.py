"""The apps that there are: opened, renamed, and a new one begun."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, Response

from tenure.control.store import Store
from tenure.deep_result import DeepResult
from tenure.errors import TenureError
from tenure.pages.of_app import AppAdmin
from tenure.pages.rendering import form_status, page
from tenure.pages.session import SignedIn
from tenure.pages.settings.form import said, saved


def add_apps(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store

    @site.get("/settings/apps")
    def show(request: Request, visitor: SignedIn) -> Response:
        return _page(request, store)

    @site.post("/apps/{app}/settings/name")
    def rename(request: Request, here: AppAdmin, name: Annotated[str, Form()] = "") -> Response:
        try:
            store.rename_app(here.app.id, name.strip())
        except TenureError as error:
            request.state.of_app = None
            return _page(request, store, form_status(error), renamed=here.app.id, typed=name, problem=said(error))
        return saved("/settings/apps")


def _page(request: Request, store: Store, status: int = 200, **typed: Any) -> Response:
    keys: Counter[str] = Counter()
    used: dict[str, int] = {}
    for key in store.list_keys():
        keys[key.app] += key.revoked_at is None
        used[key.app] = max(used.get(key.app, 0), key.used_at or 0)
    context: dict[str, Any] = {
        "apps": store.apps(),
        "keys": keys,
        "used": used,
        "checked": DeepResult.read(request.app.state.journals.parent),
        "renamed": None,
        "typed": "",
        "problem": None,
    }
    return page(request, "settings/apps.html", status=status, **context | typed)
