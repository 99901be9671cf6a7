"""HTTP itself, on a socket and against a real server: methods, paths, headers, connections, exact answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tenure.wire import registry
from tests.connection import Answer, Connection, exchange, request
from tests.endpoints import CHURNKEY, ENDPOINTS, Endpoint, Keys, every_endpoint, every_endpoint_with_a_key
from tests.harness import Server

rule = pytest.mark.rule
WINDBACK = next(endpoint for endpoint in ENDPOINTS if endpoint.dialect == "windback")


def good(endpoint: Endpoint, keys: Keys) -> bytes:
    return request(endpoint.path, endpoint.headers(keys), endpoint.content(keys))


def check_success(endpoint: Endpoint, answer: Answer) -> None:
    """The documented status and body, as JSON, with a receipt."""
    assert endpoint.is_success(answer.status, answer.body), answer
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["tenure-receipt"]) == 32


def check_error(endpoint: Endpoint, answer: Answer, status: int, code: str, message: str, **place: str) -> None:
    """The status, the dialect's error body, and a receipt."""
    assert (answer.status, answer.json()) == (status, endpoint.error(code, message, **place))
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["tenure-receipt"]) == 32


@rule("success-body")
@rule("receipt")
@every_endpoint
def test_success_is_exactly_as_documented(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """A small good body on each path gets the documented status and body, and a receipt."""
    check_success(endpoint, exchange(server, good(endpoint, shared_keys)))


@rule("post-only")
@rule("error-body")
@every_endpoint
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
def test_other_methods_are_405(server: Server, shared_keys: Keys, endpoint: Endpoint, method: str) -> None:
    """Anything but POST is 405 with `Allow: POST`, with keys and without."""
    for headers in ({}, endpoint.headers(shared_keys)):
        answer = exchange(server, request(endpoint.path, headers, method=method), method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        check_error(endpoint, answer, 405, "method_not_allowed", "this path takes POST alone")


@rule("preflight")
@every_endpoint
@pytest.mark.parametrize("slash", ["", "/"])
def test_preflight_is_answered(server: Server, shared_keys: Keys, endpoint: Endpoint, slash: str) -> None:
    """OPTIONS is 204 without a key, allows every header that a client sends, and may be cached."""
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    answer = exchange(server, request(endpoint.path + slash, asked, method="OPTIONS"), "OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    wanted = {"content-type", "x-api-key", "authorization", "x-whisperr-sdk", "x-ck-api-key", "x-ck-app"}
    assert wanted <= set(allowed)
    assert int(answer.headers["access-control-max-age"]) >= 3_600


@rule("cross-origin")
@every_endpoint
def test_answers_may_be_read_from_a_page(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Success and error let a script of another origin read them, `Retry-After` and the receipt included."""
    headers = endpoint.headers(shared_keys) | {"Origin": "https://app.example"}
    for body in (endpoint.content(shared_keys), b"{"):
        answer = exchange(server, request(endpoint.path, headers, body))
        assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
        exposed = answer.headers["access-control-expose-headers"].lower()
        assert "retry-after" in exposed
        assert "tenure-receipt" in exposed


@rule("trailing-slash")
@every_endpoint
def test_trailing_slash_changes_nothing(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """With a slash at the end, and with a query, the answer is the same."""
    for path in (endpoint.path + "/", endpoint.path + "?source=app", endpoint.path + "/?source=app"):
        check_success(
            endpoint, exchange(server, request(path, endpoint.headers(shared_keys), endpoint.content(shared_keys)))
        )


SPELLINGS: dict[str, Callable[[str], str]] = {
    "two slashes at the end": lambda path: path + "//",
    "two slashes at the start": lambda path: "/" + path,
    "two slashes within": lambda path: path.replace("/v1/", "/v1//"),
    "escaped slashes": lambda path: "/" + path[1:].replace("/", "%2F"),
    "upper case": str.upper,
    "a dot": lambda path: path + "/.",
    "parents": lambda path: path + "/../x",
    "longer": lambda path: path + "/x",
    "shorter": lambda path: path.rpartition("/")[0],
    "absolute": lambda path: "http://localhost" + path,
}


@rule("no-redirect")
@rule("paths")
@every_endpoint
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_nothing_is_redirected(server: Server, shared_keys: Keys, endpoint: Endpoint, spelling: str) -> None:
    """Other spellings of a path are taken or refused with JSON; a redirected POST would come back as a GET."""
    path = SPELLINGS[spelling](endpoint.path)
    answer = exchange(server, request(path, endpoint.headers(shared_keys), endpoint.content(shared_keys)))
    assert answer.status in (200, 201, 202, 400, 404, 405)
    assert "location" not in answer.headers
    assert answer.json()


@pytest.mark.parametrize("path", ["/v1/events/", "/v1/receipts/x/", "/healthz/", "/docs/", "//", "/v1", "/v1/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_redirected_elsewhere(server: Server, path: str, method: str) -> None:
    """The read API redirects nothing either."""
    answer = exchange(server, request(path, {}, method=method))
    assert answer.status >= 400
    assert "location" not in answer.headers


@rule("key-headers")
@rule("header-case")
@every_endpoint
@pytest.mark.parametrize("case", [str.upper, str.lower, str.title, str.swapcase])
def test_header_names_in_any_case(
    server: Server, shared_keys: Keys, endpoint: Endpoint, case: Callable[[str], str]
) -> None:
    """The names of headers are matched without regard to case."""
    headers = {case(name): value for name, value in endpoint.headers(shared_keys).items()}
    check_success(endpoint, exchange(server, request(endpoint.path, headers, endpoint.content(shared_keys))))


@rule("header-twice")
@every_endpoint
def test_header_given_twice(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Headers that a proxy or a client repeats with the same text are as good as one."""
    twice = endpoint.headers(shared_keys) | {
        name.upper(): value for name, value in endpoint.headers(shared_keys).items()
    }
    twice |= {"Content-Type": "application/json", "content-type": "application/json"}
    check_success(endpoint, exchange(server, request(endpoint.path, twice, endpoint.content(shared_keys))))


@rule("content-type")
@every_endpoint
@pytest.mark.parametrize(
    "kind", [None, "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "", "nonsense"]
)
def test_any_content_type(server: Server, shared_keys: Keys, endpoint: Endpoint, kind: str | None) -> None:
    """Beacons send text/plain, hasty clients nothing: the body says for itself what it is."""
    headers = endpoint.headers(shared_keys) | ({} if kind is None else {"Content-Type": kind})
    check_success(endpoint, exchange(server, request(endpoint.path, headers, endpoint.content(shared_keys))))


@rule("missing-key")
@rule("error-body")
@every_endpoint
def test_no_key_is_401_before_anything_else(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Without a key, even a broken body is told about that, and which header is missing."""
    *others, missing = endpoint.key_headers
    answer = exchange(server, request(endpoint.path, {name: shared_keys[kind] for name, kind in others}, b"{"))
    assert answer.status == 401
    assert missing[0].lower() in answer.json()["message"].lower()
    assert answer.json()["error"] in (
        "unauthenticated",
        {"code": "unauthenticated", "message": answer.json()["message"]},
    )


@rule("unknown-key")
@rule("keys-not-echoed")
@rule("error-body")
@every_endpoint_with_a_key
def test_unknown_key_is_401(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """An unknown key is told before the body is looked at, and not echoed."""
    headers = endpoint.headers(shared_keys) | {endpoint.key_headers[0][0]: "sk_live_not_a_key_of_ours"}
    answer = exchange(server, request(endpoint.path, headers, b"{"))
    check_error(endpoint, answer, 401, "unknown_key", "this key is not known here, or has been revoked")


@rule("wrong-kind-of-key")
@rule("error-body")
@every_endpoint_with_a_key
def test_read_key_sends_nothing(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """A key that is known but may not send is 403, and says which kind may."""
    headers = endpoint.headers(shared_keys) | {endpoint.key_headers[0][0]: shared_keys["read_key"]}
    answer = exchange(server, request(endpoint.path, headers, endpoint.content(shared_keys)))
    operation = registry.find(endpoint.path, endpoint.headers(shared_keys))
    assert operation is not None
    kinds = " or ".join(sorted(operation.key_kinds))
    check_error(endpoint, answer, 403, "wrong_key_kind", f"a read key may not do this; it takes a {kinds} key")


@rule("key-headers", "windback", "whisperr")
@pytest.mark.parametrize("path", [endpoint.path for endpoint in ENDPOINTS if endpoint.key_headers[0][0] == "X-API-Key"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_key_as_bearer(server: Server, shared_keys: Keys, path: str, scheme: str) -> None:
    """A bearer token is as good as X-API-Key, the scheme in any case."""
    answer = exchange(server, request(path, {"Authorization": f"{scheme} {shared_keys['secret_key']}"}, b"{"))
    assert answer.status == 400


@rule("app-id", "churnkey")
@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.key_headers == CHURNKEY], ids=str)
def test_app_id_must_belong_to_the_key(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Another app id in x-ck-app is 401 and names the header."""
    headers = endpoint.headers(shared_keys) | {"x-ck-app": "another-app"}
    answer = exchange(server, request(endpoint.path, headers, endpoint.content(shared_keys)))
    message = "x-ck-app does not belong to the key"
    check_error(endpoint, answer, 401, "wrong_app", message, field="x-ck-app")


@rule("tracker-key", "customerscore")
@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one.dialect == "customerscore"], ids=str)
def test_tracker_key_of_another_app_is_403(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """A tracker key that is not the app's is 403, and stores nothing."""
    body = endpoint.content(keys).replace(keys["tracker_key"].encode(), b"CS-OTHER")
    answer = exchange(server, request(endpoint.path, endpoint.headers(keys), body))
    message = "trackerKey does not belong to the key in the header"
    check_error(endpoint, answer, 403, "wrong_tracker", message, field="trackerKey")
    server.wait_loaded()
    assert server.read("/v1/events", keys) == {"items": [], "similar": [], "identifiers": []}


@rule("body-form")
@rule("error-body")
@every_endpoint
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "invalid_json", "The body is empty; it must be JSON."),
        (b'{"a":', "invalid_json", "The body is not JSON: it cannot be read at line 1, column 6."),
        (b'{"a":"\xff"}', "invalid_json", "The body is not UTF-8: byte 6 cannot be read."),
        (b"[" * 5_000 + b"]" * 5_000, "too_deep", "The JSON has more than 64 levels of arrays and objects."),
        (b"7", "wrong_type", ""),
        (b'"text"', "wrong_type", ""),
        (b"null", "wrong_type", ""),
    ],
)
def test_body_of_another_form_is_400(
    server: Server, shared_keys: Keys, endpoint: Endpoint, body: bytes, code: str, message: str
) -> None:
    """What cannot be read says where, what is not the documented form says what it must be."""
    if code == "wrong_type":
        is_array = endpoint.needs is None
        message = f"The body must be a JSON {'array, with nothing around it' if is_array else 'object'}."
    answer = exchange(server, request(endpoint.path, endpoint.headers(shared_keys), body))
    check_error(endpoint, answer, 400, code, message)


@rule("error-body")
@rule("error-place")
@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.needs], ids=str)
def test_error_names_the_field(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """A body without a required field is 400 and names it."""
    body = json.loads(endpoint.content(shared_keys))
    del body[str(endpoint.needs)]
    answer = exchange(server, request(endpoint.path, endpoint.headers(shared_keys), json.dumps(body).encode()))
    needs = {"customerId": "customerId or uid"}.get(str(endpoint.needs), endpoint.needs)
    check_error(endpoint, answer, 400, "missing_field", f"{needs} is required.", field=str(endpoint.needs))


@rule("keep-alive")
@rule("connection-close")
@every_endpoint
def test_connection_is_kept_until_the_client_closes(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """One connection serves good and refused requests alike; `Connection: close` ends it after its answer."""
    with Connection(server) as connection:
        for body in (endpoint.content(shared_keys), b"{", b"", endpoint.content(shared_keys)):
            connection.send(request(endpoint.path, endpoint.headers(shared_keys), body))
            assert connection.answer().status == (400 if len(body) < 2 else endpoint.status)
        headers = endpoint.headers(shared_keys) | {"Connection": "close"}
        connection.send(request(endpoint.path, headers, endpoint.content(shared_keys)))
        answer = connection.answer()
        check_success(endpoint, answer)
        assert answer.headers["connection"].lower() == "close"
        assert connection.is_closed()


@rule("connection-close")
@every_endpoint
def test_refused_request_closes_when_asked(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """An error too is sent whole before the connection is closed."""
    with Connection(server) as connection:
        connection.send(request(endpoint.path, {"Connection": "Close"}, b"{"))
        assert connection.answer().status == 401
        assert connection.is_closed()


@rule("http-1.0")
@every_endpoint
def test_http_1_0(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """A client of HTTP/1.0 is answered in its version, and the connection closed."""
    with Connection(server) as connection:
        connection.send(
            request(endpoint.path, endpoint.headers(shared_keys), endpoint.content(shared_keys), version="1.0")
        )
        answer = connection.answer()
        check_success(endpoint, answer)
        assert answer.version == "HTTP/1.0"
        assert connection.is_closed()


@rule("pipelining")
@every_endpoint
def test_pipelined_requests_are_answered_in_order(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Twenty requests in one write get twenty answers in their order, three of them refusals."""
    requests, statuses = [good(endpoint, shared_keys)] * 20, [endpoint.status] * 20
    requests[3], statuses[3] = request(endpoint.path, endpoint.headers(shared_keys), b"{"), 400
    requests[10], statuses[10] = request(endpoint.path, {}, endpoint.content(shared_keys)), 401
    requests[17], statuses[17] = request(endpoint.path, endpoint.headers(shared_keys), method="GET"), 405
    with Connection(server) as connection:
        connection.send(*requests)
        assert [connection.answer().status for _ in requests] == statuses


@rule("pipelining", "windback")
def test_pipelined_events_are_all_stored(server: Server, keys: Keys) -> None:
    """What is answered in a pipeline is on the timeline, each event once."""
    bodies = [json.dumps({"event": f"e{n}", "customer_email": "jane@example.com"}).encode() for n in range(20)]
    with Connection(server) as connection:
        connection.send(*(request(WINDBACK.path, WINDBACK.headers(keys), body) for body in bodies))
        assert {connection.answer().status for _ in bodies} == {200}
    server.wait_loaded()
    items = server.read("/v1/customers/jane@example.com/timeline", keys)["items"]
    assert sorted(item["name"] for item in items) == sorted(f"e{n}" for n in range(20))


@rule("expect-continue")
@every_endpoint
def test_expect_100_continue(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """A client that waits to be told sends its body after 100 Continue."""
    headers = endpoint.headers(shared_keys) | {
        "Expect": "100-continue",
        "Content-Length": str(len(endpoint.content(shared_keys))),
    }
    with Connection(server) as connection:
        connection.send(request(endpoint.path, headers, None))
        assert connection.answer().status == 100
        connection.send(endpoint.content(shared_keys))
        check_success(endpoint, connection.answer())


@rule("expect-continue")
@every_endpoint
def test_expect_is_refused_without_the_body(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Without a key, and when the announced body is too long, the answer comes at once, without a body."""
    keyless = {"Expect": "100-continue", "Content-Length": "100"}
    assert exchange(server, request(endpoint.path, keyless, None)).status == 401
    too_long = endpoint.headers(shared_keys) | {"Expect": "100-continue", "Content-Length": "9999999"}
    assert exchange(server, request(endpoint.path, too_long, None)).status == 413


@rule("client-gone")
@every_endpoint
def test_client_that_goes_away_leaves_nothing(server: Server, keys: Keys, endpoint: Endpoint) -> None:
    """A body shorter than its announced length, and then the end of the connection: nothing is stored."""
    headers = endpoint.headers(keys) | {"Content-Length": "1000"}
    for body in (b"", endpoint.content(keys)):
        with Connection(server) as connection:
            connection.send(request(endpoint.path, headers, None), body)
    with Connection(server) as connection:
        connection.send(b"POST " + endpoint.path.encode())
    assert exchange(server, good(endpoint, keys)).status == endpoint.status
    server.wait_loaded()
    assert sum(row["count"] for row in server.read("/v1/events", keys)["items"]) <= 1  # the good one, if it is an event
