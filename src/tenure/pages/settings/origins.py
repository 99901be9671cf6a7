"""From which web origins browsers may send to an app."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response

from tenure.control.policy import origin
from tenure.errors import TenureError
from tenure.pages.of_app import AppAdmin, AppPage
from tenure.pages.rendering import page
from tenure.pages.settings.form import Sent, said, saved, text

TEMPLATE = "settings/origins.html"


def add_origins(site: FastAPI) -> None:
    """Put the page into the site."""

    @site.get("/apps/{app}/settings/origins")
    def show(request: Request, here: AppPage) -> Response:
        allowed = here.store.policies()[here.app.id].origins
        typed = "\n".join(sorted(allowed or ()))
        return page(request, TEMPLATE, any_origin=allowed is None, typed=typed, problems=[])

    @site.post("/apps/{app}/settings/origins")
    def change(request: Request, here: AppAdmin, sent: Sent) -> Response:
        any_origin, typed = text(sent, "from") == "any", text(sent, "origins")
        found, problems = _origins(typed)
        if not any_origin and not found and not problems:
            problems = ["Write at least one origin, or let browsers send from anywhere."]
        if problems and not any_origin:
            return page(request, TEMPLATE, status=422, any_origin=False, typed=typed, problems=problems)
        here.store.set_origins(here.app.id, [] if any_origin else found)
        return saved(f"{here.path}/settings/origins")


def _origins(typed: str) -> tuple[list[str], list[str]]:
    """The origins of as many lines, and what is wrong with the others."""
    found, problems = [], []
    for number, line in enumerate(typed.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(origin(line.strip()))
        except TenureError as error:
            problems.append(f"Line {number}: {said(error)}")
    return found, problems
