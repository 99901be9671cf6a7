"""The first page: the app that was looked at last, or how to make one."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from tenure.control.store import Store
from tenure.pages.of_app import AppPage
from tenure.pages.session import APP_COOKIE, SignedIn


def add_home(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store

    @site.get("/")
    def home(request: Request, visitor: SignedIn) -> Response:
        apps = [app.id for app in store.all_apps()]
        if not apps:
            return RedirectResponse("/start", 303)
        last = request.cookies.get(APP_COOKIE)
        return RedirectResponse(f"/apps/{last if last in apps else apps[0]}", 303)

    @site.get("/apps/{app}")
    def first(of: AppPage) -> Response:
        return RedirectResponse(f"{of.path}/customers", 303)
