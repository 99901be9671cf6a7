"""What the vendors' live clients send and expect beyond their pages."""

from __future__ import annotations

import hmac
from typing import Any

import httpx
import pytest

from tests.harness import Server

Keys = dict[str, str]
TOKEN = "ab" * 32


def sign(keys: Keys, subject: str) -> str:
    return hmac.new(keys["secret_key"].encode(), subject.encode(), "sha256").hexdigest()


def browser(server: Server, keys: Keys, **event: Any) -> httpx.Response:
    body = {"event": "Post Created", **event}
    return server.http.post("/v1/api/events/browser", headers={"x-ck-app": keys["app"]}, json=body)


def test_a_cancel_flow_is_answered_with_all_that_the_vendor_documents(server: Server, keys: Keys) -> None:
    """One id under both of its names, and no offer, since Tenure makes none."""
    flow = {"customer_email": "jane@x.example", "provider": "stripe", "cancel_reason": "too_expensive", "mrr": 4900}
    answer = server.http.post("/api/v1/cancel-flow/submit", headers={"X-API-Key": keys["secret_key"]}, json=flow)
    body = answer.json()
    assert (answer.status_code, body["success"], body["offer"], body["status"]) == (200, True, None, "recorded")
    assert body["event_id"] == body["churn_event_id"]


