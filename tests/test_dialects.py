"""Each vendor page's own example, sent as it stands to a real server, and read back from the timeline.

Only the host, the keys and (for Whisperr, whose events may not be older than 30 days) the time are ours.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.harness import Server

Keys = dict[str, str]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def send(server: Server, path: str, headers: dict[str, str], body: Any) -> httpx.Response:
    answer = server.http.post(path, headers=headers, json=body)
    assert answer.status_code < 300, answer.text
    assert len(answer.headers["tenure-receipt"]) == 32
    return answer


def churnkey(keys: Keys) -> dict[str, str]:
    return {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}


@pytest.mark.rule("vendor-example", "churnkey")
def test_churnkey_single_event(server: Server, keys: Keys) -> None:
    """An event with customer id, uid, date, data and user is on the timeline of both identifiers."""
    body = {
        "event": "Post Created",
        "customerId": "cus_abc",
        "uid": "user_xyz",
        "eventDate": "2022-05-01",
        "eventData": {"postType": "image"},
        "user": {"uid": "user_unique_id"},
    }
    answer = send(server, "/v1/api/events/new", churnkey(keys), body)
    assert answer.json()["status"] == "success"
    server.wait_loaded()
    for identifier in ("cus_abc", "user_xyz"):
        (item,) = server.read(f"/v1/customers/{identifier}/timeline", keys)["items"]
        assert (item["name"], item["occurred_at"]) == ("Post Created", "2022-05-01T00:00:00.000Z")
        assert item["properties"] == {"postType": "image"}
        assert (item["user_id"], item["verified"], item["dialect"]) == ("user_unique_id", True, "churnkey")


@pytest.mark.rule("batch-limit", "churnkey")
@pytest.mark.rule("number-ids", "churnkey")
def test_churnkey_bulk(server: Server, keys: Keys) -> None:
    """A bare array of a hundred events is taken, with integer uids and extra keys."""
    events = [{"event": "Post Created", "uid": 7, "eventDate": 1_650_000_000 + n, "plan": "pro"} for n in range(100)]
    answer = send(server, "/v1/api/events/bulk", churnkey(keys), events)
    assert answer.json() == {"status": "success", "event_count": 100, "verified": True}
    server.wait_loaded()
    assert len(server.read("/v1/customers/7/timeline", keys)["items"]) == 100


@pytest.mark.rule("vendor-example", "churnkey")
@pytest.mark.rule("attributes", "churnkey")
def test_churnkey_customer_update(server: Server, keys: Keys) -> None:
    """Attributes are taken and their receipt says that they are stored."""
    body = {
        "uid": "unique_id",
        "customerId": "cus_xyz",
        "customerData": {"numSeats": 7, "name": "Acme, Inc."},
        "user": {"uid": "user_unique_id", "data": {"name": "John Henry", "email": "johnhenry@example.com"}},
    }
    answer = send(server, "/v1/api/events/customer-update", churnkey(keys), body)
    server.wait_loaded()
    receipt = server.read(f"/v1/receipts/{answer.headers['tenure-receipt']}", keys)
    assert [(element["kind"], element["outcome"]) for element in receipt["elements"]] == [("identify", "stored")]


@pytest.mark.rule("vendor-example", "windback")
def test_windback_single_event(server: Server, keys: Keys) -> None:
    """An event by e-mail answers as the vendor does."""
    body = {
        "event": "feature_used",
        "customer_email": "jane@example.com",
        "properties": {"feature": "exports", "plan": "pro"},
        "timestamp": "2025-12-01T10:00:00Z",
    }
    answer = send(server, "/api/v1/track", {"X-API-Key": keys["secret_key"]}, body)
    assert answer.json() == {"status": "ok"}
    server.wait_loaded()
    (item,) = server.read("/v1/customers/Jane@Example.com/timeline", keys)["items"]
    assert (item["name"], item["occurred_at"]) == ("feature_used", "2025-12-01T10:00:00.000Z")


@pytest.mark.rule("vendor-example", "windback")
@pytest.mark.rule("key-headers", "windback")
def test_windback_batch(server: Server, keys: Keys) -> None:
    """The page's batch of three comes back newest first; a bearer token is as good as the header."""
    events = [
        {"event": "login", "customer_email": "jane@example.com", "timestamp": "2025-12-01T09:00:00Z"},
        {"event": "feature_used", "customer_email": "jane@example.com", "properties": {"feature": "dashboard"},
         "timestamp": "2025-12-01T09:05:00Z"},
        {"event": "support_ticket_opened", "customer_email": "jane@example.com",
         "properties": {"subject": "Cannot export data"}, "timestamp": "2025-12-01T09:30:00Z"},
    ]  # fmt: skip
    send(server, "/api/v1/track", {"Authorization": f"Bearer {keys['secret_key']}"}, {"events": events})
    server.wait_loaded()
    items = server.read("/v1/customers/jane@example.com/timeline", keys)["items"]
    assert [item["name"] for item in items] == ["support_ticket_opened", "feature_used", "login"]


