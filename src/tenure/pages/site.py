"""The site: all pages in one application, with its errors as pages and the headers that keep it safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from tenure.control.store import Store
from tenure.errors import Refused, Unavailable
from tenure.ingest.intake import Intake
from tenure.live.follower import Follower
from tenure.metrics.estimator import Estimator
from tenure.pages.account import add_account
from tenure.pages.audit import add_audit
from tenure.pages.behind import add_behind
from tenure.pages.body_limit import BodyLimit
from tenure.pages.customer import add_customer
from tenure.pages.customers import add_customers
from tenure.pages.event import add_event
from tenure.pages.events import add_events
from tenure.pages.home import add_home
from tenure.pages.live import add_live
from tenure.pages.people import add_people
from tenure.pages.quarantine import add_quarantine
from tenure.pages.rendering import PREFIX, STATIC, page
from tenure.pages.retention import add_retention
from tenure.pages.revenue import add_revenue
from tenure.pages.session import SignInFirst, protect, visitor
from tenure.pages.settings import add_settings
from tenure.pages.sign_in import add_sign_in
from tenure.pages.start import add_start
from tenure.pages.welcome import add_welcome
from tenure.warehouse.client import Warehouse
from tenure.web.head import HeadAsGet
from tenure.web.identifier_path import KeepSlashes
from tenure.web.safe_headers import SafeHeaders
from tenure.web.strict_parameters import refuse_unknown_parameters

PATHS = ("/apps", "/settings", "/start", "/sign-in", "/sign-out", "/welcome", PREFIX)
"""Where pages are, beside `/` itself; everything else is the API's."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
}
YEAR_SECONDS = 31_536_000


def owns(path: str) -> bool:
    """Whether a path is one of the site's."""
    return path == "/" or path.startswith(tuple(f"{prefix}/" for prefix in PATHS)) or path in PATHS


def build(intake: Intake, store: Store, warehouse: Warehouse, follower: Follower) -> ASGIApp:
    """The application for every path that the site owns."""
    site = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(protect), Depends(refuse_unknown_parameters)],
    )
    site.state.store = store
    site.state.flags = ("saved",)
    site.state.warehouse = warehouse
    site.state.estimator = Estimator()
    site.state.keyring = intake.keyring
    site.state.intake = intake
    site.state.follower = follower
    site.state.journals = intake.journal.journal.directory
    _add_errors(site)
    add_home(site)
    add_customers(site)
    add_sign_in(site)
    add_start(site)
    add_settings(site)
    add_welcome(site)
    add_account(site)
    add_people(site)
    add_audit(site)
    add_events(site)
    add_event(site)
    add_customer(site)  # after all others under /customers
    add_live(site)
    add_quarantine(site)
    add_revenue(site)
    add_retention(site)
    add_behind(site)
    site.mount(PREFIX, _Assets(directory=Path(str(STATIC))))
    return HeadAsGet(SafeHeaders(BodyLimit(KeepSlashes(GZipMiddleware(site, minimum_size=1_000))), HEADERS))


class _Assets(StaticFiles):
    """Files whose address changes with their content."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        if response.status_code == 200:
            response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
        return response


def _add_errors(site: FastAPI) -> None:
    @site.exception_handler(SignInFirst)
    async def sign_in_first(request: Request, _: SignInFirst) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        back = f"{request.scope['raw_path'].decode('latin-1').split('?')[0]}{query}"
        if request.method != "GET" or request.headers.get("HX-Request"):
            back = request.headers.get("HX-Current-URL", "/")
        target = f"/sign-in?{urlencode({'next': back})}"
        if request.headers.get("HX-Request"):
            return Response(status_code=204, headers={"HX-Redirect": target})
        return RedirectResponse(target, 303)

    @site.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return _error(request, error.status, error.message, retry=isinstance(error, Unavailable))

    @site.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _error(request, 400, f"{first['loc'][-1]}: {first['msg']}")

    @site.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        await visitor(request)  # an address that is not there asked nobody who looks at it
        return _error(request, error.status_code, _MESSAGES.get(error.status_code, error.detail))

    @site.exception_handler(Exception)
    async def unforeseen(request: Request, _: Exception) -> Response:
        return _error(request, 500, "something failed here that should not have; the server's log says what")


_MESSAGES = {404: "there is no page at this address", 405: "this address does not take that"}


def _typed(request: Request) -> list[tuple[str, str]]:
    """What was typed into the form that was sent, so that it can be sent again; nothing of a form with a secret."""
    form = getattr(request, "_form", None)  # read already, to see that the form is ours
    fields = [] if form is None else [(name, value) for name, value in form.multi_items() if name != "csrf"]
    if any(not isinstance(value, str) or name in _SECRET_FIELDS for name, value in fields):
        return []
    return fields


_SECRET_FIELDS = frozenset({"password", "current", "key", "secret", "token"})
_TITLES = {400: "That does not work", 403: "Not allowed", 404: "Not found", 413: "Too much", 503: "Not now"}


def _error(request: Request, status: int, message: str, *, retry: bool = False) -> Response:
    part = bool(request.headers.get("HX-Request"))
    title = _TITLES.get(status, "Something went wrong")
    typed = _typed(request) if retry and not part else []
    shown: dict[str, Any] = {"title": title, "message": message, "retry": retry, "typed": typed}
    return page(request, "_error.html" if part else "error.html", status=status, **shown)
