"""The people who use the pages: who there is, what they may do, and a way in for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse

from tenure.control.people import ROLES, VIEWER, Person
from tenure.control.store import Store
from tenure.errors import BadRequest, Conflict, NotFound
from tenure.pages.rendering import page
from tenure.pages.session import Admin, SignedIn, is_secure
from tenure.welcome import link_to

PATH = "/settings/people"


def add_people(site: FastAPI) -> None:
    """Put the page into the site."""
    store: Store = site.state.store
    people = store.people

    @site.get(PATH)
    def everybody(request: Request, visitor: SignedIn) -> Response:
        return _page(request)

    @site.post(PATH)
    def add(
        request: Request,
        visitor: Admin,
        email: Annotated[str, Form(max_length=320)],
        role: Annotated[str, Form()] = VIEWER,
    ) -> Response:
        try:
            made = people.create(email, None, role)
        except (BadRequest, Conflict) as error:
            return _page(request, status=error.status, email=email, role=role, problem=error.message)
        return _with_link(request, made)

    @site.post(f"{PATH}/{{person}}/link")
    def link(request: Request, visitor: Admin, person: str) -> Response:
        return _with_link(request, people.find(person))

    @site.post(f"{PATH}/{{person}}/role")
    def role(request: Request, visitor: Admin, person: str, role: Annotated[str, Form()]) -> Response:
        return _changed(request, lambda: people.set_role(person, role))

    @site.post(f"{PATH}/{{person}}/disable")
    def disable(request: Request, visitor: Admin, person: str) -> Response:
        return _changed(request, lambda: people.disable(person))

    @site.post(f"{PATH}/{{person}}/enable")
    def enable(request: Request, visitor: Admin, person: str) -> Response:
        return _changed(request, lambda: people.enable(person))

    @site.post(f"{PATH}/{{person}}/end-sessions")
    def end_sessions(request: Request, visitor: Admin, person: str) -> Response:
        return _changed(request, lambda: people.end_sessions(person))


def _changed(request: Request, change: Callable[[], None]) -> Response:
    try:
        change()
    except (BadRequest, Conflict, NotFound) as error:
        return _page(request, status=error.status, wrong=error.message)
    return RedirectResponse(PATH, 303)


def _with_link(request: Request, person: Person) -> Response:
    """The page with a new link, which is in this one response and nowhere else."""
    store: Store = request.app.state.store
    try:
        token = store.people.sign_in_link(person.id)
    except Conflict as error:
        return _page(request, status=error.status, wrong=error.message)
    scheme = "https" if is_secure(request) else "http"
    return _page(request, link=link_to(f"{scheme}://{request.headers['host']}", token), linked=person)


def _page(request: Request, *, status: int = 200, **shown: Any) -> Response:
    store: Store = request.app.state.store
    context = {"email": "", "role": VIEWER, "problem": "", "wrong": "", "link": None, "linked": None} | shown
    return page(request, "people.html", status=status, people=store.people.list(), use=store.people.use(),
                roles=ROLES, **context)  # fmt: skip
