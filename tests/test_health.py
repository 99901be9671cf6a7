"""Health and signals on a real server."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.harness import Server, create_app

Keys = dict[str, str]


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def send(server: Server, keys: Keys, *events: dict[str, Any], key: str = "secret_key") -> None:
    for start in range(0, len(events), 1_000):
        body = {"events": events[start : start + 1_000]}
        answer = server.http.post("/v1/ingest", json=body, headers={"X-API-Key": keys[key]})
        assert answer.status_code == 202, answer.text
        assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}


def events(name: str, uid: str, *days: float, **more: Any) -> list[dict[str, Any]]:
    return [{"event": name, "uid": uid, "occurred_at": ago(day), **more} for day in days]


def health(server: Server, keys: Keys, customer: str, **parameters: Any) -> Any:
    server.wait_loaded()
    return server.read(f"/v1/customers/{customer}/health", keys, **parameters)


def names(found: Any, which: str) -> list[str]:
    return [item["name"] for item in found["signals"][which]]


@pytest.fixture
def lena(server: Server, keys: Keys) -> str:
    """Uses two things, gave two answers, has a bill that is late, and an event of tomorrow."""
    send(
        server, keys,
        *events("login", "lena", *(day + 0.5 for day in range(0, 100, 2))),
        *events("report_opened", "lena", 1.5, 200.5),
        *events("nps_response", "lena", 3.5, properties={"score": 3, "comment": "slow"}),
        *events("nps_response", "lena", 4.5, properties={"score": None, "nps": "11"}),
        *events("invoice_overdue", "lena", 5.5, 45.5, 50.5),
        *events("login", "lena", -1),
    )  # fmt: skip
    send(server, keys, *events("subscription_upgraded", "lena", 0.2), key="publishable_key")
    return "lena"


def test_every_point_leads_to_events(server: Server, keys: Keys, lena: str) -> None:
    """The parts make up the score, and each event named as evidence is on the timeline under the name that is named."""
    found = health(server, keys, lena)
    assert found["score"] == sum(part["points"] for part in found["parts"])
    points = {part["part"]: (part["points"], part["possible"], part["left_out"]) for part in found["parts"]}
    # In full, but for 15 x 3/7 of signals: 3 for login against 2 and 2. All of 85, so 29.4, 23.5, 17.6, 11.8 and 7.6.
    assert points == {
        "recency": (29, 29, None), "frequency": (23, 23, None), "trend": (18, 18, None), "breadth": (12, 12, None),
        "signals": (8, 18, None), "billing": (0, 0, "billing_unknown"),
    }  # fmt: skip
    assert (found["events"], found["dated_ahead"], found["cut"]) == (57, 1, False)
    assert found["known_since"].startswith(ago(200.5)[:16])
    page = server.read(f"/v1/customers/{lena}/timeline", keys, limit=1000)
    by_id = {item["event_id"]: item["name"] for item in page["items"]}
    lists = [item for which in found["signals"].values() for item in which]
    evidence = [(one["event_ids"], one["names"]) for part in found["parts"] for one in part["evidence"]]
    for event_ids, named in [*evidence, *((item["event_ids"], [item["name"]]) for item in lists)]:
        assert {by_id[event] for event in event_ids} <= set(named or by_id.values())
    assert (names(found, "positive"), names(found, "unverified")) == (["login"], ["subscription_upgraded"])
    overdue = next(item for item in found["signals"]["negative"] if item["name"] == "invoice_overdue")
    assert (overdue["count"], overdue["before_30_days"], overdue["before_90_days"]) == (1, 2, 2)
    assert [(item["name"], item["count"]) for item in found["signals"]["unreadable"]] == [("nps_response", 1)]


def test_as_of_is_what_was_known_then(server: Server, keys: Keys, lena: str) -> None:
    """An event that arrives later changes no answer as of before, whatever its date."""
    server.wait_loaded()
    then = datetime.now(UTC).isoformat(timespec="milliseconds")
    time.sleep(0.01)  # as_of is the end of a millisecond
    before = health(server, keys, lena, as_of=then)
    now = health(server, keys, lena)
    assert (before["score"], before["signals"], before["parts"]) == (now["score"], now["signals"], now["parts"])
    send(server, keys, *events("subscription_cancelled", lena, 2))
    assert health(server, keys, lena, as_of=then) == before
    assert health(server, keys, lena)["score"] < now["score"]
    assert health(server, keys, lena, as_of=ago(-0.001))["as_of"]


def test_the_view_has_it_in_short(server: Server, keys: Keys, lena: str) -> None:
    """`GET /v1/customers/{id}` has the score, the points and the names."""
    found = health(server, keys, lena)
    short = server.read(f"/v1/customers/{lena}", keys)["health"]
    assert short["score"] == found["score"]
    assert short["points"]["signals"] == [8, 18]
    assert short["negative"] == names(found, "negative")
    send(server, keys, {"uid": "nobody yet", "traits": {"plan": "pro"}})
    server.wait_loaded()
    short = server.read("/v1/customers/nobody%20yet", keys)["health"]
    assert (short["score"], short["insufficient_data"]) == (None, ["known_too_short", "too_few_events"])


def test_tracking_that_broke_for_all_is_no_silence_of_one(server: Server, keys: Keys) -> None:
    """A name that four customers sent until six days ago is broken tracking for each; a name of one alone is not."""
    for uid in "abcd":
        send(server, keys, *events("search_run", uid, *(6 + day / 2 for day in range(120))))
    send(server, keys, *events("report_opened", "a", *(15.5 + day for day in range(60))))
    now, then = (health(server, keys, "a", **asked) for asked in ({}, {"as_of": ago(0)}))
    for found in (now, then):
        assert (names(found, "broken_tracking"), names(found, "silent")) == (["search_run"], ["report_opened"])
        points = {part["part"]: part["points"] - part["possible"] for part in found["parts"]}
        assert (points["recency"], points["frequency"]) == (0, 0)
    assert now["signals"] == then["signals"]


def test_an_app_declares_its_own_names_and_weights(server: Server, keys: Keys) -> None:
    """With a secret key only; scores follow at once, and what cannot be is refused as a whole."""
    send(server, keys, *events("Export Failed", "u", *range(1, 30)))
    assert names(health(server, keys, "u"), "negative") == []
    secret, read = ({"Authorization": f"Bearer {keys[kind]}"} for kind in ("secret_key", "read_key"))
    wanted = {"signals": {"Export Failed": "negative"}, "weights": {"signals": 100}}
    assert server.http.put("/v1/signals", json=wanted, headers=read).status_code == 403
    answer = server.http.put("/v1/signals", json=wanted, headers=secret)
    assert answer.status_code == 200, answer.text
    found = health(server, keys, "u")
    assert (names(found, "negative"), found["weights"]["signals"]) == (["Export Failed"], 100)
    shown = server.read("/v1/signals", keys)
    assert shown == answer.json()
    assert shown["signals"] == {"Export Failed": "negative"}
    assert {"name": "login", "sign": "positive", "strength": 1, "by_customer": True, "meant_by": "windback"} in shown[
        "recognised"
    ]
    refused = server.http.put("/v1/signals", json={"signals": {}, "weights": {"signals": -1}}, headers=secret)
    assert (refused.status_code, refused.json()["field"]) == (400, "weights")
    assert server.read("/v1/signals", keys) == shown
    assert server.http.put("/v1/signals", json={"signals": {}}, headers=secret).json()["weights"]["signals"] == 100


def test_what_a_customer_may_have_is_bounded(server: Server, keys: Keys) -> None:
    """Ten thousand names, most of them unverified, still give a short answer, in which no verified signal is lost."""
    send(server, keys, *(event for n in range(3_000) for event in events(f"name {n}", "u", 1 + n % 60)))
    send(server, keys, *events("refund_requested", "u", 29))
    send(server, keys, *(event for n in range(7_000) for event in events(f"fake {n}", "u", 1)), key="publishable_key")
    found = health(server, keys, "u")
    assert names(found, "negative") == ["refund_requested"]
    assert (len(found["signals"]["unverified"]), found["cut"]) == (50, False)


def test_nobody_is_not_found(server: Server, keys: Keys) -> None:
    """An unknown customer has no health."""
    answer = server.http.get("/v1/customers/nobody/health", headers={"Authorization": f"Bearer {keys['read_key']}"})
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_customer")


def test_what_everybody_did_is_remembered_by_app(server: Server, keys: Keys) -> None:
    """A question that may be answered as of a minute ago is, until then, and never with another app's rows."""
    warehouse = Warehouse(Settings.load({"data": server.data}, {}))
    ours, theirs = (warehouse.tenant(app) for app in (keys["app"], create_app(server.data, "another's health")["app"]))
    question = "SELECT count() FROM event FINAL WHERE name = {name:String}"

    def ask(name: str = "login", seconds: float = 60) -> Any:
        return [tenant.rows_lately(question, {"name": name}, seconds=seconds)[0][0] for tenant in (ours, theirs)]

    assert ask() == [0, 0]
    send(server, keys, *events("login", "u", 1), *events("logout", "u", 1))
    server.wait_loaded()
    assert (ask(), ask("logout", seconds=0)) == ([0, 0], [1, 0])
    send(server, keys, *events("logout", "u", 2))
    server.wait_loaded()
    assert ask("logout") == [2, 0]
