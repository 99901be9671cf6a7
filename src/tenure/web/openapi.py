"""The OpenAPI document: what FastAPI knows, with our result schemas and the ingest routes put in."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tenure.churn_event import ChurnEvent
from tenure.customers.attributes import CustomerAttributes
from tenure.customers.catalogue import EventNames
from tenure.customers.erasure import Certificate
from tenure.customers.identity import Identity
from tenure.customers.listing import Customers
from tenure.customers.receipts import Receipt, Reinstatement
from tenure.customers.timeline import Page
from tenure.customers.users import OneUser, Users
from tenure.customers.view import CustomerView
from tenure.health.score import Health
from tenure.metrics.answers import ChurnAnswer, Mrr, MrrRules
from tenure.web.churn import ChurnEvents
from tenure.web.events import OneEvent
from tenure.web.health import AppSignals
from tenure.web.identity import Large, Linked, Merged, Split
from tenure.web.ingest_routes import ROUTES
from tenure.wire import registry
from tenure.wire.dialect import APP_ID, Operation

RESULTS = {
    "/v1/customers": Customers,
    "/v1/customers/{customer_id}": CustomerView,
    "/v1/customers/{customer_id}/identity": Identity,
    "/v1/customers/{customer_id}/timeline": Page,
    "/v1/customers/{customer_id}/churn-events": ChurnEvents,
    "/v1/customers/{customer_id}/attributes": CustomerAttributes,
    "/v1/customers/{customer_id}/health": Health,
    "/v1/customers/{customer_id}/users": Users,
    "/v1/customers/{customer_id}/users/{user_id}": OneUser,
    "/v1/churn-events/{churn_event_id}": ChurnEvent,
    "/api/v1/projects/{slug}/churn-events/{churn_event_id}": ChurnEvent,
    "/v1/events": EventNames,
    "/v1/events/{name}": OneEvent,
    "/v1/signals": AppSignals,
    "/v1/receipts/{receipt}": Receipt,
    "/v1/erasures/{erasure_id}": Certificate,
    "/v1/metrics/mrr": Mrr,
    "/v1/metrics/churn": ChurnAnswer,
    "/v1/metrics/rules": MrrRules,
}
CHANGES = {
    "/v1/links": Linked,
    "/v1/receipts/{receipt}/reinstate": Reinstatement,
    "/v1/identifiers/large": Large,
    "/v1/customers/{customer_id}/merge": Merged,
    "/v1/customers/{customer_id}/split": Split,
}
SETTINGS = {"/v1/metrics/rules": MrrRules, "/v1/signals": AppSignals}
"""What is answered to GET, to POST where it is no ingest route, and to PUT."""


CREDENTIALS = {
    "api_key": "X-API-Key",
    "churnkey_key": "x-ck-api-key",
    "churnkey_app": "x-ck-app",
    "customerscore_key": "customerscore-key",
    "stripe_signature": "Stripe-Signature",
}
"""Headers that ingest takes credentials from, beside `Authorization: Bearer`."""


def describe(api: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if api.openapi_schema is None:
        document = get_openapi(title=api.title, version=api.version, routes=api.routes)
        _add_results(document)
        _add_ingest(document)
        api.openapi_schema = document
    return api.openapi_schema


def _add_results(document: dict[str, Any]) -> None:
    results = [("get", *result) for result in RESULTS.items()] + [("post", *result) for result in CHANGES.items()]
    results += [("put", *result) for result in SETTINGS.items()]
    schemas, components = msgspec.json.schema_components(
        [result for _, _, result in results], ref_template="#/components/schemas/{name}"
    )
    document.setdefault("components", {}).setdefault("schemas", {}).update(components)
    for (method, path, _), schema in zip(results, schemas, strict=True):
        document["paths"][path][method]["responses"]["200"]["content"] = {"application/json": {"schema": schema}}


def _add_ingest(document: dict[str, Any]) -> None:
    schemes = document["components"].setdefault("securitySchemes", {})
    for name, header in CREDENTIALS.items():
        schemes[name] = {"type": "apiKey", "in": "header", "name": header}
    for path, route in ROUTES.items():
        operation = registry.find(path, {})
        assert operation is not None
        document["paths"].setdefault(path, {})[operation.method.lower()] = {
            "tags": [f"ingest: {operation.dialect}"],
            "summary": route.summary,
            "security": _security(operation),
            "parameters": [
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"\{(\w+)\}", path)
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": route.schema, "example": route.example}},
            },
            "responses": {
                "2XX": {
                    "description": "Durable on disk.",
                    "headers": {"Tenure-Receipt": {"schema": {"type": "string"}, "description": "See /v1/receipts."}},
                    "content": {"application/json": {"example": route.answer}},
                },
                "4XX": {"description": "Refused: `error` and `message` say why, `field` and `index` where."},
                "429": {"description": "Over the app's limit; `Retry-After` says in how many seconds it will pass."},
                "503": {"description": "Cannot be taken now; `Retry-After` says when to try again."},
            },
        }


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """The headers that this operation's dialect takes its credentials from."""
    if operation.key_kinds == APP_ID:
        return [{"churnkey_app": []}]
    if operation.dialect == "churnkey":
        return [{"churnkey_key": [], "churnkey_app": []}]
    if operation.dialect == "customerscore":
        return [{"customerscore_key": []}]
    if operation.dialect == "stripe":
        return [{"stripe_signature": []}, {"api_key": []}, {"HTTPBearer": []}]
    return [{"api_key": []}, {"HTTPBearer": []}]
