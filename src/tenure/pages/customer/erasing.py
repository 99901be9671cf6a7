"""Taking all that is kept of a customer along, and having it erased; the certificate of an erasure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from tenure.control.erasures import PHASES
from tenure.control.store import Store
from tenure.customers.erasure import certificate, request_erasure
from tenure.customers.export import export
from tenure.errors import BadRequest, Refused
from tenure.pages.customer.asked import PATH, AskedFor, AskedToChange, part
from tenure.pages.of_app import AppPage
from tenure.pages.rendering import fragment, page
from tenure.warehouse.client import Warehouse


def add(site: FastAPI) -> None:
    """Put the part and the page of a certificate into the site."""
    store: Store = site.state.store
    journals: Path = site.state.journals
    warehouse: Warehouse = site.state.warehouse

    @site.get(f"{PATH}/export")
    def whole(asked: AskedFor) -> StreamingResponse:
        headers = {"Content-Disposition": 'attachment; filename="customer.zip"', "Cache-Control": "no-store"}
        pieces = export(asked.of.tenant, store, asked.customer)
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)

    @site.get(f"{PATH}/erase")
    def before(request: Request, asked: AskedFor) -> Response:
        return part(request, asked, "erase", "Export and erase", problem=None)

    @site.post(f"{PATH}/erase")
    def erase(
        request: Request,
        asked: AskedToChange,
        confirmed: Annotated[str, Form()] = "",
        confirm: Annotated[str | None, Form()] = None,
    ) -> Response:
        try:
            if confirmed.strip() != asked.value.strip():
                raise BadRequest("what you typed is not this customer's identifier", field="confirmed")
            found = request_erasure(warehouse, store, journals, asked.of.app.id, asked.id, confirm or None)
        except Refused as error:
            return part(request, asked, "erase", "Export and erase", status=error.status, problem=error)
        return RedirectResponse(f"{asked.of.path}/erasures/{found.id}", 303)

    @site.get("/apps/{app}/erasures/{erasure_id}")
    def progress(request: Request, of: AppPage, erasure_id: str) -> Response:
        made = page if "HX-Request" not in request.headers else fragment
        template = "customer/_certificate.html" if made is fragment else "customer/certificate.html"
        found = certificate(store.erasures.find(of.app.id, erasure_id))
        return made(request, template, certificate=found, phases=PHASES)
