"""Who looks at a page: the session in a cookie, what it may do, and that a change comes from our own page."""

from __future__ import annotations

import hmac
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from tenure.control.actor import act_as
from tenure.control.people import SESSION_SECONDS, Person
from tenure.control.store import Store
from tenure.errors import Forbidden, TenureError

COOKIE = "tenure_session"
ZONE_COOKIE, THEME_COOKIE, APP_COOKIE = "tenure_zone", "tenure_theme", "tenure_app"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC = ("/sign-in", "/welcome")
"""Paths whose forms are sent without a session."""

NOBODY = "a visitor"
"""Who changes something before they are signed in."""

UTC = ZoneInfo("UTC")
_ZONES = available_timezones()


class Visitor(NamedTuple):
    """A person who is signed in. `csrf` is what each of their forms must bring along."""

    person: Person
    session: str
    """Its id, not the token."""
    csrf: str
    zone: ZoneInfo

    @property
    def is_admin(self) -> bool:
        """Whether they may change things."""
        return self.person.role == "admin"


class SignInFirst(TenureError):
    """A page that only those who are signed in can see."""


async def signed_in(request: Request) -> Visitor:
    """Who is signed in. Raises SignInFirst."""
    found = await visitor(request)
    if found is None:
        raise SignInFirst
    return found


async def admin(visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """The admin who is signed in. Raises SignInFirst and Forbidden."""
    if not visitor.is_admin:
        raise Forbidden("only an admin may do this; ask one, or ask to be made one", code="admins_only")
    return visitor


SignedIn = Annotated[Visitor, Depends(signed_in)]
Admin = Annotated[Visitor, Depends(admin)]


async def visitor(request: Request) -> Visitor | None:
    """Whose session the request's cookie names; looked up once a request, after which changes are theirs."""
    if not hasattr(request.state, "visitor"):
        request.state.visitor = await run_in_threadpool(_visitor, request)
    found: Visitor | None = request.state.visitor
    if found is not None:
        act_as(found.person.email, address=request.client.host if request.client else None)
    return found


def _visitor(request: Request) -> Visitor | None:
    store: Store = request.app.state.store
    token = request.cookies.get(cookie_name(request))
    session = store.people.session(token) if token else None
    if session is None:
        return None
    return Visitor(session.person, session.id, session.csrf, zone_of(request))


async def protect(request: Request) -> None:
    """Raises Forbidden for a change that no page of ours sent: another site's form, or a token that is not theirs."""
    if request.method in SAFE_METHODS:
        return
    if not _is_ours(request):
        raise Forbidden("this form was sent from another site; open the page here and send it again", code="cross_site")
    if request.url.path.startswith(PUBLIC):
        act_as(NOBODY, address=request.client.host if request.client else None)
        return
    found = await visitor(request)
    if found is None:
        raise SignInFirst
    sent = request.headers.get("X-CSRF-Token") or (await request.form()).get("csrf")
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), found.csrf.encode()):
        raise Forbidden("this form is too old; load the page again and send it again", code="wrong_csrf_token")


def _is_ours(request: Request) -> bool:
    """Whether a browser says that the request comes from a page of this host. Each browser says one of both."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("Host")


def cookie_name(request: Request) -> str:
    """Behind TLS a name that browsers take from this host alone, and over TLS alone."""
    return f"__Host-{COOKIE}" if is_secure(request) else COOKIE


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to the proxy before us."""
    return request.headers.get("X-Forwarded-Proto", request.url.scheme).split(",")[0].strip() == "https"


def remember(request: Request, response: Response, token: str) -> None:
    """Give the browser its session."""
    response.set_cookie(cookie_name(request), token, max_age=SESSION_SECONDS, path="/", secure=is_secure(request),
                        httponly=True, samesite="lax")  # fmt: skip


def remember_app(request: Request, response: Response, app_id: str) -> None:
    """The app that was looked at last is where the first page leads."""
    if request.cookies.get(APP_COOKIE) != app_id:
        response.set_cookie(APP_COOKIE, app_id, max_age=SESSION_SECONDS, path="/", secure=is_secure(request),
                            httponly=True, samesite="lax")  # fmt: skip


def forget(request: Request, response: Response) -> None:
    """Take the session out of the browser."""
    response.delete_cookie(cookie_name(request), path="/", secure=is_secure(request), httponly=True, samesite="lax")


def zone_of(request: Request) -> ZoneInfo:
    """The viewer's time zone, as the page's script found it; UTC before it has."""
    name = request.cookies.get(ZONE_COOKIE, "")
    return ZoneInfo(name) if name in _ZONES else UTC
