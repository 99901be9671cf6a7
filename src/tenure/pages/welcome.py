"""Where a sign-in link leads: a person sets their password, and the first one becomes an admin.

The token is in the link's fragment, which no server is sent; a script moves it into the form. Looking at the page, as
previews of links do, uses nothing up.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Form, Request, Response

from tenure.control.passwords import LEAST
from tenure.control.store import Store
from tenure.errors import BadRequest, Conflict, Unauthenticated
from tenure.pages.rendering import page
from tenure.pages.sign_in import MAX_PASSWORD, enter

MAX_CODE = 200


def add_welcome(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store

    @site.get("/welcome")
    def form(request: Request) -> Response:
        return _form(request)

    @site.post("/welcome")
    def welcome(
        request: Request,
        code: Annotated[str, Form(max_length=MAX_CODE)],
        email: Annotated[str, Form(max_length=320)],
        password: Annotated[str, Form(max_length=MAX_PASSWORD)],
    ) -> Response:
        try:
            person = store.people.redeem(code.strip(), email, password)
        except (BadRequest, Unauthenticated, Conflict) as error:
            return _form(request, status=error.status, code=code, email=email, field=error.field, problem=error.message)
        return enter(request, person, "/")


def _form(
    request: Request, *, status: int = 200, code: str = "", email: str = "", field: str | None = None, problem: str = ""
) -> Response:
    shown = {"code": code, "email": email, "field": field, "problem": problem, "least": LEAST}
    return page(request, "welcome.html", status=status, **shown)
