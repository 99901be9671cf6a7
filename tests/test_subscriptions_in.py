"""What users say of subscriptions themselves, on a real server: by the route, and from a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenure.event import Event
from tenure.subscriptions.sources import facts
from tests.harness import Server
from tests.importer.test_command import run, summary

Keys = dict[str, str]


def send(server: Server, key: str, statements: list[Any]) -> httpx.Response:
    return server.http.post("/v1/subscriptions", headers={"X-API-Key": key}, json={"subscriptions": statements})


def statement(number: int, **more: Any) -> dict[str, Any]:
    items = [{"plan": "pro", "amount": 4900, "interval": "month"}]
    said = {"status": "active", "currency": "eur", "items": items}
    return {"uid": "u1", "subscription": "sub_1", "message_id": f"s{number}", **said, **more}


def timeline(server: Server, keys: Keys, customer: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = server.read(f"/v1/customers/{customer}/timeline", keys)["items"]
    return items


@pytest.mark.rule("native-results", "native")
def test_statements_are_events_and_each_has_its_answer(server: Server, keys: Keys) -> None:
    """Stored, there already, contradicting and invalid are told by index; what was said is on the timeline."""
    at = {"effective_at": "2026-06-14T14:00:00+02:00", "cancel_at": None}
    answer = send(
        server,
        keys["secret_key"],
        [statement(1, **at), statement(1, **at), statement(1, status="past_due", **at), statement(2, status="live")],
    )
    assert answer.status_code == 202, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["stored_pending", "duplicate", "conflict", "invalid"]
    assert (results[3]["code"], results[3]["field"]) == ("invalid_value", "status")
    server.wait_loaded()
    again = send(server, keys["secret_key"], [statement(1, **at)]).json()["results"]
    assert [result["status"] for result in again] == ["duplicate"]

    (item,) = timeline(server, keys, "u1")
    assert (item["name"], item["occurred_at"]) == ("subscription_updated", "2026-06-14T12:00:00.000Z")
    assert (item["event_id"], item["verified"]) == (results[0]["event_id"], True)
    stored = Event(index=0, name=item["name"], message_id="s1", properties=json.dumps(item["properties"]))
    (fact,) = facts("native", stored, 0).facts
    assert (fact.source, fact.subscription, fact.id) == ("native", "sub_1", "s1")
    assert set(fact.said) == {"status", "currency", "items", "cancel_at"}


def test_money_is_said_with_a_secret_key_only(server: Server, keys: Keys) -> None:
    """Who has the key of a page cannot say what a customer pays."""
    for kind, status in (("publishable_key", 403), ("read_key", 403)):
        assert send(server, keys[kind], [statement(1)]).status_code == status
    assert send(server, "sk_live_unknown", [statement(1)]).status_code == 401


def test_a_file_of_subscriptions_twice_is_once(server: Server, keys: Keys, tmp_path: Path) -> None:
    """Each good row is a statement on its customer's timeline; the file again, shuffled, adds nothing."""
    header = ["customer_id", "subscription_id", "state", "plan", "amount", "currency", "interval", "started_at"]
    rows = [[f"c{n % 3}", f"sub_{n}", "active", "pro", f"{n}.90", "USD", "month", "2026-01-01"] for n in range(12)]
    rows[5][4] = "4.995"
    options = ("--subscriptions", "--amounts", "units", "--set", "effective_at=2026-06-14", "--map", "status=state")
    counts = []
    for ordered in (rows, rows[::-1]):
        file = tmp_path / "subscriptions.csv"
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([header, *ordered])
        found = summary(run(file, server.data, *options, "--json", app=keys["app"]))
        assert (found["rows"], found["events"], found["refused"]) == (12, 11, {"amount_not_exact": 1})
        counts.append((found["stored"], found["duplicates"]))
    assert counts == [(11, 0), (0, 11)]
    items = timeline(server, keys, "c1")
    assert len(items) == 4
    amounts = {item["properties"]["subscription"]: item["properties"]["items"][0]["amount"] for item in items}
    assert amounts == {"sub_1": 190, "sub_4": 490, "sub_7": 790, "sub_10": 1090}
