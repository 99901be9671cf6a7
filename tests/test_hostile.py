"""Ten bodies made to hurt, sent to every route of every dialect: never a 5xx, and the server goes on."""

from __future__ import annotations

import gzip
import json
import socket
from urllib.parse import quote

import pytest

from tests.harness import Server, whisperr_events

Keys = dict[str, str]

BODIES = {
    "nested_5000_deep": b'{"events":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "truncated": b'{"event": "a", "customer_email": "a@b',
    "not_utf8": b'{"event": "\xff\xfe"}',
    "lone_surrogates_and_nul": b'{"event":"\\ud800\\u0000","customer_email":"\\udfff@b.c","customerId":"\\u0000"}',
    "numbers_out_of_range": b'{"event":"a","customer_email":"a@b.c","timestamp":1e400,"eventDate":-9999999999999999}',
    "digits": b'{"event":"a","properties":{"n":' + b"9" * 100_000 + b"}}",
    "a_million_keys": b"{" + b",".join(b'"k%d":0' % n for n in range(400_000)) + b"}",
    "long_name": json.dumps({"event": "x" * 1_000_000, "customer_email": "a@b.c", "customerId": "c"}).encode(),
    "sql_and_markup": json.dumps(
        {"event": "'; DROP TABLE event; --", "customer_email": "a'\"@b.c", "customerId": "<script>alert(1)</script>\\"}
    ).encode(),
    "wrong_types": b'[null, true, 1.5, "text", [], {"event": [], "customerId": {}}]',
}
PATHS = [
    "/v1/api/events/new", "/v1/api/events/bulk", "/v1/api/events/customer-update", "/api/v1/track",
    "/api/tracker/track", "/v1/events/batch", "/v1/events/track", "/v1/identify",
]  # fmt: skip


def every_key(keys: Keys) -> dict[str, str]:
    """The headers of every dialect at once, save the pair that tells two of them apart."""
    return {"X-API-Key": keys["secret_key"], "customerscore-key": keys["secret_key"]}


@pytest.mark.parametrize("name", BODIES)
def test_hostile_body_never_breaks_a_route(server: Server, keys: Keys, name: str) -> None:
    """Each is taken or refused with a JSON error; the timeline still works afterwards."""
    for path in PATHS:
        headers = every_key(keys)
        if "/api/events/" in path:
            headers |= {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
        answer = server.http.post(path, headers=headers, content=BODIES[name])
        assert answer.status_code in (200, 202, 400, 413), (path, answer.status_code, answer.text[:200])
        if answer.status_code >= 400:
            assert answer.json()["message"]
    server.http.post("/v1/events/batch", headers=every_key(keys), json=whisperr_events(0, 1))
    server.wait_loaded()
    assert server.read("/v1/customers/user_0/timeline", keys)["items"]


def test_hostile_names_come_back_as_they_were_sent(server: Server, keys: Keys) -> None:
    """Quotes, markup, NUL and every plane of Unicode are data: stored and found, never run."""
    identifier = "x' OR 1=1 --\u0000<b>\\'\"é漢🙂%2f../"
    event = {"event": identifier, "uid": identifier, "eventDate": 1_700_000_000, "eventData": {identifier: identifier}}
    headers = {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
    assert server.http.post("/v1/api/events/new", headers=headers, json=event).status_code == 200
    server.wait_loaded()
    assert [row["name"] for row in server.read("/v1/events", keys)["items"]] == [identifier]


@pytest.mark.parametrize(
    "identifier", ["a/b", "/", "//x", "a/timeline", "..", "%2f", "?#", "\u0000", "🙂", "a b", "uid:x"]
)
def test_any_identifier_can_be_read(server: Server, keys: Keys, identifier: str) -> None:
    """Whatever an identifier holds, also what divides a URL, its timeline and churn events are found by it, encoded."""
    headers = {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
    server.http.post("/v1/api/events/new", headers=headers, json={"event": "a", "uid": identifier})
    server.wait_loaded()
    path = f"/v1/customers/{quote(f'uid:{identifier}', safe='')}"
    assert [item["uid"] for item in server.read(f"{path}/timeline", keys)["items"]] == [identifier]
    assert server.read(f"{path}/churn-events", keys)["items"] == []


@pytest.mark.parametrize("identifier", ["' OR '1'='1", "a'; DROP TABLE event; --", "{x:String}", "%s", "\\", "🙂"])
def test_hostile_identifiers_find_nobody(server: Server, keys: Keys, identifier: str) -> None:
    """An id out of a URL is bound, never part of a statement."""
    answer = server.http.get(
        f"/v1/customers/{identifier.replace('%', '%25').replace('/', '%2F')}/timeline",
        headers={"Authorization": f"Bearer {keys['read_key']}"},
    )
    assert answer.status_code == 404


def test_body_over_the_limit_is_413(server: Server, keys: Keys) -> None:
    """Too large as sent, and too large once inflated."""
    headers = {"X-API-Key": keys["secret_key"]}
    assert server.http.post("/api/v1/track", headers=headers, content=b" " * 6_000_000).status_code == 413
    bomb = gzip.compress(b" " * 200_000_000, 9)
    answer = server.http.post("/api/v1/track", headers=headers | {"Content-Encoding": "gzip"}, content=bomb)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


def test_unknown_encoding_and_path_are_explained(server: Server, keys: Keys) -> None:
    """415 and 404 in the one error shape."""
    headers = {"X-API-Key": keys["secret_key"], "Content-Encoding": "br"}
    assert server.http.post("/api/v1/track", headers=headers, content=b"{}").status_code == 415
    answer = server.http.get("/no/such/path")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.rule("client-gone", "windback")
def test_client_that_stops_half_way_leaves_nothing(server: Server, keys: Keys) -> None:
    """A connection cut in the middle of a body stores nothing and harms nobody."""
    request = (
        f"POST /api/v1/track HTTP/1.1\r\nHost: x\r\nX-API-Key: {keys['secret_key']}\r\n"
        'Content-Length: 1000\r\n\r\n{"event": "half"'
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request.encode())
    server.wait_loaded()
    assert server.read("/v1/events", keys) == {"items": [], "similar": [], "identifiers": []}


def conversation(server: Server, *sent: bytes, until: bytes) -> bytes:
    """What the server says on one connection to what is sent, as far as `until`."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        for part in sent:
            connection.sendall(part)
        received = b""
        while until not in received:
            chunk = connection.recv(65_536)
            assert chunk, received
            received += chunk
        return received


@pytest.mark.parametrize(
    ("status", "method", "header"),
    [(401, "POST", "X-API-Key: unknown"), (405, "PUT", "X-API-Key: SECRET"),
     (415, "POST", "Content-Encoding: br\r\nX-API-Key: SECRET")],
)  # fmt: skip
def test_a_refusal_reaches_a_client_that_is_still_sending(
    server: Server, keys: Keys, status: int, method: str, header: str
) -> None:
    """What is refused for its head is answered, not cut off, however large the body; the connection goes on."""
    large = b" " * 4_000_000
    refused = f"{method} /api/v1/track HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Length: {len(large)}\r\n\r\n"
    after = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    head = refused.replace("SECRET", keys["secret_key"]).encode()
    received = conversation(server, head, large, after.encode(), until=b"alive")
    assert received.startswith(b"HTTP/1.1 %d" % status)


def test_malformed_chunks_are_a_bad_request(server: Server, keys: Keys) -> None:
    """A body that breaks off between two chunks gets a JSON error, not a 500."""
    request = (
        f"POST /api/v1/track HTTP/1.1\r\nHost: x\r\nX-API-Key: {keys['secret_key']}\r\n"
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"
    )
    received = conversation(server, request.encode(), until=b"incomplete_body")
    assert received.startswith(b"HTTP/1.1 400")


def test_pipelined_requests_are_all_answered(server: Server, keys: Keys) -> None:
    """Several requests in one packet get as many answers, in order."""
    body = '{"event":"a","customer_email":"a@b.c"}'
    one = (
        f"POST /api/v1/track HTTP/1.1\r\nHost: x\r\nX-API-Key: {keys['secret_key']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(10)
        connection.sendall((one * 5).encode())
        received = b""
        while received.count(b'{"status":"ok"}') < 5:
            chunk = connection.recv(65_536)
            assert chunk, received
            received += chunk
