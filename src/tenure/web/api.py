"""The read API under `/v1`, and the operator's endpoints."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from tenure import __version__
from tenure.control.store import Store
from tenure.customers.customer import find_customer
from tenure.customers.receipts import find_receipt, find_receipt_of_all_modes, reinstate
from tenure.customers.timeline import MAX_LIMIT, timeline
from tenure.errors import BadRequest, Refused
from tenure.ingest.intake import Intake
from tenure.metrics.estimator import Estimator
from tenure.mode import LIVE
from tenure.warehouse.client import Warehouse
from tenure.watch import Watch
from tenure.web import scripts
from tenure.web.access import Mode, Reader, Writer
from tenure.web.answer import about, error_response, json_response
from tenure.web.attributes import add_attributes
from tenure.web.churn import add_churn
from tenure.web.customer import add_customer
from tenure.web.customers import add_customers
from tenure.web.erasure import add_erasure
from tenure.web.events import add_events
from tenure.web.head import HeadAsGet
from tenure.web.health import add_health
from tenure.web.identifier_path import KeepSlashes
from tenure.web.identity import add_identity
from tenure.web.incomplete import TellIncomplete
from tenure.web.metrics import add_metrics
from tenure.web.mrr_rules import add_mrr_rules
from tenure.web.openapi import describe
from tenure.web.operating import add_operating
from tenure.web.parameters import AsOf, moment
from tenure.web.safe_headers import SafeHeaders
from tenure.web.strict_parameters import refuse_unknown_parameters
from tenure.web.subscriptions import add_subscriptions
from tenure.web.survival import add_survival

STATIC = resources.files("tenure.web").joinpath("static")
SWAGGER = resources.files("fastapi_swagger").joinpath("resources")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
}


def build(intake: Intake, store: Store, warehouse: Warehouse, watch: Watch) -> FastAPI:
    """The application for everything that is not an ingest route."""
    api = FastAPI(
        title="Tenure",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown_parameters)],
    )
    api.state.keyring = intake.keyring
    api.state.store = store
    api.state.warehouse = warehouse
    api.state.estimator = Estimator()
    api.state.journals = intake.journal.journal.directory
    api.state.intake = intake
    api.state.watch = watch
    _add_errors(api)
    api.add_middleware(SafeHeaders, headers=SECURITY_HEADERS)
    api.add_middleware(TellIncomplete)
    api.add_middleware(KeepSlashes)
    api.add_middleware(HeadAsGet)
    _add_reading(api)
    add_events(api)
    add_churn(api)
    add_attributes(api)
    add_identity(api)
    add_erasure(api)
    add_subscriptions(api)
    add_health(api)
    add_customers(api)
    add_mrr_rules(api)
    add_metrics(api)
    add_survival(api)
    add_customer(api)  # the last: its path takes whatever the others leave
    add_operating(api)
    _add_static(api)
    scripts.add(api)
    api.openapi = lambda: describe(api)  # type: ignore[method-assign]
    return api


def _add_reading(api: FastAPI) -> None:
    store: Store = api.state.store
    warehouse: Warehouse = api.state.warehouse
    journals: Path = api.state.journals

    @api.get(
        "/v1/customers/{customer_id:identifier}/timeline", tags=["read"], summary="A customer's events, newest first"
    )
    def customer_timeline(  # noqa: PLR0917 - query parameters, which are sent by name
        tenant: Reader,
        customer_id: str,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
        name: Annotated[str | None, Query(description="Only events of this name")] = None,
        since: Annotated[str | None, Query(description="Only events at or after this time (ISO 8601)")] = None,
        until: Annotated[str | None, Query(description="Only events before this time (ISO 8601)")] = None,
        as_of: AsOf = None,
    ) -> Response:
        """`customer_id` is any identifier of theirs; `kind:value` (kinds customer_id, uid, billing_id, email,
        anonymous_id) says which one is meant where a bare one is not clear."""
        at = moment("as_of", as_of)
        customer = find_customer(tenant, store, customer_id, at)
        page = timeline(tenant, customer, limit=limit, cursor=cursor, name=name, since=moment("since", since),
                        until=moment("until", until), as_of=at)  # fmt: skip
        return about(customer, page)

    @api.get("/v1/receipts/{receipt}", tags=["read"], summary="What became of a request")
    def receipt(tenant: Reader, receipt: str, mode: Mode = "live") -> Response:
        """`receipt` is what the header `Tenure-Receipt` said: pending, stored, duplicate (of which), quarantined
        or rejected (why), for each element of the request, of whatever mode."""
        if mode != LIVE:
            return json_response(find_receipt(tenant, store.erasures, journals, receipt))
        return json_response(find_receipt_of_all_modes(warehouse, store, journals, tenant.app, receipt))

    @api.post("/v1/receipts/{receipt}/reinstate", tags=["read"], summary="Store what was taken for a retry")
    def reinstate_receipt(
        tenant: Writer,
        receipt: str,
        index: Annotated[int | None, Query(ge=0, description="Only the element at this place of the request")] = None,
    ) -> Response:
        """With a secret key. Duplicates of this request whose `reason` is `retry_window` become events of their own.
        They are stored within seconds; asking again changes nothing."""
        return json_response(reinstate(tenant, store, journals, receipt, index))


def _add_static(api: FastAPI) -> None:
    @api.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        return FileResponse(str(STATIC.joinpath("docs.html")), media_type="text/html")

    api.mount("/static/swagger", StaticFiles(directory=str(SWAGGER)))
    api.mount("/static", StaticFiles(directory=str(STATIC)))


def _add_errors(api: FastAPI) -> None:
    @api.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return error_response(error)

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = str(first["loc"][-1])
        return error_response(BadRequest(f"{field}: {first['msg']}", field=field, code="invalid_parameter"))

    @api.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        messages = {404: ("not_found", "there is nothing at this path; `/docs` lists what there is")}
        code, message = messages.get(error.status_code, ("method_not_allowed", "this path does not take that method"))
        body = {"error": code, "message": message}
        return Response(msgspec.json.encode(body), error.status_code, error.headers, "application/json")

    @api.exception_handler(Exception)
    async def unforeseen(_: Request, __: Exception) -> Response:
        body = {"error": "internal_error", "message": "something failed here that should not have; see the logs"}
        return Response(msgspec.json.encode(body), 500, SECURITY_HEADERS, "application/json")
