"""The OpenAPI document: what FastAPI knows, with our result schemas and the ingest routes put in."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tenure.churn_event import ChurnEvent
from tenure.customers.receipts import Receipt
from tenure.customers.timeline import Page
from tenure.web.churn import ChurnEvents
from tenure.wire import registry

RESULTS = {
    "/v1/customers/{customer_id}/timeline": Page,
    "/v1/customers/{customer_id}/churn-events": ChurnEvents,
    "/v1/churn-events/{churn_event_id}": ChurnEvent,
    "/api/v1/projects/{slug}/churn-events/{churn_event_id}": ChurnEvent,
    "/v1/receipts/{receipt}": Receipt,
}


def describe(api: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if api.openapi_schema is None:
        document = get_openapi(title=api.title, version=api.version, routes=api.routes)
        _add_results(document)
        _add_ingest(document)
        api.openapi_schema = document
    return api.openapi_schema


def _add_results(document: dict[str, Any]) -> None:
    schemas, components = msgspec.json.schema_components(
        list(RESULTS.values()), ref_template="#/components/schemas/{name}"
    )
    document.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for (path, _), schema in zip(RESULTS.items(), schemas, strict=True):
        document["paths"][path]["get"]["responses"]["200"]["content"] = {"application/json": {"schema": schema}}


def _add_ingest(document: dict[str, Any]) -> None:
    for path in registry.ALL_PATHS:
        operation = registry.find(path, {})
        assert operation is not None
        document["paths"].setdefault(path, {})["post"] = {
            "tags": [f"ingest: {operation.dialect}"],
            "summary": f"Send in {operation.dialect}'s dialect",
            "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
            "responses": {
                "2XX": {"description": "Durable on disk. `Tenure-Receipt` names the receipt."},
                "4XX": {"description": "Refused: `error` and `message` say why, `field` and `index` where."},
                "503": {"description": "Cannot be taken now; `Retry-After` says when to try again."},
            },
        }