def test_extra_keys_of_churnkey_are_counted_by_value(server: Server, keys: Keys) -> None:
    """Where there is no `eventData` they are the event's data; beside one they stay in the context."""
    headers = {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
    bulk = [{"event": "Viewed", "uid": n, "device": "ios", "contentId": 7, "customerData": {"a": 1}} for n in range(2)]
    bulk += [{"event": "Viewed", "uid": 3, "device": "web", "eventData": {"contentId": 8}}]
    assert server.http.post("/v1/api/events/bulk", headers=headers, json=bulk).status_code == 200
    single = {"event": "Viewed", "uid": 4, "device": "ios", "eventData": None}
    assert server.http.post("/v1/api/events/new", headers=headers, json=single).status_code == 200
    server.wait_loaded()
    (item,) = server.read("/v1/customers/uid:0/timeline", keys)["items"]
    assert item["properties"] == {"device": "ios", "contentId": 7}
    assert item["context"] == {"customerData": {"a": 1}}
    (item,) = server.read("/v1/customers/uid:3/timeline", keys)["items"]
    assert (item["properties"], item["context"]) == ({"contentId": 8}, {"device": "web"})


@pytest.mark.rule("browser-signature", "churnkey")
def test_the_subscription_is_signed_for_customers_of_paddle(server: Server, keys: Keys) -> None:
    """Beside a customer id, an address, a uid or nothing: it speaks for who has it."""
    signed = {"subscriptionId": "sub_1", "authHash": sign(keys, "sub_1")}
    for who in ({"customerId": "ctm_1"}, {"customerEmail": "jane@x.example"}, {"uid": "u1"}, {}):
        answer = browser(server, keys, **who, **signed)
        assert (answer.status_code, answer.json()) == (200, {"status": "success", "verified": True}), who
    server.wait_loaded()
    for name in ("ctm_1", "jane@x.example", "u1", "sub_1"):
        (item,) = server.read(f"/v1/customers/{name}/timeline", keys)["items"]
        assert (item["verified"], item["context"]) == (True, {"subscriptionId": "sub_1"})


@pytest.mark.rule("browser-signature", "churnkey")
def test_signatures_that_prove_another_thing(server: Server, keys: Keys) -> None:
    """Of nothing that was sent: 401, but for who sends neither customer id nor address. Of a weaker name than the one
    that the event is kept under: unverified. Both are told."""
    wrong = {"authHash": sign(keys, "somebody else")}
    for who in ({"customerId": "c"}, {"customerEmail": "c@x.example"}, {"customerId": "c", "subscriptionId": "sub_2"}):
        answer = browser(server, keys, **who, **wrong)
        assert (answer.status_code, answer.json()["error"]) == (401, "wrong_auth_hash")
    kept = [
        browser(server, keys, uid="u2", **wrong),
        browser(server, keys, subscriptionId="sub_2", **wrong),
        browser(server, keys, customerId="victim", customerEmail="me@x.example", authHash=sign(keys, "me@x.example")),
        browser(server, keys, customerId="victim", uid="me", authHash=sign(keys, "me")),
    ]
    for answer in kept:
        assert (answer.status_code, answer.json()["verified"]) == (200, False)
        assert [one["code"] for one in answer.json()["warnings"]] == ["unproven_signature"]
    assert browser(server, keys, uid="u2", authHash=sign(keys, "u2")).json() == {"status": "success", "verified": True}
    assert browser(server, keys).status_code == 400


def test_push_channels_without_a_kind_get_one(server: Server, keys: Keys) -> None:
    """From their address; a kind that is given stays, and other channels have none."""
    addresses = {
        "ExponentPushToken[xxx]": "expo", "ExpoPushToken[yyy]": "expo", TOKEN: "apns", TOKEN.upper(): "apns",
        TOKEN + "0": "fcm", "fcm:token": "fcm", "ExpoPushToken[": "fcm",
    }  # fmt: skip
    channels: list[Any] = [{"channel": "push", "address": address} for address in addresses]
    channels += [{"channel": "push", "address": "given", "kind": "web"}, {"channel": "sms", "address": TOKEN}]
    channels += [{"channel": "push", "address": "odd", "kind": 7}]
    body = {"external_user_id": "u1", "channels": channels}
    assert server.http.post("/v1/identify", headers={"X-API-Key": keys["secret_key"]}, json=body).status_code == 202
    server.wait_loaded()
    found = [one["value"] for one in server.read("/v1/customers/u1/attributes", keys)["channels"]]
    kinds = {(one["channel"], one["address"]): one.get("kind") for one in found}
    expected = {("push", address): kind for address, kind in addresses.items()}
    assert kinds == expected | {("push", "given"): "web", ("sms", TOKEN): None, ("push", "odd"): "fcm"}


@pytest.mark.rule("unknown-key", "churnkey", "windback", "customerscore", "whisperr", "native")
@pytest.mark.parametrize("quotes", ['""', "''", "“”", "``"])
def test_a_key_in_quotation_marks_gets_a_hint(server: Server, keys: Keys, quotes: str) -> None:
    """As the vendors' pages print it; the hint does not say the key again."""
    key = f"{quotes[0]}{keys['secret_key']}{quotes[1]}"
    for path, headers in (
        ("/v1/ingest", {"X-API-Key": key}),
        ("/v1/identify", {"Authorization": f"Bearer {key}"}),
        ("/api/v1/track", {"X-API-Key": key}),
        ("/api/tracker/track", {"customerscore-key": key}),
        ("/v1/api/events/new", {"x-ck-api-key": key, "x-ck-app": keys["app"]}),
        (
            "/v1/api/events/new",
            {"x-ck-api-key": keys["secret_key"], "x-ck-app": f"{quotes[0]}{keys['app']}{quotes[1]}"},
        ),
    ):
        sent = {name: value.encode() for name, value in headers.items()}
        answer = server.http.post(path, headers=sent, json={"trackerKey": "CS-1", "events": []})
        assert answer.status_code == 401
        assert "quotation marks" in answer.text
        assert keys["secret_key"] not in answer.text


@pytest.mark.rule("time-formats", "churnkey")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("20260614T120000Z", "2026-06-14T12:00:00.000Z"), ("20260614T120000.5+0200", "2026-06-14T10:00:00.500Z"),
     ("20260614", "2026-06-14T00:00:00.000Z"), ("20260614120000", "2026-06-14T12:00:00.000Z")],
)  # fmt: skip
def test_basic_forms_of_times(server: Server, shared_keys: Keys, text: str, expected: str) -> None:
    """Where any form is taken."""
    headers = {"x-ck-api-key": shared_keys["secret_key"], "x-ck-app": shared_keys["app"]}
    body = {"event": "e", "uid": text, "eventDate": text}
    assert server.http.post("/v1/api/events/new", headers=headers, json=body).status_code == 200
    server.wait_loaded()
    (item,) = server.read(f"/v1/customers/uid:{text}/timeline", shared_keys)["items"]
    assert item["occurred_at"] == expected
