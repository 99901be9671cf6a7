"""Churn events and cancel flows on a real server: recorded, given a reason later, read by id and on the timeline."""

from __future__ import annotations

from typing import Any

from tests.harness import Server, create_app

Keys = dict[str, str]
RECORD = "/api/v1/projects/my-saas/churn-events"
CHURN = {
    "customer_email": "jane@example.com",
    "provider": "stripe",
    "mrr": 4900,
    "currency": "USD",
    "provider_customer_id": "cus_abc",
    "plan_name": "Pro",
    "tenure_days": 210,
    "last_active_at": "2026-06-01T09:00:00Z",
}


def call(server: Server, keys: Keys, method: str, path: str, body: Any = None, kind: str = "secret_key") -> Any:
    answer = server.http.request(method, path, headers={"X-API-Key": keys[kind]}, json=body)
    return answer.status_code, answer.json()


def test_a_churn_event_is_read_at_once_by_its_id(server: Server, keys: Keys) -> None:
    """What was recorded is read by id without waiting, by the client's own path and by ours."""
    status, recorded = call(server, keys, "POST", RECORD, CHURN)
    assert status == 201
    assert {name: recorded[name] for name in CHURN if name != "last_active_at"} == {
        name: value for name, value in CHURN.items() if name != "last_active_at"
    }
    assert call(server, keys, "GET", f"{RECORD}/{recorded['id']}") == (200, recorded)
    assert server.read(f"/v1/churn-events/{recorded['id']}", keys) == recorded


def test_a_reason_comes_later_and_the_last_one_counts(server: Server, keys: Keys) -> None:
    """Reasons are added to the churn event by its id; each is on the customer's timeline."""
    _, recorded = call(server, keys, "POST", RECORD, CHURN)
    reason = f"{RECORD}/{recorded['id']}/cancel-reason"
    for said in ({"cancel_reason": "other"}, {"cancel_reason": "too_expensive", "cancel_reason_text": "<b>100 €</b>"}):
        assert call(server, keys, "PATCH", reason, said) == (200, {"id": recorded["id"], "status": "recorded"})
    _, read = call(server, keys, "GET", f"{RECORD}/{recorded['id']}")
    assert (read["cancel_reason"], read["cancel_reason_text"]) == ("too_expensive", "<b>100 €</b>")
    assert read["updated_at"] > read["created_at"] == recorded["created_at"]
    for identifier in ("jane@example.com", "cus_abc", recorded["id"]):
        items = server.read(f"/v1/customers/{identifier}/timeline", keys)["items"]
        assert sorted(item["name"] for item in items) == ["cancel_reason_reported"] * 2 + ["churn_recorded"]
        assert server.read(f"/v1/customers/{identifier}/churn-events", keys)["items"] == [read]


def test_a_cancel_flow_is_a_churn_event(server: Server, keys: Keys) -> None:
    """A cancel flow submitted with a publishable key is recorded as unverified; its reason can be reported on."""
    flow = {**CHURN, "provider_customer_id": None, "cancel_reason": "missing_features"}
    status, submitted = call(server, keys, "POST", "/api/v1/cancel-flow/submit/", flow, "publishable_key")
    assert (status, submitted["status"]) == (200, "recorded")
    path = f"{RECORD}/{submitted['churn_event_id']}"
    call(server, keys, "PATCH", f"{path}/cancel-reason/", {"cancel_reason": "poor_support"})
    _, read = call(server, keys, "GET", path)
    assert (read["cancel_reason"], read["verified"], read["mrr"]) == ("poor_support", False, 4900)
    items = server.read("/v1/customers/jane@example.com/timeline", keys)["items"]
    assert {item["name"] for item in items} == {"cancel_flow_submitted", "cancel_reason_reported"}


def test_one_customer_has_many_churn_events_and_stays_one(server: Server, keys: Keys) -> None:
    """Several cancellations of an e-mail do not make it ambiguous: it stays linked to its customer id."""
    known_by_email = {**CHURN, "provider_customer_id": ""}
    for mrr, churn in ((100, CHURN), (200, known_by_email), (300, known_by_email)):
        assert call(server, keys, "POST", RECORD, {**churn, "mrr": mrr})[0] == 201
    server.wait_loaded()
    for identifier in ("jane@example.com", "cus_abc"):
        items = server.read(f"/v1/customers/{identifier}/churn-events", keys)["items"]
        assert [item["mrr"] for item in items] == [300, 200, 100]


def test_an_unknown_churn_event_is_not_found(server: Server, keys: Keys) -> None:
    """A mistyped id, and an id of another app, are told at once when a reason is reported and when they are read."""
    other = create_app(server.data, "other app of churn events")
    _, recorded = call(server, other, "POST", RECORD, CHURN)
    mistyped = recorded["id"][:-1] + ("0" if recorded["id"][-1] != "0" else "1")
    for keys_used, unknown in ((keys, recorded["id"]), (other, mistyped), (keys, "nothing")):
        for method, path in (("GET", f"{RECORD}/{unknown}"), ("PATCH", f"{RECORD}/{unknown}/cancel-reason")):
            status, body = call(
                server, keys_used, method, path, {"cancel_reason": "other"} if method == "PATCH" else None
            )
            assert (status, body["error"]) == (404, "unknown_churn_event")
            assert "churn event" in body["message"]


def test_recording_and_reporting_take_a_secret_key(server: Server, keys: Keys) -> None:
    """What a browser may hold can neither record a cancellation nor change a reason nor read one."""
    for method, path in (
        ("POST", RECORD),
        ("PATCH", f"{RECORD}/{'0' * 32}/cancel-reason"),
        ("GET", f"{RECORD}/{'0' * 32}"),
    ):
        assert call(server, keys, method, path, {}, "publishable_key")[0] == 403
