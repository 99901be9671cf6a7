"""A person's own account: the password, and the browsers in which they are signed in."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse

from tenure.control.passwords import LEAST, check_form
from tenure.control.store import Store
from tenure.errors import BadRequest, RateLimited, Unauthenticated
from tenure.pages.browsers import browser_name
from tenure.pages.rendering import page
from tenure.pages.session import SignedIn, Visitor
from tenure.pages.sign_in import MAX_PASSWORD, enter

PATH = "/settings/account"
Password = Annotated[str, Form(max_length=MAX_PASSWORD)]


def add_account(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store

    @site.get(PATH)
    def account(request: Request, visitor: SignedIn, done: str = "") -> Response:
        return _page(request, visitor, done=done == "password")

    @site.post(f"{PATH}/password")
    def change_password(request: Request, visitor: SignedIn, current: Password, password: Password) -> Response:
        try:
            check_form(password)
            store.people.check_password(visitor.person.email, current)
        except Unauthenticated:
            return _page(request, visitor, status=403, field="current", problem="This is not your password.")
        except (BadRequest, RateLimited) as error:
            return _page(request, visitor, status=error.status, field=error.field, problem=error.message)
        store.people.set_password(visitor.person.id, password)
        return enter(request, visitor.person, f"{PATH}?done=password")

    @site.post(f"{PATH}/sessions/{{session}}/end")
    def end_session(visitor: SignedIn, session: str) -> Response:
        if session in {own.id for own in store.people.sessions(visitor.person.id)}:
            store.people.end_session(session)
        return RedirectResponse(PATH, 303)


def _page(
    request: Request, visitor: Visitor, *, status: int = 200, field: str | None = None, problem: str = "",
    done: bool = False,
) -> Response:  # fmt: skip
    store: Store = request.app.state.store
    sessions = [(one, browser_name(one.user_agent)) for one in store.people.sessions(visitor.person.id)]
    shown = {"sessions": sessions, "field": field, "problem": problem, "done": done, "least": LEAST}
    return page(request, "account.html", status=status, **shown)
