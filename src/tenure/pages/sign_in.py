"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse

from tenure.control.store import Store
from tenure.errors import RateLimited, Unauthenticated
from tenure.pages.rendering import page
from tenure.pages.session import SignedIn, forget, remember

MAX_PASSWORD = 1_024


def add_sign_in(site: FastAPI) -> None:
    """Put the pages into the site."""
    store: Store = site.state.store

    @site.get("/sign-in")
    def form(request: Request, next: str = "/") -> Response:
        return page(request, "sign_in.html", next=own_path(next), email="", problem=None)

    @site.post("/sign-in")
    def sign_in(
        request: Request,
        email: Annotated[str, Form(max_length=320)],
        password: Annotated[str, Form(max_length=MAX_PASSWORD)],
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        try:
            person = store.people.check_password(email, password)
        except (Unauthenticated, RateLimited) as error:
            return page(request, "sign_in.html", status=error.status, next=own_path(next), email=email,
                        problem=error.message)  # fmt: skip
        response = RedirectResponse(own_path(next), 303)
        remember(request, response, store.people.open_session(person, request.headers.get("User-Agent", "")))
        return response

    @site.post("/sign-out")
    def sign_out(request: Request, visitor: SignedIn) -> Response:
        store.people.end_session(visitor.session)
        response = RedirectResponse("/sign-in", 303)
        forget(request, response)
        return response


def own_path(text: str) -> str:
    """A path of this site to go to, and never another site: what is none of ours becomes `/`."""
    is_path = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_path else "/"
