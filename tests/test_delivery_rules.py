"""Delivery, in every dialect: a request that is sent again, that cannot be kept, and what is known of its sender."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.endpoints import ENDPOINTS, Endpoint, Keys, every_endpoint
from tests.harness import Server, create_app, whisperr_events

rule = pytest.mark.rule

TIMED = {
    "/v1/api/events/new": "eventDate",
    "/v1/api/events/bulk": "eventDate",
    "/v1/api/events/browser": "eventDate",
    "/api/v1/track": "timestamp",
    "/api/tracker/track": "timestamp",
    "/v1/events/batch": "occurred_at",
    "/v1/ingest": "occurred_at",
}
"""Paths of events, and the field that an event's own time is in."""
every_path_of_events = pytest.mark.parametrize(
    "endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.path in TIMED], ids=str
)


def post(server: Server, keys: Keys, endpoint: Endpoint, body: bytes, **headers: str) -> httpx.Response:
    answer = server.http.post(endpoint.path, headers=endpoint.headers(keys) | headers, content=body)
    assert answer.status_code == endpoint.status, answer.text
    return answer


def with_its_time(endpoint: Endpoint, keys: Keys) -> bytes:
    """The good body, whose event has a time of its own: now, with milliseconds."""
    body = json.loads(endpoint.content(keys))
    event = body[0] if isinstance(body, list) else body.get("events", [body])[0]
    now = datetime.now(UTC)
    as_number = endpoint.dialect == "customerscore"
    event[TIMED[endpoint.path]] = int(now.timestamp() * 1_000) if as_number else now.isoformat(timespec="milliseconds")
    return json.dumps(body).encode()


def stored(server: Server, keys: Keys) -> int:
    """How many events of the app are in the warehouse."""
    server.wait_loaded()
    return sum(row["count"] for row in server.read("/v1/events", keys)["items"])


