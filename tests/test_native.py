"""Tenure's own ingest route on a real server: one answer for each element, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.harness import Server, create_app

Keys = dict[str, str]


def send(server: Server, keys: Keys, events: list[Any], **headers: str) -> httpx.Response:
    return server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"], **headers}, json={"events": events})


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 202, answer.text
    return [result["status"] for result in answer.json()["results"]]


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"event": "login", "uid": "u1", "message_id": f"m{number}", **more}


@pytest.mark.rule("identifiers", "native")
@pytest.mark.rule("attributes", "native")
def test_everything_that_an_element_can_say_is_kept(server: Server, keys: Keys) -> None:
    """An element with every field is on the timeline of each of its identifiers."""
    element = {
        "event": "Report Exported",
        "message_id": "m-1",
        "occurred_at": "2025-06-14T12:00:00.250Z",
        "customer_id": "cus_1",
        "uid": 42,
        "billing_id": "cus_9",
        "email": "Jane@Example.com",
        "anonymous_id": "anon-1",
        "user": {"id": "user_1", "traits": {"role": "admin"}},
        "traits": {"plan": "pro"},
        "properties": {"format": "pdf"},
        "context": {"page": "/reports"},
    }
    answer = send(server, keys, [element])
    assert statuses(answer) == ["stored_pending"]
    assert answer.json()["receipt"] == answer.headers["tenure-receipt"]
    server.wait_loaded()
    for identifier in ("cus_1", "42", "cus_9", "billing_id:cus_9", "jane@example.com", "anon-1"):
        (item,) = server.read(f"/v1/customers/{identifier}/timeline", keys)["items"]
        assert (item["name"], item["occurred_at"]) == ("Report Exported", "2025-06-14T12:00:00.250Z")
        assert (item["customer_id"], item["uid"], item["email"]) == ("cus_1", "42", "Jane@Example.com")
        assert (item["billing_id"], item["anonymous_id"]) == ("cus_9", "anon-1")
        assert (item["user_id"], item["message_id"], item["verified"]) == ("user_1", "m-1", True)
        assert (item["properties"], item["context"]) == ({"format": "pdf"}, {"page": "/reports"})
        assert item["event_id"] == answer.json()["results"][0]["event_id"]
    outcomes = server.read(f"/v1/receipts/{answer.json()['receipt']}", keys)["elements"]
    assert [(element["kind"], element["outcome"]) for element in outcomes] == [
        ("event", "stored"),
        ("identify", "stored"),
    ]


@pytest.mark.rule("native-results", "native")
@pytest.mark.rule("conflict", "native")
@pytest.mark.rule("message-id", "native")
def test_duplicates_and_conflicts_are_told_at_once(server: Server, keys: Keys) -> None:
    """In one request, in the next, and after loading: the same again is a duplicate, other content a conflict."""
    changed = event(1, properties={"changed": True})
    assert statuses(send(server, keys, [event(1), event(1), changed])) == ["stored_pending", "duplicate", "conflict"]
    assert statuses(send(server, keys, [event(1), changed, event(2)])) == ["duplicate", "conflict", "stored_pending"]
    server.wait_loaded()
    assert statuses(send(server, keys, [changed, event(2), event(3)])) == ["conflict", "duplicate", "stored_pending"]
    server.wait_loaded()
    assert len(server.read("/v1/customers/u1/timeline", keys)["items"]) == 3


@pytest.mark.soak
def test_what_a_process_has_forgotten_the_warehouse_knows(new_server: Callable[..., Server]) -> None:
    """After a restart of everything, an event that was loaded before is a duplicate still."""
    server = new_server()
    keys = create_app(server.data)
    thousand = [event(number) for number in range(1_000)]
    assert set(statuses(send(server, keys, thousand))) == {"stored_pending"}
    server.wait_loaded()
    server.stop()
    server.start()
    send(server, keys, [event(-1)])  # connects the worker to its warehouse
    assert set(statuses(send(server, keys, thousand))) == {"duplicate"}


@pytest.mark.rule("idempotency-key", "native")
def test_events_without_an_id_of_their_own_are_never_duplicates(server: Server, keys: Keys) -> None:
    """Two equal events without id and time may both be real; with an Idempotency-Key the request is one."""
    bare = {"event": "login", "uid": "u1"}
    assert statuses(send(server, keys, [bare, bare])) == ["stored_pending"] * 2
    assert statuses(send(server, keys, [bare, bare])) == ["stored_pending"] * 2
    once = {"Idempotency-Key": "request-1"}
    assert statuses(send(server, keys, [bare, bare], **once)) == ["stored_pending"] * 2
    assert statuses(send(server, keys, [bare, bare], **once)) == ["duplicate"] * 2
    server.wait_loaded()
    assert len(server.read("/v1/customers/u1/timeline", keys)["items"]) == 6


@pytest.mark.rule("partial-acceptance", "native")
@pytest.mark.rule("native-results", "native")
def test_one_bad_element_costs_no_other(server: Server, keys: Keys) -> None:
    """Each bad element is told with its index, code and field; the good ones around it are stored."""
    answer = send(server, keys, [event(1), {"event": "login"}, event(2, occurred_at="soon"), event(3)])
    assert statuses(answer) == ["stored_pending", "invalid", "invalid", "stored_pending"]
    _, nobody, no_time, _ = answer.json()["results"]
    assert (nobody["index"], nobody["code"], nobody["field"]) == (1, "missing_field", "customer_id")
    assert (no_time["index"], no_time["code"], no_time["field"]) == (2, "invalid_time", "occurred_at")
    server.wait_loaded()
    assert len(server.read("/v1/customers/u1/timeline", keys)["items"]) == 2


@pytest.mark.rule("batch-limit", "native")
@pytest.mark.rule("batch-empty", "native")
def test_a_thousand_elements_and_no_more(server: Server, keys: Keys) -> None:
    """1,000 are taken, 1,001 and none at all are refused as a whole."""
    assert len(statuses(send(server, keys, [event(n) for n in range(1_000)]))) == 1_000
    for events, code in (([event(n) for n in range(1_001)], "too_many_events"), ([], "no_events")):
        answer = send(server, keys, events)
        assert (answer.status_code, answer.json()["error"]) == (400, code)


def test_ingest_answers_while_the_engine_is_down(new_server: Callable[..., Server]) -> None:
    """Without the warehouse an event is taken all the same; its receipt settles later whether it is a duplicate."""
    server = new_server()
    keys = create_app(server.data)
    assert statuses(send(server, keys, [event(1)])) == ["stored_pending"]
    server.wait_loaded()
    server.stop()
    server.start()
    server.kill_role("engine")
    answer = send(server, keys, [event(1)])
    assert statuses(answer)[0] in ("stored_pending", "duplicate")
    server.wait_loaded()
    (element,) = server.read(f"/v1/receipts/{answer.json()['receipt']}", keys)["elements"]
    assert element["outcome"] == "duplicate"
