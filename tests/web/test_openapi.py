"""The OpenAPI document says what the server does: every example in it is sent, and answered as it says."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tenure.web.ingest_routes import ANYTHING, ROUTES
from tenure.wire import registry
from tests.harness import Server

Keys = dict[str, str]


def headers(path: str, keys: Keys) -> dict[str, str]:
    if path == "/v1/api/events/browser":
        return {"x-ck-app": keys["app"]}
    if path.startswith("/v1/api/"):
        return {"x-ck-app": keys["app"], "x-ck-api-key": keys["secret_key"]}
    if path == "/api/tracker/track":
        return {"customerscore-key": keys["secret_key"]}
    return {"X-API-Key": keys["secret_key"]}


def assert_alike(found: Any, told: Any) -> None:
    """Equal, but for what differs from time to time, and for fields beyond those told."""
    if told == ANYTHING:
        assert isinstance(found, str)
        assert found
    elif isinstance(told, dict):
        assert isinstance(found, dict)
        for name, value in told.items():
            assert_alike(found[name], value)
    elif isinstance(told, list):
        assert len(found) == len(told)
        for one, other in zip(found, told, strict=True):
            assert_alike(one, other)
    else:
        assert found == told


def test_the_document_is_valid_openapi(server: Server) -> None:
    """A validator of the specification finds nothing."""
    validate(server.http.get("/openapi.json").json())


def test_every_ingest_route_is_described() -> None:
    """No route lacks its schema and example, and none is described that is not there."""
    assert set(ROUTES) == set(registry.ALL_PATHS)


@pytest.mark.parametrize("path", ROUTES)
def test_an_example_is_what_its_schema_says(path: str) -> None:
    """Each example is valid under its own schema."""
    Draft202012Validator(ROUTES[path].schema).validate(ROUTES[path].example)


@pytest.mark.parametrize("path", ROUTES)
def test_an_example_works_as_it_stands(server: Server, keys: Keys, path: str) -> None:
    """Each example, sent with its own keys, is answered as the document says."""
    document = server.http.get("/openapi.json").json()["paths"][path]
    operation = registry.find(path, {})
    assert operation is not None
    described = document[operation.method.lower()]
    body = described["requestBody"]["content"]["application/json"]["example"]
    if "trackerKey" in body:
        body["trackerKey"] = keys["tracker_key"]
    target = path.replace("{slug}", "my-saas").replace("{app}", keys["app"])
    if "{churn_event_id}" in path:
        flow = ROUTES["/api/v1/cancel-flow/submit"].example
        submitted = server.http.post("/api/v1/cancel-flow/submit", headers=headers(path, keys), json=flow)
        target = target.replace("{churn_event_id}", submitted.json()["churn_event_id"])
    answer = server.http.request(operation.method, target, headers=headers(path, keys), json=body)
    assert 200 <= answer.status_code < 300, answer.text
    assert_alike(answer.json(), described["responses"]["2XX"]["content"]["application/json"]["example"])
