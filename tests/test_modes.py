"""What is not live is kept apart, and has every view that live data has: on a real server, over every way in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenure.mode import CONNECTED, LIVE, MODES, TEST, app_of
from tests.clients.arrivals import until
from tests.harness import Server, create_app, ledger_of, tenure
from tests.subscriptions.stripe.webhooks import subscription, webhook

Keys = dict[str, str]
MONTHLY = {"source": "shop", "status": "active", "currency": "USD", "effective_at": "2026-01-01T00:00:00Z",
           "items": [{"amount": 900, "plan": "pro", "interval": "month"}]}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: `tenure check` has to find everything whole."""
    running = Server(tmp_path_factory.mktemp("own") / "data")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def keys(server: Server) -> Keys:
    return create_app(server.data, name=f"shop {secrets.token_hex(4)}")


def post(server: Server, keys: Keys, path: str, body: Any) -> httpx.Response:
    answer = server.http.post(path, headers={"X-API-Key": keys["secret_key"]}, json=body)
    assert answer.status_code in (200, 202), answer.text
    return answer


def ids(server: Server, keys: Keys, mode: str, count: int) -> set[str]:
    """The customers on the list of a mode, once there are so many."""

    def read() -> set[str]:
        return {item["id"] for item in server.read("/v1/customers", keys, mode=mode)["items"]}

    until(lambda: len(read()) >= count, f"{count} customers of {mode}")
    return read()


def status_of(server: Server, keys: Keys, customer: str, **parameters: str) -> int:
    headers = {"Authorization": f"Bearer {keys['read_key']}"}
    return server.http.get(f"/v1/customers/{customer}", headers=headers, params=parameters).status_code


def check(server: Server) -> None:
    findings = json.loads(tenure("check", "--json", data=server.data))
    assert all(finding["holds"] for finding in findings), findings


def test_each_way_in_keeps_what_is_not_live_apart(server: Server, keys: Keys) -> None:
    """Native, statements, Whisperr and Stripe: no test customer is found in live, and no live one in test."""
    both = [{"event": "login", "uid": "live-1"}, {"event": "login", "uid": "test-1", "mode": "test"},
            {"uid": "test-1", "traits": {"name": "Test"}, "mode": "test"}]  # fmt: skip
    post(server, keys, "/v1/ingest", {"events": both})
    statements = [MONTHLY | {"customer_id": f"{mode}-2", "subscription": f"s-{mode}", "mode": mode} for mode in MODES]
    post(server, keys, "/v1/subscriptions", {"subscriptions": statements})
    said = [{"external_user_id": f"{mode}-3", "event_type": "login", "context": {"$message_id": mode, "$mode": mode}}
            for mode in (LIVE, TEST)]  # fmt: skip
    post(server, keys, "/v1/events/batch", {"events": said})
    post(server, keys, "/v1/events/track", said[1] | {"context": {"$message_id": "t", "$mode": TEST}})
    for mode, more in ((LIVE, {}), (TEST, {"livemode": False}), (CONNECTED, {"account": "acct_1"}),
                       (TEST, {"livemode": False, "account": "acct_1"})):  # fmt: skip
        body = webhook("2026-10-01T00:00:00Z", customer=f"cus_{mode}") | more
        post(server, keys, f"/v1/billing/stripe/{keys['app']}", body | {"id": f"evt_{mode}{len(more)}"})
    server.wait_loaded()
    assert ids(server, keys, LIVE, 4) == {"uid:live-1", "customer_id:live-2", "uid:live-3", "billing_id:cus_live"}
    assert ids(server, keys, TEST, 4) == {"uid:test-1", "customer_id:test-2", "uid:test-3", "billing_id:cus_test"}
    assert ids(server, keys, CONNECTED, 2) == {"customer_id:connected-2", "billing_id:cus_connected"}
    assert status_of(server, keys, "test-1") == 404
    assert status_of(server, keys, "test-1", mode=TEST) == 200
    assert status_of(server, keys, "live-1", mode=TEST) == 404
    for mode in MODES:
        books = ledger_of(server.data, app_of(keys["app"], mode))
        assert books.balanced
        assert books.received > 0
    check(server)


