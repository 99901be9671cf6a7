"""What an app lets its senders do, on every ingest path of a real server: from which pages, and how often."""

from __future__ import annotations

import time

import pytest

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tests.connection import exchange, request
from tests.endpoints import Endpoint, Keys, every_endpoint
from tests.harness import Server, create_app

rule = pytest.mark.rule


@pytest.fixture(scope="module")
def keys_of_a_site(server: Server) -> Keys:
    """An app that takes events from pages of one origin alone; every worker knows it."""
    keys = create_app(server.data, "site")
    Store(connect(Settings.load({"data": server.data}, {}))).set_origins(keys["app"], ["https://app.example"])
    headers = {"X-API-Key": keys["secret_key"], "Origin": "https://evil.example"}
    deadline = time.monotonic() + 60  # a worker takes up a new rule within a second
    while server.http.post("/v1/ingest", json={}, headers=headers).status_code != 403:
        assert time.monotonic() < deadline
    return keys


@rule("allowed-origins")
@every_endpoint
def test_pages_of_other_origins(server: Server, keys_of_a_site: Keys, endpoint: Endpoint) -> None:
    """Pages of another origin are 403, readable for the page; its own pages and servers, which send none, are taken."""
    for origin, status in (({}, endpoint.status), ({"Origin": "https://app.example"}, endpoint.status),
                           ({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403)):  # fmt: skip
        headers = endpoint.headers(keys_of_a_site) | origin
        answer = exchange(server, request(endpoint.path, headers, endpoint.content(keys_of_a_site)))
        assert answer.status == status, origin
        assert "access-control-allow-origin" in answer.headers


@rule("rate-limit")
@rule("error-body")
@every_endpoint
def test_over_the_rate_limit_is_429(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """An app that limits a dialect to one request a minute: soon 429, with whole seconds to wait."""
    Store(connect(Settings.load({"data": server.data}, {}))).set_limit(keys["app"], endpoint.dialect, 1)
    sent = request(endpoint.path, endpoint.headers(keys), endpoint.content(keys))
    deadline = time.monotonic() + 60  # a worker takes up a new limit within a second
    refused = exchange(server, sent)
    while refused.status == endpoint.status and time.monotonic() < deadline:
        refused = exchange(server, sent)
    message = refused.json()["message"]
    assert (refused.status, refused.json()) == (429, endpoint.error("rate_limited", message))
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert "retry-after" in refused.headers["access-control-expose-headers"].lower()
