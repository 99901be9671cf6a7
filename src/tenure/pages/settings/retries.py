"""How long a request that names neither an id nor a time can be a client's retry."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from tenure.entry import MAX_RETRY_SECONDS, RETRY_SECONDS
from tenure.pages.of_app import AppAdmin, AppPage
from tenure.pages.rendering import page
from tenure.pages.settings.form import Sent, saved, text

TEMPLATE = "settings/retries.html"


def add_retries(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/settings/retries")
    def show(request: Request, here: AppPage) -> Response:
        return _page(request, str(here.store.policies()[here.app.id].retry_seconds))

    @site.post("/apps/{app}/settings/retries")
    def change(request: Request, here: AppAdmin, sent: Sent) -> Response:
        typed = text(sent, "seconds")
        if not (typed.isascii() and typed.isdecimal() and len(typed) <= 3 and int(typed) <= MAX_RETRY_SECONDS):
            return _page(request, typed, f"Write a whole number from 0 to {MAX_RETRY_SECONDS}.")
        seconds = int(typed)
        here.store.set_retry_seconds(here.app.id, None if seconds == RETRY_SECONDS else seconds)
        return saved(f"{here.path}/settings/retries")


def _page(request: Request, typed: str, problem: str = "") -> Response:
    return page(request, TEMPLATE, status=422 if problem else 200, typed=typed, problem=problem,
                most=MAX_RETRY_SECONDS, usual=RETRY_SECONDS)  # fmt: skip