@pytest.mark.rule("vendor-example", "customerscore")
def test_customerscore_batch(server: Server, keys: Keys) -> None:
    """The page's full body: two events of two contacts of one customer."""
    body = {
        "trackerKey": keys["tracker_key"],
        "events": [
            {"name": "my-event-name", "timestamp": 1712123456789,
             "identification": {"customer": "cus_456", "contact": "con_123"},
             "data": {"customer": {"my-value": "184"}, "contact": {"email": "thomas@example.com"}}},
            {"name": "your-event-name", "timestamp": 1712123456789,
             "identification": {"customer": "cus_456", "contact": "con_789"},
             "data": {"customer": {"my-value": "345"},
                      "contact": {"email": "peter@example.com", "contact_name": "Peter"}}},
        ],
    }  # fmt: skip
    answer = send(server, "/api/tracker/track", {"customerscore-key": keys["secret_key"]}, body)
    assert answer.json() == {"status": "ok", "received": 2}
    server.wait_loaded()
    items = server.read("/v1/customers/cus_456/timeline", keys)["items"]
    assert {(item["name"], item["user_id"], item["occurred_at"]) for item in items} == {
        ("my-event-name", "con_123", "2024-04-03T05:50:56.789Z"),
        ("your-event-name", "con_789", "2024-04-03T05:50:56.789Z"),
    }


@pytest.mark.rule("vendor-example", "whisperr")
def test_whisperr_batch_single_and_identify(server: Server, keys: Keys) -> None:
    """The page's batch, one event alone, and an identify, with a publishable key."""
    events = [
        {"external_user_id": "user_8842", "event_type": "payment_failed", "occurred_at": now(),
         "properties": {"amount_cents": 4900}, "context": {"$message_id": "f7a1c2e0-4b3d-4f6a-9c1e-8d2b5a7e3f10"}},
        {"external_user_id": "user_9917", "event_type": "trial_expired", "occurred_at": now(),
         "properties": {}, "context": {"$message_id": "0b6d9e44-0000-4000-8000-000000000000"}},
    ]  # fmt: skip
    headers = {"X-API-Key": keys["publishable_key"]}
    answer = send(server, "/v1/events/batch", headers, {"events": events})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": 0})
    answer = send(server, "/v1/events/track", headers, events[0])
    assert answer.json() == {"event": {"mapping_status": "pending"}, "processing": "queued"}
    answer = send(server, "/v1/identify", headers, {"external_user_id": "user_8842", "traits": {"plan": "pro"}})
    assert answer.json() == {"processing": "queued"}
    server.wait_loaded()
    (item,) = server.read("/v1/customers/user_8842/timeline", keys)["items"]
    assert (item["message_id"], item["verified"]) == ("f7a1c2e0-4b3d-4f6a-9c1e-8d2b5a7e3f10", False)


def test_trailing_slash_is_answered_without_a_redirect(server: Server, keys: Keys) -> None:
    """A redirected POST would become a GET and be lost."""
    answer = server.http.post(
        "/api/v1/track/", headers={"X-API-Key": keys["secret_key"]}, json={"event": "a", "customer_email": "a@b.c"}
    )
    assert answer.status_code == 200


@pytest.mark.rule("missing-key")
@pytest.mark.rule("unknown-key")
@pytest.mark.rule("keys-not-echoed")
@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/v1/api/events/new", "x-ck-api-key"),
        ("/v1/api/events/bulk", "x-ck-api-key"),
        ("/v1/api/events/customer-update", "x-ck-api-key"),
        ("/api/v1/track", "x-api-key"),
        ("/api/tracker/track", "customerscore-key"),
        ("/v1/events/batch", "x-api-key"),
        ("/v1/events/track", "x-api-key"),
        ("/v1/identify", "x-api-key"),
    ],
)
def test_missing_and_wrong_keys_are_told_apart_from_bad_requests(
    server: Server, keys: Keys, path: str, header: str
) -> None:
    """Without a key or with an unknown one: 401, JSON, the header named, the key never echoed."""
    missing = server.http.post(path, content=b"{")
    assert missing.status_code == 401
    assert header in missing.text.lower()
    wrong = server.http.post(path, headers={header: "sk_live_wrong_key", "x-ck-app": keys["app"]}, content=b"{")
    assert wrong.status_code == 401
    for answer in (missing, wrong):
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["error"]
        assert answer.json()["message"]
        assert "wrong_key" not in answer.text


@pytest.mark.parametrize("path", ["/v1/api/events/new", "/api/v1/track", "/api/tracker/track", "/v1/events/batch"])
def test_other_methods_are_405(server: Server, path: str) -> None:
    """Anything but POST says what is allowed; a browser's preflight is answered."""
    answer = server.http.get(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]
    preflight = server.http.options(path, headers={"Origin": "https://example.com"})
    assert preflight.status_code == 204
    assert "x-api-key" in preflight.headers["access-control-allow-headers"]


def test_read_and_send_rights_are_apart(server: Server, keys: Keys) -> None:
    """A read key sends nothing; a sending key reads nothing."""
    body = {"event": "a", "customer_email": "a@b.c"}
    assert server.http.post("/api/v1/track", headers={"X-API-Key": keys["read_key"]}, json=body).status_code == 403
    for kind in ("secret_key", "publishable_key", "tracker_key"):
        answer = server.http.get("/v1/events", headers={"Authorization": f"Bearer {keys[kind]}"})
        assert answer.status_code in (401, 403)
