"""Nothing is doubled, whatever is sent twice, at once, or in parts."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.harness import Server, create_app, whisperr_events

Keys = dict[str, str]


@pytest.mark.rule("retry", "whisperr")
def test_same_request_five_times_at_once_is_stored_once(server: Server, keys: Keys) -> None:
    """A client that times out and sends again while the first is in flight changes nothing."""
    headers = {"X-API-Key": keys["publishable_key"]}
    batch = whisperr_events(0, 50)
    with ThreadPoolExecutor(5) as threads:
        answers = list(
            threads.map(lambda _: server.http.post("/v1/events/batch", headers=headers, json=batch), range(5))
        )
    assert [answer.json() for answer in answers] == [{"accepted": 50, "rejected": 0}] * 5
    server.wait_loaded()
    assert [(row["name"], row["count"]) for row in server.read("/v1/events", keys)["items"]] == [("feature_used", 50)]
    receipts = [server.read(f"/v1/receipts/{answer.headers['tenure-receipt']}", keys) for answer in answers]
    outcomes = [element["outcome"] for receipt in receipts for element in receipt["elements"]]
    assert (outcomes.count("stored"), outcomes.count("duplicate")) == (50, 200)


@pytest.mark.rule("retry", "windback")
def test_retry_without_message_ids_changes_nothing(server: Server, keys: Keys) -> None:
    """Events with a time of their own are recognised by their content, two equal ones in a request kept as two."""
    event = {"event": "login", "customer_email": "jane@example.com", "timestamp": "2025-12-01T09:00:00Z"}
    for _ in range(2):
        server.http.post("/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, json={"events": [event, event]})
    server.wait_loaded()
    assert len(server.read("/v1/customers/jane@example.com/timeline", keys)["items"]) == 2


@pytest.mark.rule("idempotency-key", "churnkey")
def test_events_without_a_time_may_both_be_real(server: Server, keys: Keys) -> None:
    """Two equal requests without a time are two events, unless an Idempotency-Key says that they are one."""
    app = {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
    for extra in ({}, {}, {"Idempotency-Key": "one"}, {"Idempotency-Key": "one"}):
        body = {"event": "login", "customerId": "jane"}
        server.http.post("/v1/api/events/new", headers=app | extra, json=body)
    server.wait_loaded()
    assert len(server.read("/v1/customers/jane/timeline", keys)["items"]) == 3


@pytest.mark.rule("idempotency-key", "windback")
def test_two_idempotency_keys_are_two_events(server: Server, keys: Keys) -> None:
    """Each is told from the other, and from a request without one, however soon it comes."""
    headers, body = {"X-API-Key": keys["secret_key"]}, {"event": "login", "customer_email": "jane@example.com"}
    for extra in ({}, {"Idempotency-Key": "one"}, {"Idempotency-Key": "one"}, {"Idempotency-Key": "two"}):
        server.http.post("/api/v1/track", headers=headers | extra, json=body)
    server.wait_loaded()
    assert len(server.read("/v1/customers/jane@example.com/timeline", keys)["items"]) == 3


@pytest.mark.rule("conflict", "whisperr")
def test_same_id_with_other_content_is_a_conflict(server: Server, keys: Keys) -> None:
    """The first copy stays as it was; the receipt of the second says duplicate, of which, and conflict."""
    headers = {"X-API-Key": keys["publishable_key"]}
    batch = whisperr_events(0, 1)
    first = server.http.post("/v1/events/batch", headers=headers, json=batch)
    server.wait_loaded()
    batch["events"][0] |= {"external_user_id": "somebody_else", "properties": {"n": "changed"}}
    second = server.http.post("/v1/events/batch", headers=headers, json=batch)
    server.wait_loaded()
    (item,) = server.read("/v1/customers/user_0/timeline", keys)["items"]
    assert item["properties"] == {"n": 0}
    (element,) = server.read(f"/v1/receipts/{second.headers['tenure-receipt']}", keys)["elements"]
    assert (element["outcome"], element["conflict"]) == ("duplicate", True)
    assert element["of"] == first.headers["tenure-receipt"]
    missing = server.http.get(
        "/v1/customers/somebody_else/timeline", headers={"Authorization": f"Bearer {keys['read_key']}"}
    )
    assert missing.status_code == 404


@pytest.mark.rule("partial-acceptance", "whisperr")
@pytest.mark.rule("rejected-counts", "whisperr")
def test_bad_events_do_not_cost_the_good_ones(server: Server, keys: Keys) -> None:
    """A batch that the dialect takes in part keeps the good events, and the receipt names each bad one."""
    batch = whisperr_events(0, 3)
    batch["events"][1]["event_type"] = "Not Snake"
    answer = server.http.post("/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=batch)
    assert answer.json() == {"accepted": 2, "rejected": 1}
    server.wait_loaded()
    elements = server.read(f"/v1/receipts/{answer.headers['tenure-receipt']}", keys)["elements"]
    assert [(element["index"], element["outcome"]) for element in elements] == [
        (0, "stored"),
        (1, "rejected"),
        (2, "stored"),
    ]
    assert elements[1]["field"] == "event_type"


@pytest.mark.rule("receipt", "windback")
def test_receipt_of_a_refused_request_says_why(server: Server, keys: Keys) -> None:
    """A 400 has a receipt too."""
    answer = server.http.post("/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, json={"event": "a"})
    assert (answer.status_code, answer.json()["field"]) == (400, "customer_email")
    server.wait_loaded()
    (element,) = server.read(f"/v1/receipts/{answer.headers['tenure-receipt']}", keys)["elements"]
    assert (element["outcome"], element["field"]) == ("rejected", "customer_email")


def test_apps_see_only_their_own(server: Server, keys: Keys) -> None:
    """A key of another app sees no event, no customer and no receipt."""
    answer = server.http.post(
        "/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=whisperr_events(0, 3)
    )
    server.wait_loaded()
    stranger = {"Authorization": f"Bearer {create_app(server.data, 'stranger')['read_key']}"}
    assert server.http.get("/v1/events", headers=stranger).json() == {"items": [], "similar": [], "identifiers": []}
    assert server.http.get("/v1/customers/user_0/timeline", headers=stranger).status_code == 404
    assert server.http.get(f"/v1/receipts/{answer.headers['tenure-receipt']}", headers=stranger).status_code == 404


def test_pages_of_a_timeline_join_without_gap_or_overlap(server: Server, keys: Keys) -> None:
    """Following `next` gives every event once, newest first, also where times are equal."""
    events = [{"event": f"e{n}", "customer_email": "a@b.c", "timestamp": 1_700_000_000 + n // 10} for n in range(95)]
    server.http.post("/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, json={"events": events})
    server.wait_loaded()
    seen, cursor = [], None
    while True:
        page = server.read("/v1/customers/a@b.c/timeline", keys, limit=7, **({"cursor": cursor} if cursor else {}))
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len({item["event_id"] for item in seen}) == len(seen) == 95
    assert [item["occurred_at"] for item in seen] == sorted((item["occurred_at"] for item in seen), reverse=True)


def test_timeline_is_filtered_by_name_and_time(server: Server, keys: Keys) -> None:
    """`name`, `since` (inclusive) and `until` (exclusive) narrow a timeline."""
    events = [
        {"event": name, "customer_email": "a@b.c", "timestamp": f"2025-12-0{day}T00:00:00Z"}
        for name in ("login", "export")
        for day in (1, 2, 3)
    ]
    server.http.post("/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, json={"events": events})
    server.wait_loaded()
    page = server.read("/v1/customers/a@b.c/timeline", keys, name="login", since="2025-12-01", until="2025-12-03")
    assert [item["occurred_at"][:10] for item in page["items"]] == ["2025-12-02", "2025-12-01"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=nope", "since=yesterday"])
def test_wrong_parameters_are_named(server: Server, keys: Keys, query: str) -> None:
    """A reader's mistake is a 400 that names the parameter."""
    server.http.post(
        "/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, json={"event": "a", "customer_email": "a@b.c"}
    )
    server.wait_loaded()
    answer = server.http.get(
        f"/v1/customers/a@b.c/timeline?{query}", headers={"Authorization": f"Bearer {keys['read_key']}"}
    )
    assert (answer.status_code, answer.json()["field"]) == (400, query.split("=", maxsplit=1)[0])


@pytest.mark.rule("gzip", "whisperr")
def test_compressed_bodies_are_taken(server: Server, keys: Keys) -> None:
    """A gzip body is the same request."""
    body = gzip.compress(json.dumps(whisperr_events(0, 5)).encode())
    headers = {"X-API-Key": keys["publishable_key"], "Content-Encoding": "gzip"}
    assert server.http.post("/v1/events/batch", headers=headers, content=body).json() == {"accepted": 5, "rejected": 0}
