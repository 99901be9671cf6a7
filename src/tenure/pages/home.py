"""The first page: the app that is there, or how to make one."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.responses import RedirectResponse

from tenure.control.store import Store
from tenure.pages.of_app import AppPage
from tenure.pages.session import SignedIn


def add_home(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store

    @site.get("/")
    def home(visitor: SignedIn) -> Response:
        apps = store.apps()
        return RedirectResponse(f"/apps/{apps[0].id}" if apps else "/start", 303)

    @site.get("/apps/{app}")
    def first(of: AppPage) -> Response:
        return RedirectResponse(f"{of.path}/customers", 303)
