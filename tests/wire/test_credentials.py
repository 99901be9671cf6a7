"""Which headers carry the keys, and what a request without them is told."""

from __future__ import annotations

import pytest

from tenure.errors import Unauthenticated
from tenure.wire import registry
from tenure.wire.dialect import Credentials, Operation

CHURNKEY = "/v1/api/events/new"
CUSTOMERSCORE = "/api/tracker/track"
BEARER_PATHS = ["/api/v1/track", "/v1/events/batch", "/v1/events/track", "/v1/identify"]


def operation(path: str) -> Operation:
    found = registry.find(path, {})
    assert found is not None
    return found


def refusal(path: str, headers: dict[str, str]) -> str:
    with pytest.raises(Unauthenticated) as refused:
        operation(path).credentials(headers)
    return refused.value.message


@pytest.mark.rule("key-headers", "churnkey")
def test_churnkey_takes_the_key_and_the_app() -> None:
    """Both headers are read, without the spaces around them."""
    found = operation(CHURNKEY).credentials({"x-ck-api-key": " key ", "x-ck-app": "app"})
    assert found == Credentials("key", "app")


@pytest.mark.rule("missing-key", "churnkey")
@pytest.mark.rule("axios-hint", "churnkey")
@pytest.mark.rule("keys-not-echoed", "churnkey")
@pytest.mark.parametrize(
    ("headers", "missing"),
    [
        ({}, "Missing header: x-ck-api-key and x-ck-app."),
        ({"x-ck-app": "app"}, "Missing header: x-ck-api-key."),
        ({"x-ck-api-key": "sk_secret"}, "Missing header: x-ck-app."),
        ({"x-ck-api-key": "sk_secret", "x-ck-app": "  "}, "Missing header: x-ck-app."),
    ],
)
def test_churnkey_names_the_missing_header_and_axios(headers: dict[str, str], missing: str) -> None:
    """The vendor's sample sends none with axios, so the message says which is missing and how to send it."""
    message = refusal(CHURNKEY, headers)
    assert message.startswith(missing)
    assert "axios" in message
    assert "{ headers: headers }" in message
    assert "sk_secret" not in message


@pytest.mark.rule("key-headers")
@pytest.mark.parametrize("path", BEARER_PATHS)
def test_key_in_either_header(path: str) -> None:
    """Windback and Whisperr take X-API-Key first, and Authorization: Bearer in any case."""
    read = operation(path).credentials
    assert read({"x-api-key": "key"}) == Credentials("key")
    assert read({"authorization": "bearer  key"}) == Credentials("key")
    assert read({"x-api-key": "first", "authorization": "Bearer second"}) == Credentials("first")
    assert read({"x-api-key": "", "authorization": "Bearer second"}) == Credentials("second")


@pytest.mark.rule("missing-key")
@pytest.mark.parametrize("path", BEARER_PATHS)
@pytest.mark.parametrize("headers", [{}, {"x-api-key": " "}, {"authorization": ""}])
def test_no_key_names_both_headers(path: str, headers: dict[str, str]) -> None:
    """Without a key the message names both headers that could carry it."""
    message = refusal(path, headers)
    assert "X-API-Key" in message
    assert "Authorization" in message


@pytest.mark.rule("keys-not-echoed", "windback")
@pytest.mark.parametrize("value", ["sk_live_secret", "Basic sk_live_secret", "Bearer", "Bearer "])
def test_other_authorization_says_what_it_must_be(value: str) -> None:
    """An Authorization header of another form is named, and its key is not echoed."""
    message = refusal("/api/v1/track", {"authorization": value})
    assert "Bearer" in message
    assert "sk_live_secret" not in message


@pytest.mark.rule("key-headers", "customerscore")
@pytest.mark.rule("missing-key", "customerscore")
def test_customerscore_takes_its_own_header() -> None:
    """The token is in customerscore-key, which the message names when it is missing."""
    assert operation(CUSTOMERSCORE).credentials({"customerscore-key": "key"}) == Credentials("key")
    assert "customerscore-key" in refusal(CUSTOMERSCORE, {"x-api-key": "key"})
