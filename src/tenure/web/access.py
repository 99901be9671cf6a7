"""Who may read: every `/v1` question needs a read key, which also says of which app."""

from __future__ import annotations

from collections.abc import Set
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tenure.control import keys
from tenure.control.store import Store
from tenure.errors import Unauthenticated
from tenure.ingest.keyring import Keyring
from tenure.warehouse.client import Tenant, Warehouse

_bearer = HTTPBearer(auto_error=False, description="A read key (`rk_…`)")


def tenant(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Tenant:
    """The warehouse as the app of the request's read key. Raises Unauthenticated and Forbidden."""
    if credentials is None:
        raise Unauthenticated(
            "send the header Authorization: Bearer <read key>", code="missing_key", field="Authorization"
        )
    return reader(request, credentials.credentials, {keys.READ})


def reader(request: Request, key: str | None, kinds: Set[str]) -> Tenant:
    """The warehouse as the app of a key of one of these kinds. Raises Unauthenticated and Forbidden."""
    keyring: Keyring = request.app.state.keyring
    warehouse: Warehouse = request.app.state.warehouse
    store: Store = request.app.state.store
    app = keyring.authenticate(key or "", kinds).app
    return warehouse.tenant(app, store.erasures.hidden(app))


Reader = Annotated[Tenant, Depends(tenant)]