@rule("retry")
@every_path_of_events
def test_same_request_again_and_at_once(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """Five times at once and once again later: one event, by its message id or by its content."""
    body = with_its_time(endpoint, keys)
    with ThreadPoolExecutor(5) as threads:
        list(threads.map(lambda _: post(server, keys, endpoint, body), range(5)))
    assert stored(server, keys) == 1
    post(server, keys, endpoint, body)
    assert stored(server, keys) == 1


@rule("idempotency-key")
@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if "update" not in one.path and one.path != "/v1/identify"], ids=str
)
def test_idempotency_key(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """Without a time too, two requests under one key are one event, and under two keys two, but for a message id."""
    headers = [{"Idempotency-Key": key} for key in ("k1", "k1", "k2")]
    answers = [post(server, keys, endpoint, endpoint.content(keys), **header) for header in headers]
    server.wait_loaded()
    receipts = [server.read(f"/v1/receipts/{answer.headers['tenure-receipt']}", keys) for answer in answers]
    outcomes = [[one["outcome"] for one in receipt["elements"] if one["kind"] == "event"] for receipt in receipts]
    again = "duplicate" if endpoint.dialect == "whisperr" else "stored"
    assert outcomes == [["stored"], ["duplicate"], [again]]


@rule("idempotency-key")
@every_endpoint
def test_longest_idempotency_key(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """255 characters are taken, one more is 400 and names the header; a blank one is none."""
    for taken in ("k" * 255, ""):
        post(server, shared_keys, endpoint, endpoint.content(shared_keys), **{"Idempotency-Key": taken})
    headers = endpoint.headers(shared_keys) | {"Idempotency-Key": "k" * 256}
    refused = server.http.post(endpoint.path, headers=headers, content=endpoint.content(shared_keys))
    message = "Idempotency-Key is over 255 characters"
    assert refused.status_code == 400
    assert refused.json() == endpoint.error("bad_request", message, field="Idempotency-Key")


@rule("verified", "windback", "whisperr", "native")
@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one.path in TIMED and one.key_headers[0][0] == "X-API-Key"], ids=str
)
def test_publishable_key_is_not_verified(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """The same event from a server and from a browser: the timeline tells them apart."""
    for number, kind in enumerate(("secret_key", "publishable_key")):
        name = endpoint.content(keys).replace(b"login", b"login_%d" % number).replace(b"m1", b"m-%d" % number)
        answer = server.http.post(endpoint.path, headers={"X-API-Key": keys[kind]}, content=name)
        assert answer.status_code == endpoint.status
    server.wait_loaded()
    customer = "jane@example.com" if endpoint.dialect == "windback" else "u1"
    items = server.read(f"/v1/customers/{customer}/timeline", keys)["items"]
    assert {(item["name"], item["verified"]) for item in items} == {("login_0", True), ("login_1", False)}


@rule("time-default")
@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one.path in TIMED and one.dialect != "customerscore"], ids=str
)
def test_time_of_receipt(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """An event without a time is on the timeline under the time of its receipt."""
    post(server, keys, endpoint, endpoint.content(keys))
    server.wait_loaded()
    customer = {"churnkey": "cus_abc", "windback": "jane@example.com"}.get(endpoint.dialect, "u1")
    (item,) = server.read(f"/v1/customers/{customer}/timeline", keys)["items"]
    assert item["occurred_at"] == item["received_at"]


@rule("unknown-fields", "churnkey", "windback", "customerscore")
@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one.path in TIMED and one.dialect not in ("whisperr", "native")], ids=str
)
def test_unknown_fields_come_back(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """A field that the dialect does not have is in the event's context, of whatever type; beside a Churnkey event
    without `eventData` it is event data."""
    body = json.loads(endpoint.content(keys))
    event = body[0] if isinstance(body, list) else body.get("events", [body])[0]
    event |= {"plan": "pro", "nested": {"list": [1, None]}}
    post(server, keys, endpoint, json.dumps(body).encode())
    server.wait_loaded()
    customer = "jane@example.com" if endpoint.dialect == "windback" else "cus_abc"
    (item,) = server.read(f"/v1/customers/{customer}/timeline", keys)["items"]
    kept = "properties" if endpoint.dialect == "churnkey" and "eventData" not in event else "context"
    assert item[kept] == {"plan": "pro", "nested": {"list": [1, None]}}


@rule("anonymous", "whisperr", "native")
@pytest.mark.parametrize("identify_first", [True, False])
@pytest.mark.parametrize("dialect", ["whisperr", "native"])
def test_events_before_login_follow_the_identify(
    server: Server, keys: Keys, dialect: str, identify_first: bool
) -> None:
    """Sent before or after the events, and again: the visitor's history is the user's. Whisperr's under any key."""
    if dialect == "native":
        identify: tuple[str, Any] = (
            "/v1/ingest",
            {"events": [{"uid": "u1", "anonymous_id": "a1", "traits": {"x": 1}}]},
        )
        visit: tuple[str, Any] = ("/v1/ingest", {"events": [{"event": "visited", "anonymous_id": "a1"}]})
    else:
        event = {"event_type": "visited", "anonymous_id": "a1", "context": {"$message_id": "m1"}}
        identify, visit = (
            ("/v1/identify", {"external_user_id": "u1", "anonymous_id": "a1"}),
            ("/v1/events/track", event),
        )
    key = keys["publishable_key" if dialect == "whisperr" else "secret_key"]
    for path, body in (identify, visit, identify) if identify_first else (visit, identify, identify):
        assert server.http.post(path, headers={"X-API-Key": key}, json=body).status_code == 202
    server.wait_loaded()
    for customer in ("u1", "a1"):
        (item,) = server.read(f"/v1/customers/{customer}/timeline", keys)["items"]
        assert (item["name"], item["anonymous_id"]) == ("visited", "a1")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Keys]]:
    """A server whose journal is full, because its loader stands still."""
    server = Server(
        tmp_path_factory.mktemp("full") / "data", {"TENURE_JOURNAL_MAX_MB": "1", "TENURE_HTTP_WORKERS": "1"}
    )
    server.start()
    keys = create_app(server.data)
    os.kill(server.roles()["loader"], signal.SIGSTOP)
    smallest = {"events": [{"event": "e", "uid": "u"}]}
    for path, body in (("/v1/events/batch", whisperr_events(0, 500)), ("/v1/ingest", smallest)):
        while server.http.post(path, headers={"X-API-Key": keys["secret_key"]}, json=body).status_code == 202:
            pass
    yield server, keys
    server.kill_tree()


@rule("overload")
@rule("error-body")
@every_endpoint
def test_full_journal_is_503(full: tuple[Server, Keys], endpoint: Endpoint) -> None:
    """What cannot be kept is refused with a time to come back, in the dialect's error shape, never taken half."""
    server, keys = full
    answer = server.http.post(endpoint.path, headers=endpoint.headers(keys), content=endpoint.content(keys))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json() == endpoint.error("journal_full", answer.json()["message"])


@rule("receipt")
@every_endpoint
def test_receipt_of_every_request(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """A receipt tells what became of a good request, and why a bad one was refused."""
    good = post(server, keys, endpoint, endpoint.content(keys)).headers["tenure-receipt"]
    bad = server.http.post(endpoint.path, headers=endpoint.headers(keys), content=b"{")
    server.wait_loaded()
    outcomes = {element["outcome"] for element in server.read(f"/v1/receipts/{good}", keys)["elements"]}
    assert outcomes == {"stored"}
    (element,) = server.read(f"/v1/receipts/{bad.headers['tenure-receipt']}", keys)["elements"]
    assert (element["outcome"], element["code"]) == ("rejected", "invalid_json")
