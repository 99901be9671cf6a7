"""What holds for every request of the API and the pages: HEAD, slashes, parameters, and what browsers ask first."""

from __future__ import annotations

import pytest

from tests.harness import Server

Keys = dict[str, str]

READ = ["/v1/customers", "/v1/events", "/v1/metrics/mrr?from=2026-01-01&to=2026-01-31"]
PUBLIC = ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/welcome/nothing", "/sign-in"]


def bearer(keys: Keys) -> dict[str, str]:
    return {"Authorization": f"Bearer {keys['read_key']}"}


@pytest.mark.parametrize("path", READ + PUBLIC)
def test_head_answers_as_get_does_without_a_body(server: Server, shared_keys: Keys, path: str) -> None:
    """The same status and type; monitors and proxies ask so."""
    asked, head = (server.http.request(method, path, headers=bearer(shared_keys)) for method in ("GET", "HEAD"))
    assert (head.status_code, head.headers.get("content-type")) == (
        asked.status_code,
        asked.headers.get("content-type"),
    )
    assert asked.status_code != 405
    assert head.content == b""


def test_head_of_a_path_that_takes_events_is_refused(server: Server) -> None:
    """GET is, too."""
    assert server.http.head("/v1/ingest").status_code == 405


@pytest.mark.parametrize("path", ["//v1/customers", "///v1/customers", "//healthz"])
def test_a_base_url_may_end_with_a_slash(server: Server, shared_keys: Keys, path: str) -> None:
    """A client joins it with a path that begins with one."""
    assert server.http.get(f"{server.url}{path}", headers=bearer(shared_keys)).status_code == 200


def test_events_are_taken_at_a_base_url_that_ends_with_a_slash(server: Server, shared_keys: Keys) -> None:
    """And on the timeline of who did it."""
    event = {"event": "login", "customer_id": "slash", "message_id": "slash"}
    headers = {"X-API-Key": shared_keys["secret_key"]}
    answer = server.http.post(f"{server.url}//v1/ingest", headers=headers, json={"events": [event]})
    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("inactive-days=7", "unknown_parameter", "did you mean 'inactive_days'"),
        ("limitt=7", "unknown_parameter", "did you mean 'limit'"),
        ("LIMIT=7", "unknown_parameter", "did you mean 'limit'"),
        ("zzzzzzzz=7", "unknown_parameter", "it has active_days"),
        ("limit=7&limit=8", "repeated_parameter", "limit is given 2 times"),
        ("q=a&q=a", "repeated_parameter", "q is given 2 times"),
    ],
)
def test_a_parameter_that_would_be_ignored_is_refused(
    server: Server, shared_keys: Keys, query: str, code: str, says: str
) -> None:
    """Unknown or given twice: the answer would be to another question."""
    answer = server.http.get(f"/v1/customers?{query}", headers=bearer(shared_keys))
    assert (answer.status_code, answer.json()["error"]) == (400, code)
    assert says in answer.json()["message"]


def test_a_parameter_that_may_be_given_often_is_taken(server: Server, shared_keys: Keys) -> None:
    """Filters by attributes, each its own."""
    query = "attribute=plan:eq:pro&attribute=seats:gt:3"
    assert server.http.get(f"/v1/customers?{query}", headers=bearer(shared_keys)).status_code == 200


def test_a_path_without_parameters_takes_none(server: Server, shared_keys: Keys) -> None:
    """And says so."""
    answer = server.http.get("/v1/receipts/0190aaaa?full=1", headers=bearer(shared_keys))
    assert (answer.status_code, answer.json()["field"]) == (400, "full")


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/metrics/mrr"])
def test_a_currency_is_taken_in_either_case(server: Server, shared_keys: Keys, path: str) -> None:
    """Three letters, everywhere."""
    small, large = (
        server.http.get(f"{path}?currency={currency}", headers=bearer(shared_keys)) for currency in ("usd", "USD")
    )
    assert (small.status_code, small.json()) == (200, large.json())
    assert server.http.get(f"{path}?currency=us", headers=bearer(shared_keys)).status_code == 400


def preflight(server: Server, **asked: str) -> dict[str, str]:
    headers = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    headers |= {f"Access-Control-Request-{name}": value for name, value in asked.items()}
    answer = server.http.options("/v1/ingest", headers=headers)
    assert answer.status_code == 204
    return dict(answer.headers)


def test_a_preflight_allows_what_is_asked_for(server: Server) -> None:
    """Tools for tracing add headers to every request of a page; the browser would block it."""
    asked = "baggage,content-type,sentry-trace,traceparent,x-api-key,x-datadog-trace-id"
    assert preflight(server, Headers=asked)["access-control-allow-headers"] == asked
    assert "access-control-allow-private-network" not in preflight(server, Headers=asked)


def test_a_preflight_from_a_public_page_to_a_private_address_is_allowed(server: Server) -> None:
    """Tenure may stand in a private network."""
    found = preflight(server, **{"Private-Network": "true"})
    assert found["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("asked", ["", "a\tb", "x" * 5_000, "a;b"])
def test_a_preflight_that_asks_for_nonsense_is_told_the_usual(server: Server, asked: str) -> None:
    """What is no list of header names is not sent back."""
    assert "x-whisperr-sdk" in preflight(server, Headers=asked)["access-control-allow-headers"]
