"""One customer as a whole, on a real server."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.customers import counts
from tenure.customers.customer import find_customer
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.harness import Server, create_app

Keys = dict[str, str]


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def native(server: Server, keys: Keys, *elements: dict[str, Any], key: str = "secret_key") -> str:
    answer = server.http.post("/v1/ingest", json={"events": elements}, headers={"X-API-Key": keys[key]})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["receipt"])


def view(server: Server, keys: Keys, customer: str, **parameters: Any) -> Any:
    server.wait_loaded()
    return server.read(f"/v1/customers/{quote(customer, safe='')}", keys, **parameters)


def test_activity_counts_windows_and_their_change(server: Server, keys: Keys) -> None:
    """An event counts in each window that it is in, against the window before; one in the future in none."""
    days = [0.1, 1, 6.9, 8, 13, 29, 31, 59, 61, 100, 179, 400]
    native(server, keys, *({"event": "login", "uid": "u", "occurred_at": ago(day)} for day in days))
    native(server, keys, {"event": "planned", "uid": "u", "occurred_at": ago(-3)})
    native(server, keys, {"event": "login", "uid": "u", "occurred_at": ago(2)}, key="publishable_key")
    activity = view(server, keys, "u")["activity"]
    login, planned = activity["by_name"]
    assert (login["name"], login["count"], planned["name"], planned["count"]) == ("login", 13, "planned", 1)
    assert login["last_7_days"] == {"count": 4, "before": 2, "change": 1.0}
    assert login["last_30_days"] == {"count": 7, "before": 2, "change": 2.5}
    assert login["last_90_days"] == {"count": 10, "before": 2, "change": 4.0}
    assert planned["last_90_days"] == {"count": 0, "before": 0, "change": None}
    assert activity["count"] == 14
    assert activity["verified_share"] == pytest.approx(13 / 14)
    assert activity["last_7_days"] == login["last_7_days"]
    assert activity["first_seen"] == login["first_seen"] < login["last_seen"] == activity["last_seen"]
    assert (activity["dated_ahead"], planned["first_seen"], planned["last_seen"]) == (1, None, None)


def test_all_four_dialects_and_our_own_make_one_view(server: Server, keys: Keys) -> None:
    """Identifiers, name, attributes, users, churn events and receipts are in one answer, whoever said so."""
    secret = {"X-API-Key": keys["secret_key"]}
    receipts = [
        native(
            server, keys, {"customer_id": "cus_1", "uid": "u1", "email": "Jane@Example.com", "traits": {"name": "Acme"}}
        )
    ]
    for path, headers, body in (
        ("/v1/api/events/new", {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]},
         {"event": "Post Created", "customerId": "cus_1", "user": {"uid": "p1", "data": {"role": "owner"}}}),
        ("/api/tracker/track", {"customerscore-key": keys["secret_key"]},
         {"trackerKey": keys["tracker_key"], "events": [
             {"name": "opened", "timestamp": 1_767_268_800_000, "data": {"customer": {"plan": "pro"}},
              "identification": {"customer": "cus_1", "contact": "p2"}}]}),
        ("/v1/identify", secret, {"external_user_id": "u1", "traits": {"seats": 3}}),
        ("/api/v1/track", secret, {"event": "login", "customer_email": "jane@example.com"}),
        ("/api/v1/cancel-flow/submit", secret,
         {"customer_email": "jane@example.com", "provider": "stripe", "provider_customer_id": "cus_1", "mrr": 4900,
          "cancel_reason": "too_expensive"}),
    ):  # fmt: skip
        answer = server.http.post(path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        receipts.append(answer.headers["tenure-receipt"])
    found = view(server, keys, "jane@example.com")
    assert found == view(server, keys, "uid:u1") == view(server, keys, "customer_id:cus_1")
    assert (found["id"], found["name"]) == ("customer_id:cus_1", "Acme")
    assert found["identifiers"] == ["customer_id:cus_1", "uid:u1", "billing_id:cus_1", "email:jane@example.com"]
    attributes = {name: one["value"] for name, one in found["attributes"].items()}
    assert attributes == {"name": "Acme", "plan": "pro", "seats": 3}
    assert [user["id"] for user in found["users"]["items"]] == ["p1", "p2"]
    assert [event["cancel_reason"] for event in found["churn_events"]] == ["too_expensive"]
    assert {row["receipt"] for row in found["receipts"]} == set(receipts)
    assert {"Post Created", "opened", "login"} < {row["name"] for row in found["activity"]["by_name"]}


def test_as_of_answers_with_what_was_known_then(server: Server, keys: Keys) -> None:
    """Events, attributes and links that were received later are not there; before all of them, nobody is."""
    native(server, keys, {"event": "login", "uid": "u", "traits": {"plan": "free"}})
    server.wait_loaded()
    time.sleep(0.01)
    then = datetime.now(UTC).isoformat(timespec="milliseconds")
    before = view(server, keys, "u", as_of=then)
    native(server, keys, {"event": "login", "uid": "u", "customer_id": "cus_1", "traits": {"plan": "pro"}})
    now = view(server, keys, "u")
    assert view(server, keys, "u", as_of=then) == before
    assert (before["id"], before["activity"]["count"]) == ("uid:u", 1)
    assert before["attributes"]["plan"]["value"] == "free"
    assert (now["id"], now["activity"]["count"]) == ("customer_id:cus_1", 2)
    assert now["attributes"]["plan"]["value"] == "pro"
    headers = {"Authorization": f"Bearer {keys['read_key']}"}
    assert server.http.get("/v1/customers/u?as_of=2020-01-01", headers=headers).status_code == 404
    unreadable = server.http.get("/v1/customers/u?as_of=soon", headers=headers)
    assert (unreadable.status_code, unreadable.json()["field"]) == (400, "as_of")


def test_nobody_and_others_are_not_found(server: Server, keys: Keys) -> None:
    """An identifier that is unknown, or known to another app only, is 404."""
    native(server, create_app(server.data, "another app"), {"event": "login", "uid": "theirs"})
    server.wait_loaded()
    for customer in ("nobody", "theirs", "uid:theirs"):
        answer = server.http.get(f"/v1/customers/{customer}", headers={"Authorization": f"Bearer {keys['read_key']}"})
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_customer")


def test_activity_is_exact_however_many_days_there_are(
    server: Server, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a customer with more days than are told apart, sums are read by name: the same as those of the days."""
    made = [("login", day) for day in (0.1, 1.5, 8, 40, 95, 400, -2)] + [("export", 3.5), ("export", 3.4), ("Été", 20)]
    native(server, keys, *({"event": name, "uid": "u", "occurred_at": ago(day)} for name, day in made))
    native(server, keys, {"event": "login", "uid": "u", "occurred_at": ago(2.5)}, key="publishable_key")
    server.wait_loaded()
    settings = Settings.load({"data": server.data}, {})
    tenant, store = Warehouse(settings).tenant(keys["app"]), Store(connect(settings))
    asked = tenant, find_customer(tenant, store, "u"), [], time.time_ns() // 1_000_000
    counted = counts.read_counts(*asked)
    assert (counted.total.events, counted.verified, counted.ahead) == (11, 9, 1)
    monkeypatch.setattr(counts, "MAX_ROWS", len(counted.days))
    assert counts.read_counts(*asked) == counted