def test_test_data_counts_in_no_live_number(server: Server, keys: Keys) -> None:
    """Neither in MRR nor in churn, events and the list; its own numbers go by the rules of the app."""
    rules = {"currency": "EUR", "rates": {"USD": [{"day": "2026-01-01", "rate": "0.5"}]}}
    bearer = {"Authorization": f"Bearer {keys['secret_key']}"}
    assert server.http.put("/v1/metrics/rules", headers=bearer, json=rules).status_code == 200
    for mode, customers in ((LIVE, 1), (TEST, 3)):
        said = [MONTHLY | {"customer_id": f"c{number}", "subscription": f"s{number}", "mode": mode}
                for number in range(customers)]  # fmt: skip
        post(server, keys, "/v1/subscriptions", {"subscriptions": said})
    server.wait_loaded()

    span = {"period": "month", "from": "2026-02-01", "to": "2026-02-28"}

    def mrr(mode: str) -> Any:
        return server.read("/v1/metrics/mrr", keys, mode=mode, **span)

    for mode, customers in ((LIVE, 1), (TEST, 3)):
        until(partial(lambda mode, count: mrr(mode)["basis"]["customers"] == count, mode, customers), f"MRR of {mode}")
    live, test = mrr(LIVE), mrr(TEST)
    told = [(row["currency"], row["closing"]) for row in (live["rows"][0], test["rows"][0])]
    assert told == [("EUR", "4.50"), ("EUR", "13.50")]
    names = {mode: server.read("/v1/events", keys, mode=mode)["items"][0]["count"] for mode in (LIVE, TEST)}
    assert names == {LIVE: 1, TEST: 3}


def test_a_request_has_one_receipt_and_tells_of_every_element(server: Server, keys: Keys) -> None:
    """Pending or loaded; a message id is known again within its mode only, and a wrong mode is refused."""
    who = {"uid": "u", "message_id": "m"}
    said = [who | {"event": "a"}, who | {"event": "b", "mode": "test"},
            {"event": "c", "uid": "u", "mode": "tset"}, {"event": 5, "uid": "u", "mode": "test"}]  # fmt: skip
    answer = post(server, keys, "/v1/ingest", {"events": said})
    found = [(result["index"], result["status"]) for result in answer.json()["results"]]
    assert found == [(0, "stored_pending"), (1, "stored_pending"), (2, "invalid"), (3, "invalid")]
    assert answer.json()["results"][2]["field"] == "mode"
    receipt = f"/v1/receipts/{answer.json()['receipt']}"
    for _ in range(2):
        elements = server.read(receipt, keys)["elements"]
        assert [(one["index"], one.get("mode", LIVE)) for one in elements] == [
            (0, LIVE),
            (1, TEST),
            (2, LIVE),
            (3, TEST),
        ]
        by_id = {one["index"]: one.get("event_id") for one in elements}
        assert [by_id[result["index"]] for result in answer.json()["results"][:2]] == [by_id[0], by_id[1]]
        server.wait_loaded()
    again = post(server, keys, "/v1/ingest", {"events": said[:2]}).json()["results"]
    assert [result["status"] for result in again] == ["duplicate", "duplicate"]
    assert [one["index"] for one in server.read(receipt, keys, mode=TEST)["elements"]] == [1, 3]


def test_an_erasure_says_in_which_other_modes_there_is_something(server: Server, keys: Keys) -> None:
    """It takes what its mode has, and names the others, which are erased the same way; the command, too."""
    both = [{"event": "login", "uid": "jane", "mode": mode} for mode in (LIVE, TEST)]
    post(server, keys, "/v1/ingest", {"events": both})
    server.wait_loaded()
    bearer = {"Authorization": f"Bearer {keys['secret_key']}"}
    asked = server.http.delete("/v1/customers/jane", headers=bearer)
    assert (asked.status_code, asked.json()["also_in"]) == (202, [TEST])
    assert status_of(server, keys, "jane") == 404
    assert status_of(server, keys, "jane", mode=TEST) == 200
    done = json.loads(tenure("erase", "jane", "--app", keys["app"], "--mode", TEST, "--json", data=server.data))
    assert (done["state"], done["also_in"]) == ("done", [])
    assert status_of(server, keys, "jane", mode=TEST) == 404


def test_an_import_keeps_modes_apart(server: Server, keys: Keys, tmp_path: Path) -> None:
    """By `--map mode=`, and by what Stripe says of each object; again, it stores nothing."""
    rows = tmp_path / "events.csv"
    rows.write_text("event,time,uid,kind\n" + "".join(
        f"login,2026-01-0{day}T00:00:00Z,{kind}-{day},{kind}\n" for day in (1, 2) for kind in (LIVE, TEST)
    ))  # fmt: skip
    wanted = ("import", str(rows), "--app", keys["app"], "--map", "mode=kind", "--json")
    assert [json.loads(tenure(*wanted, data=server.data))["stored"] for _ in range(2)] == [4, 0]
    assert ids(server, keys, LIVE, 2) == {"uid:live-1", "uid:live-2"}
    assert ids(server, keys, TEST, 2) == {"uid:test-1", "uid:test-2"}
    objects = tmp_path / "stripe.jsonl"
    said = [subscription(customer=f"cus_{live}", livemode=live) for live in (True, False)]
    objects.write_text("".join(f"{json.dumps(one)}\n" for one in said))
    tenure("import", str(objects), "--stripe", "--app", keys["app"], "--json", data=server.data)
    assert "billing_id:cus_False" in ids(server, keys, TEST, 3) - ids(server, keys, LIVE, 3)
    assert "billing_id:cus_True" in ids(server, keys, LIVE, 3) - ids(server, keys, TEST, 3)
    check(server)
