"""Who may read and change: every `/v1` question needs a read key, a change a secret one. The key says which app."""

from __future__ import annotations

from collections.abc import Set
from typing import Annotated, Literal

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tenure.control import keys
from tenure.control.actor import act_as
from tenure.control.store import Store
from tenure.errors import Unauthenticated
from tenure.ingest.keyring import Keyring
from tenure.mode import LIVE, app_of
from tenure.warehouse.client import Tenant, Warehouse

_bearer = HTTPBearer(auto_error=False, description="A read key (`rk_…`); to change something, a secret key (`sk_…`)")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Mode = Annotated[
    Literal["live", "test", "connected"],
    Query(description="Whose data: `live`; what was sent in `test` mode; or that of `connected` accounts of Stripe's"),
]


def tenant(request: Request, credentials: _Credentials, mode: Mode = "live") -> Tenant:
    """The warehouse as the app of the request's read key. Raises Unauthenticated and Forbidden."""
    return _of_kind(request, credentials, keys.READ, mode)


async def writer(request: Request, credentials: _Credentials, mode: Mode = "live") -> Tenant:
    """The warehouse as the app of the request's secret key, by which changes are from here on. Raises Unauthenticated
    and Forbidden."""
    found = await run_in_threadpool(_of_kind, request, credentials, keys.SECRET, mode)
    act_as_key(request, credentials)
    return found


def act_as_key(request: Request, credentials: HTTPAuthorizationCredentials | None) -> None:
    """What this request changes is done by its key. To be called in the request's own task: see `control.audit`."""
    key = "" if credentials is None else credentials.credentials
    act_as(f"key {keys.shown_prefix(key)}…", request.client.host if request.client else None)


def _of_kind(request: Request, credentials: HTTPAuthorizationCredentials | None, kind: str, mode: str) -> Tenant:
    if credentials is None:
        message = f"send the header Authorization: Bearer <{kind} key>"
        raise Unauthenticated(message, code="missing_key", field="Authorization")
    return reader(request, credentials.credentials, {kind}, mode)


def reader(request: Request, key: str | None, kinds: Set[str], mode: str = LIVE) -> Tenant:
    """The warehouse as the app of a key of one of these kinds. Raises Unauthenticated and Forbidden."""
    keyring: Keyring = request.app.state.keyring
    warehouse: Warehouse = request.app.state.warehouse
    store: Store = request.app.state.store
    app = app_of(keyring.authenticate(key or "", kinds).app, mode)
    if mode != LIVE and keys.SECRET in kinds:
        store.add_mode_apps({app})  # what is changed may be kept under it
    request.state.incomplete = [incident.id for incident in store.incidents.incomplete(app)]
    return warehouse.tenant(app, store.erasures.hidden(app))


Reader = Annotated[Tenant, Depends(tenant)]
Writer = Annotated[Tenant, Depends(writer)]
