"""Erasing a customer, the certificate of it, and the export of all that is kept of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tenure.control import keys
from tenure.control.store import Store
from tenure.customers.customer import find_only
from tenure.customers.erasure import certificate, other_modes, request_erasure, requested
from tenure.customers.export import export
from tenure.errors import Unauthenticated
from tenure.warehouse.client import Tenant, Warehouse
from tenure.web.access import Mode, Reader, act_as_key, reader
from tenure.web.answer import json_response

_bearer = HTTPBearer(auto_error=False, scheme_name="SecretKey", description="A secret key (`sk_…`)")
_Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def _owner(request: Request, credentials: _Given, mode: Mode = "live") -> Tenant:
    found = await run_in_threadpool(_tenant, request, credentials, {keys.SECRET}, mode)
    act_as_key(request, credentials)
    return found


def _owner_or_reader(request: Request, credentials: _Given, mode: Mode = "live") -> Tenant:
    return _tenant(request, credentials, {keys.SECRET, keys.READ}, mode)


def _tenant(request: Request, credentials: HTTPAuthorizationCredentials | None, kinds: set[str], mode: str) -> Tenant:
    if credentials is None:
        raise Unauthenticated("send the header Authorization: Bearer <key>", code="missing_key", field="Authorization")
    return reader(request, credentials.credentials, kinds, mode)


def add_erasure(api: FastAPI) -> None:
    """Put the routes into the application."""
    store: Store = api.state.store
    journals: Path = api.state.journals
    warehouse: Warehouse = api.state.warehouse

    @api.delete("/v1/customers/{customer_id:identifier}", tags=["erase"], summary="Erase a customer", status_code=202)
    def erase(
        tenant: Annotated[Tenant, Depends(_owner)], customer_id: str, confirm: Annotated[str | None, Query()] = None
    ) -> Response:
        """An erasure that covers two or more customer ids, uids or billing ids answers 409 with the list of what it
        covers and its `digest`, and changes nothing; it is done with `?confirm=` that digest. Gone from every
        answer within a second and from every file within minutes; the certificate tells. Old events that are sent
        again stay erased; what happens from now on is a new customer's. A bare id that several customers have is
        refused (409), with each as `kind:value`. `canonical` says who it is: here alone. `also_in` names other modes
        that keep something under the same identifiers: erase them there too, with `?mode=`."""
        asked = request_erasure(warehouse, store, journals, tenant.app, customer_id, confirm)
        response = json_response(requested(asked, asked.identifiers[0], other_modes(warehouse, store, asked)))
        response.status_code = 202
        response.headers["Location"] = f"/v1/erasures/{asked.id}"
        return response

    @api.get("/v1/erasures/{erasure_id}", tags=["erase"], summary="The certificate of an erasure")
    def one(tenant: Annotated[Tenant, Depends(_owner_or_reader)], erasure_id: str) -> Response:
        """What was removed and when; complete when `state` is `done`. It never names the customer."""
        return json_response(certificate(store.erasures.find(tenant.app, erasure_id)))

    @api.get(
        "/v1/customers/{customer_id:identifier}/export",
        tags=["read"],
        summary="All that is kept of a customer",
        response_class=StreamingResponse,
    )
    def whole(tenant: Reader, customer_id: str) -> StreamingResponse:
        """A zip with `manifest.json` and a file of JSON Lines for each kind of record."""
        pieces = export(tenant, store, find_only(tenant, store, customer_id))
        headers = {"Content-Disposition": 'attachment; filename="customer.zip"', "Cache-Control": "no-store"}
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)
