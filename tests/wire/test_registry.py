"""Finding the operation for a path."""

from __future__ import annotations

import json

import pytest

from tenure.errors import BadRequest, Forbidden
from tenure.wire import registry
from tenure.wire.dialect import Credentials

DIALECTS = {
    "/v1/api/events/new": "churnkey",
    "/v1/api/events/bulk": "churnkey",
    "/v1/api/events/customer-update": "churnkey",
    "/v1/api/events/customer-update/set-users": "churnkey",
    "/v1/api/events/customer-update/set-users/bulk": "churnkey",
    "/api/v1/track": "windback",
    "/api/tracker/track": "customerscore",
    "/v1/events/batch": "whisperr",
    "/v1/events/track": "whisperr",
    "/v1/identify": "whisperr",
    "/v1/api/events/browser": "churnkey",
    "/api/v1/cancel-flow/submit": "windback",
    "/v1/ingest": "native",
}
STRIPE_PATH = "/v1/billing/stripe/{app}"
PROJECT_PATHS = {
    "/api/v1/projects/acme/churn-events": ("/api/v1/projects/{slug}/churn-events", "POST"),
    "/api/v1/projects/a%20b/churn-events": ("/api/v1/projects/{slug}/churn-events", "POST"),
    "/api/v1/projects/acme/churn-events/ab12/cancel-reason": (
        "/api/v1/projects/{slug}/churn-events/{churn_event_id}/cancel-reason",
        "PATCH",
    ),
}


@pytest.mark.rule("paths", "all")
def test_all_paths_are_the_vendors_own() -> None:
    """The list of paths is complete and has nothing else."""
    assert set(registry.ALL_PATHS) == set(DIALECTS) | {path for path, _ in PROJECT_PATHS.values()} | {STRIPE_PATH}


@pytest.mark.parametrize(("path", "found"), PROJECT_PATHS.items())
def test_finds_what_is_under_a_project(path: str, found: tuple[str, str]) -> None:
    """Any slug will do, with and without a trailing slash."""
    for spelled in (path, path + "/"):
        operation = registry.find(spelled, {})
        assert operation is not None
        assert (operation.path, operation.method) == found


def test_finds_the_webhooks_of_an_app() -> None:
    """Which app is in the path, so that Stripe needs no header of ours; the credentials know it."""
    for path in ("/v1/billing/stripe/app_1", "/v1/billing/stripe/app_1/"):
        operation = registry.find(path, {})
        assert operation is not None
        assert operation.path == STRIPE_PATH
        assert operation.credentials({"stripe-signature": "t=1"}) == Credentials(None, "app_1", signature="t=1")
    assert registry.find("/v1/billing/stripe/", {}) is None
    assert registry.find("/v1/billing/stripe/a/b", {}) is None


@pytest.mark.rule("trailing-slash")
@pytest.mark.rule("paths")
@pytest.mark.parametrize(("path", "dialect"), DIALECTS.items())
def test_finds_with_and_without_a_trailing_slash(path: str, dialect: str) -> None:
    """Both forms of a path are the same operation, so that no redirect is needed."""
    operation = registry.find(path, {})
    assert operation is not None
    assert (operation.path, operation.dialect) == (path, dialect)
    assert registry.find(path + "/", {}) is operation


@pytest.mark.rule("paths", "all")
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/events",
        "/V1/IDENTIFY",
        "/v1/identify//",
        "/v1/identify/x",
        "/api/v1/projects//churn-events",
        "/api/v1/projects/a/b/churn-events",
        "/api/v1/projects/a/churn-events/x/generate",
    ],
)
def test_finds_nothing_elsewhere(path: str) -> None:
    """Another path is no operation."""
    assert registry.find(path, {}) is None


@pytest.mark.rule("older-path", "churnkey")
def test_the_older_churnkey_client_is_told_by_its_header() -> None:
    """/v1/events/track is Churnkey's when x-ck-api-key is there; no other path goes by it."""
    headers = {"x-ck-api-key": "key"}
    older = registry.find("/v1/events/track/", headers)
    assert older is not None
    assert older.dialect == "churnkey"
    assert older.key_kinds == {"secret"}
    other = registry.find("/v1/identify", headers)
    assert other is not None
    assert other.dialect == "whisperr"


@pytest.mark.rule("error-place")
@pytest.mark.parametrize("path", ["/v1/api/events/new", "/api/v1/track", "/api/tracker/track"])
def test_error_body_has_the_field_and_index_when_known(path: str) -> None:
    """Churnkey, Windback and Customerscore share one flat error body."""
    operation = registry.find(path, {})
    assert operation is not None
    refused = BadRequest("event is required.", code="missing_field", field="event", index=3)
    assert json.loads(operation.error(refused)) == {
        "error": "missing_field",
        "message": "event is required.",
        "field": "event",
        "index": 3,
    }
    assert json.loads(operation.error(Forbidden("No."))) == {"error": "forbidden", "message": "No."}


@pytest.mark.rule("error-body")
@pytest.mark.parametrize("path", ["/v1/events/batch", "/v1/events/track", "/v1/identify"])
def test_whisperr_errors_have_the_vendors_shape_and_message(path: str) -> None:
    """Whisperr's error is an object, with the message also where other clients look."""
    operation = registry.find(path, {})
    assert operation is not None
    assert json.loads(operation.error(Forbidden("No."))) == {
        "error": {"code": "forbidden", "message": "No."},
        "message": "No.",
    }
