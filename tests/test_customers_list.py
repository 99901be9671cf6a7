"""`GET /v1/customers`: everybody once, found by any identifier, filtered, sorted and paged."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness import Server, create_app

Keys = dict[str, str]

NOW = datetime.now(UTC).replace(microsecond=0)


def ago(**parts: float) -> str:
    return (NOW - timedelta(**parts)).isoformat()


def send(server: Server, keys: Keys, *elements: dict[str, Any], key: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[key]}, json={"events": list(elements)})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}


def listed(server: Server, keys: Keys, **parameters: Any) -> list[str]:
    """The ids on the list, in its order."""
    return [item["id"] for item in server.read("/v1/customers", keys, **parameters)["items"]]


def wait_listed(server: Server, keys: Keys, events: int, customers: int | None = None) -> None:
    """Wait until the list counts so many events, and customers."""
    server.wait_loaded()
    deadline = time.monotonic() + 30
    while True:
        items = server.read("/v1/customers", keys, limit=1000)["items"]
        if sum(item["events"] for item in items) == events and customers in (None, len(items)):
            return
        assert time.monotonic() < deadline, (items, server.log.read_text()[-3000:])
        time.sleep(0.05)


@pytest.fixture(scope="module")
def three(server: Server) -> Keys:
    """Three customers: Ann (3 events, the last today), Bob (1, 40 days ago), and Cid, who is known by attributes only."""
    keys = create_app(server.data, "three customers")
    ann = {"customer_id": "cus_ann", "email": "Ann@Example.com"}
    send(
        server, keys,
        {**ann, "event": "login", "occurred_at": ago(days=60)},
        {**ann, "event": "login", "occurred_at": ago(days=3)},
        {**ann, "event": "export", "occurred_at": ago(hours=1),
         "traits": {"name": "Ann Onym", "plan": "pro", "seats": 12, "trial": False}},
        {"uid": "bob", "event": "login", "occurred_at": ago(days=40), "traits": {"plan": "free", "seats": 3, "zip": "0123"}},
        {"uid": "cid", "traits": {"company": "Ångström & Söhne", "seats": 100}},
    )  # fmt: skip
    wait_listed(server, keys, 4, 3)
    return keys


def test_a_customer_has_identifiers_name_and_activity(server: Server, three: Keys) -> None:
    """An item says who it is, what they are called, how much they did, and what and when last."""
    items = {item["id"]: item for item in server.read("/v1/customers", three)["items"]}
    ann = items["customer_id:cus_ann"]
    assert ann["name"] == "Ann Onym"
    assert (ann["events"], ann["verified_events"], ann["last_event"]) == (3, 3, "export")
    assert ann["last_seen"] == (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert ann["first_seen"] == (NOW - timedelta(days=60)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    cid = items["uid:cid"]
    assert (cid["name"], cid["events"]) == ("Ångström & Söhne", 0)
    assert (cid["first_seen"], cid["last_seen"], cid["last_event"]) == (None, None, None)


FILTERS = {
    "q=cus": "ann", "q=CUS_ANN": "ann", "q=uid:": "bob cid", "q=uid:b": "bob", "q=ann o": "ann", "q=ångström": "cid",
    "q=nobody": "", "q=": "ann bob cid",
    "did=login": "ann bob", "did=login&did_within_days=10": "ann", "did=login&did_at_least=2": "ann",
    "did=login&did_at_least=2&did_within_days=10": "", "did=login&did_at_least=2&did_within_days=90": "ann", "did=x": "",
    "events_at_least=1": "ann bob", "events_at_least=4": "",
    "inactive_days=30": "bob", "inactive_days=50": "",
    "verified=true": "ann bob", "verified=false": "cid",
    "attribute=plan:eq:pro": "ann", "attribute=plan:ne:pro": "bob", "attribute=plan:exists": "ann bob",
    "attribute=plan:missing": "cid", "attribute=seats:gt:3": "ann cid", "attribute=seats:lt:12.5": "ann bob",
    "attribute=seats:eq:12.0": "ann", "attribute=trial:eq:false": "ann", "attribute=zip:eq:0123": "bob",
    "attribute=zip:eq:123": "", "attribute=plan:gt:g": "ann", "attribute=plan:gt:3": "", "attribute=seats:gt:g": "",
    "attribute=plan:exists&attribute=seats:lt:10": "bob",
}  # fmt: skip


@pytest.mark.parametrize("question", FILTERS)
def test_filters(server: Server, three: Keys, question: str) -> None:
    """Each filter keeps the customers that it describes."""
    answer = server.http.get(
        f"/v1/customers?sort=first_seen&{question}", headers={"Authorization": f"Bearer {three['read_key']}"}
    )
    assert answer.status_code == 200, answer.text
    names = {"customer_id:cus_ann": "ann", "uid:bob": "bob", "uid:cid": "cid"}
    assert " ".join(names[item["id"]] for item in answer.json()["items"]) == FILTERS[question]
