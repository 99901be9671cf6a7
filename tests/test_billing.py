"""What a customer pays, on a real server: from events to the view, the list and the ledger, line by line."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.erasure.person import certificate_when_done, erase
from tests.harness import Server

Keys = dict[str, str]

LISTED_SECONDS = 60


def monthly(amount: int, plan: str) -> dict[str, Any]:
    return {"amount": amount, "plan": plan, "interval": "month"}


def said(message_id: str, when: str, amount: int | None = None, **fields: Any) -> dict[str, Any]:
    """An element that says something of subscription s1, or of another."""
    who = {"uid": fields.pop("uid", "u1")}
    price = {} if amount is None else {"status": "active", "currency": "USD", "items": [monthly(amount, "pro")]}
    properties = {"source": "native", "subscription": "s1"} | price | fields
    return {"event": "subscription_updated", "message_id": message_id, "occurred_at": f"{when}T12:00:00Z",
            "properties": properties, **who}  # fmt: skip


def send(server: Server, keys: Keys, *elements: dict[str, Any], key: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", json={"events": elements}, headers={"X-API-Key": keys[key]})
    assert answer.status_code == 202, answer.text
    server.wait_loaded()


def read(server: Server, keys: Keys, customer: str, part: str = "", **parameters: Any) -> Any:
    return server.read(f"/v1/customers/{quote(customer, safe='')}{part}", keys, **parameters)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LISTED_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.1)


def listed(server: Server, keys: Keys, **filters: Any) -> list[str]:
    return [item["id"] for item in server.read("/v1/customers", keys, **filters)["items"]]


def in_list(server: Server, keys: Keys, q: str) -> Any:
    """What the list says of the billing of one customer."""
    items = server.read("/v1/customers", keys, q=q)["items"]
    return (items[0]["billing"] if items else None) or {"status": None}


def ms(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp() * 1000)


HISTORY = [
    said("m1", "2026-01-05", 3000, period_start=ms("2026-01-05"), period_end=ms("2026-02-05")),
    said(
        "m2",
        "2026-02-05",
        120_00,
        items=[
            monthly(10000, "team"),
            monthly(2000, "seat"),
        ],
    ),
    said("m3", "2026-03-01", status="past_due"),
    said("m4", "2026-03-10", status="canceled", cause="involuntary", reason="card declined"),
    said("m5", "2026-04-01", 1000, subscription="s2"),
    said("m6", "2026-04-20", 2500, subscription="s2", cancel_at=ms("2199-01-01"), period_end=ms("2199-01-01")),
]


def test_any_order_and_repetition_makes_one_explained_history(server: Server, keys: Keys) -> None:
    """Events in any order and twice: the same customer, list and subscriptions, with every line of evidence."""
    answers = []
    for seed in (1, 2):
        shuffled = HISTORY + HISTORY[:3]
        random.Random(seed).shuffle(shuffled)
        for element in shuffled:
            send(server, keys, element | {"uid": f"o{seed}", "message_id": f"{seed}{element['message_id']}"})
        view = read(server, keys, f"o{seed}")["billing"]
        until(lambda: in_list(server, keys, f"o{seed}").items() <= view.items())  # noqa: B023
        page = read(server, keys, f"o{seed}", "/subscriptions")
        timeline = {event["event_id"] for event in read(server, keys, f"o{seed}", "/timeline")["items"]}
        for one in page["items"]:
            for line in one["evidence"]:
                assert line.pop("event_id") in timeline
                assert line.pop("receipt")
                assert line.pop("received_at")
        answers.append((view, page))
    (view, page), other = answers
    assert (view, page) == other
    assert (view["status"], view["plans"], view["mrr"], view["currency"]) == ("active", ["pro"], "25.00", "USD")
    assert (view["paying_since"], view["cancel_at"][:10], view["renews_at"]) == ("2026-04-01", "2199-01-01", None)
    assert view["days"] == (datetime.now(UTC).date() - datetime(2026, 4, 1).date()).days + 1
    assert view["mrr_by_currency"] == {"USD": "25.00"}
    assert [(spell["start"], spell["end"], spell["cause"], spell["reason"]) for spell in page["spells"]] == [
        ("2026-04-01", None, None, None), ("2026-01-05", "2026-03-10", "involuntary", "card declined"),
    ]  # fmt: skip
    assert [(line["day"], line["kind"], line["amount"]) for line in page["movements"]] == [
        ("2026-04-20", "expansion", "15.00"), ("2026-04-01", "reactivated", "10.00"),
        ("2026-03-10", "churned", "-120.00"), ("2026-02-05", "expansion", "90.00"), ("2026-01-05", "new", "30.00"),
    ]  # fmt: skip
    assert [(line["plan"], line["before"], line["after"]) for line in page["movements"][3]["changes"]] == [
        ("pro", "30.00", "0.00"), ("seat", "0.00", "20.00"), ("team", "0.00", "100.00"),
    ]  # fmt: skip
    first, second = page["items"]
    assert (first["id"], first["status"], first["evidence_count"]) == ("s1", "canceled", 4)
    assert [state["status"] for state in first["states"]] == ["canceled", "past_due", "active", "active"]
    assert (second["states"][0]["status"], second["states"][0]["since"][:10]) == ("canceled", "2199-01-01")
    assert page["reported"] is None


def test_as_of_answers_with_what_was_known_then(server: Server, keys: Keys) -> None:
    """Facts that were received later are not there; before all of them, nothing is paid."""
    send(server, keys, {"event": "login", "uid": "u1"})
    moments = []
    for element in HISTORY[:4]:
        time.sleep(0.01)
        moments.append(datetime.now(UTC).isoformat(timespec="milliseconds"))
        time.sleep(0.01)
        send(server, keys, element)
    assert read(server, keys, "u1", as_of=moments[0])["billing"] is None
    statuses = [read(server, keys, "u1", as_of=moment)["billing"]["status"] for moment in moments[1:]]
    assert statuses == ["active", "active", "past_due"]
    then = read(server, keys, "u1", "/subscriptions", as_of=moments[2])
    assert [line["kind"] for line in then["movements"]] == ["expansion", "new"]
    assert read(server, keys, "u1", "/subscriptions", as_of=moments[0])["items"] == []
    now = read(server, keys, "u1")["billing"]
    assert (now["status"], now["mrr"], now["days"], now["past_due"]) == ("canceled", "0.00", None, False)


def test_the_list_is_filtered_and_sorted_by_what_is_paid(server: Server, keys: Keys) -> None:
    """By status, plan, MRR, currency, renewal and whether a bill is late; who pays nothing comes last."""
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat(timespec="milliseconds")
    period = {"period_end": int(datetime.fromisoformat(soon).timestamp() * 1000)}
    send(
        server, keys, {"event": "login", "uid": "nobody"},
        said("1", "2026-01-01", 5000, uid="late", status="past_due"),
        said("2", "2026-02-01", 900, uid="small", **period),
        said("3", "2026-03-01", 700_00, uid="large", currency="EUR", items=[monthly(70000, "max")]),
        said("4", "2026-03-01", 100, uid="gone", status="canceled"),
    )  # fmt: skip
    until(lambda: len(listed(server, keys)) == 5 and listed(server, keys, status="none") == ["uid:nobody"])

    def found(**filters: Any) -> list[str]:
        return [name.removeprefix("uid:") for name in listed(server, keys, **filters)]

    assert found(sort="-mrr") == ["large", "late", "small", "gone", "nobody"]
    assert found(sort="mrr") == ["gone", "small", "late", "large", "nobody"]
    assert found(sort="renews_at")[0] == "small"
    assert found(sort="paying_since")[:3] == ["late", "small", "large"]
    assert found(past_due=True) == found(status="past_due") == ["late"]
    assert found(status="none") == ["nobody"]
    assert found(mrr_at_least="50", sort="mrr") == ["late", "large"]
    assert found(mrr_below="9.01", sort="mrr") == ["gone", "small"]
    assert found(currency="EUR") == found(plan="max") == ["large"]
    assert found(renews_after="2026-01-01", renews_before=soon.replace("+00:00", "Z")) == []
    assert found(renews_after="2026-01-01") == ["small"]
    first = server.read("/v1/customers", keys, sort="-mrr", limit=2)
    rest = server.read("/v1/customers", keys, sort="-mrr", limit=3, cursor=first["next"])
    assert [item["id"] for item in first["items"] + rest["items"]] == listed(server, keys, sort="-mrr")
    for wrong in ({"status": "rich"}, {"mrr_at_least": "much"}):
        headers = {"Authorization": f"Bearer {keys['read_key']}"}
        assert server.http.get("/v1/customers", params=wrong, headers=headers).status_code == 400


def test_a_merge_moves_the_ledger_and_a_split_moves_it_back(server: Server, keys: Keys) -> None:
    """Two customers who become one have one history of what they pay, and two again afterwards."""
    headers = {"Authorization": f"Bearer {keys['secret_key']}"}
    send(server, keys, said("1", "2026-01-01", 1000, uid="a"), said("2", "2026-02-01", 500, uid="b", subscription="s2"))
    until(lambda: len(listed(server, keys, status="active")) == 2)
    before = [read(server, keys, uid, "/subscriptions") for uid in "ab"]
    merge = server.http.post("/v1/customers/a/merge", json={"with": "b"}, headers=headers).json()["merge"]
    assert read(server, keys, "b")["billing"]["mrr"] == "15.00"
    assert [line["kind"] for line in read(server, keys, "a", "/subscriptions")["movements"]] == ["expansion", "new"]
    until(lambda: listed(server, keys, mrr_at_least="15") == ["uid:a"])
    first = read(server, keys, "a", "/subscriptions", limit=1)
    second = read(server, keys, "a", "/subscriptions", cursor=first["next"])
    assert [one["id"] for one in first["items"] + second["items"]] == ["s1", "s2"]
    assert (second["next"], second["movements"]) == (None, [])
    assert server.http.post("/v1/customers/a/split", json={"merge": merge}, headers=headers).status_code == 200
    until(lambda: len(listed(server, keys, status="active")) == 2)
    assert [read(server, keys, uid, "/subscriptions") for uid in "ab"] == before


def test_what_anybody_may_send_pays_nothing(server: Server, keys: Keys) -> None:
    """A billing event that is not verified is on the timeline, counted, and says nothing of money."""
    send(server, keys, said("1", "2026-01-01", 1000, uid="x"), key="publishable_key")
    assert [event["name"] for event in read(server, keys, "x", "/timeline")["items"]] == ["subscription_updated"]
    assert read(server, keys, "x")["billing"] is None
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'tenure_subscription_events_unreadable_total{dialect="native",problem="unverified"}' in metrics


def test_who_is_erased_pays_and_paid_nothing(server: Server, keys: Keys) -> None:
    """Facts and ledger go with the customer; what others pay stays."""
    send(server, keys, said("1", "2026-01-01", 1000, uid="gone"), said("2", "2026-01-01", 500, uid="stays"))
    until(lambda: len(listed(server, keys, status="active")) == 2)
    certificate = certificate_when_done(server, keys, erase(server, keys, "gone"))
    removed = certificate["removed"]["warehouse"]
    assert (removed["subscription_fact"], removed["ledger"]) == (1, 1)
    client = Warehouse(Settings.load({"data": server.data}, {})).client
    for table in ("subscription_fact", "ledger"):
        sql = f"SELECT count() FROM {table} FINAL WHERE app = {{app:String}}"
        assert client.query(sql, {"app": keys["app"]}).result_rows == [(1,)]
    assert read(server, keys, "stays")["billing"]["mrr"] == "5.00"
    assert listed(server, keys, status="active") == ["uid:stays"]
