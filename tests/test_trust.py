"""What anybody may send takes no message id from who is believed, on a real server and over every way in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness import Server, ledger_of, tenure

Keys = dict[str, str]
NOISE = {"event": "noise", "anonymous_id": "att", "message_id": "order-1001"}
PAID = {"event": "order_paid", "customer_id": "c1", "message_id": "order-1001"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: `tenure check` has to find everything whole."""
    running = Server(tmp_path_factory.mktemp("own") / "data")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


def send(server: Server, keys: Keys, path: str, body: Any, kind: str = "secret_key", **headers: str) -> httpx.Response:
    answer = server.http.post(path, headers={"X-API-Key": keys[kind], **headers}, json=body)
    assert answer.status_code in (200, 201, 202), answer.text
    return answer


def native(server: Server, keys: Keys, *events: dict[str, Any], kind: str = "secret_key", **headers: str) -> list[str]:
    """What is said of each event at once."""
    answer = send(server, keys, "/v1/ingest", {"events": list(events)}, kind, **headers)
    return [result["status"] for result in answer.json()["results"]]


def names(server: Server, keys: Keys) -> dict[str, int]:
    return {item["name"]: item["count"] for item in server.read("/v1/events", keys)["items"]}


def found(server: Server, keys: Keys, who: str) -> int:
    headers = {"Authorization": f"Bearer {keys['read_key']}"}
    return server.http.get(f"/v1/customers/{who}", headers=headers).status_code


def check(server: Server, keys: Keys, stored: int, duplicates: int) -> None:
    """The books of the app, and what `tenure check` says of all."""
    books = ledger_of(server.data, keys["app"])
    assert (books.stored, books.duplicates, books.balanced) == (stored, duplicates, True), books
    findings = json.loads(tenure("check", "--json", data=server.data))
    assert all(finding["holds"] for finding in findings), findings


@pytest.mark.rule("trust", "native")
@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("first", ["noise", "paid"])
def test_a_verified_event_is_heard_whoever_took_its_message_id(
    server: Server, keys: Keys, first: str, loaded: bool
) -> None:
    """Before it or after it, loaded or not: the customer is there, the other is not, and its receipt says duplicate."""
    said = {}
    for which in (first, "paid" if first == "noise" else "noise"):
        body, kind = (NOISE, "publishable_key") if which == "noise" else (PAID, "secret_key")
        answer = send(server, keys, "/v1/ingest", {"events": [body]}, kind)
        said[which] = answer.json()["results"][0], answer.headers["tenure-receipt"]
        if loaded:
            server.wait_loaded()
    server.wait_loaded()
    assert said["paid"][0]["status"] == "stored_pending"
    assert said["noise"][0]["status"] == ("stored_pending" if first == "noise" else "conflict")
    assert said["paid"][0]["event_id"] != said["noise"][0]["event_id"]
    assert (found(server, keys, "c1"), found(server, keys, "att")) == (200, 404)
    assert names(server, keys) == {"order_paid": 1}
    (element,) = server.read(f"/v1/receipts/{said['noise'][1]}", keys)["elements"]
    assert (element["outcome"], element["of"]) == ("duplicate", said["paid"][1])
    (element,) = server.read(f"/v1/receipts/{said['paid'][1]}", keys)["elements"]
    assert element["outcome"] == "stored"
    assert native(server, keys, NOISE, kind="publishable_key") == ["conflict"]
    assert native(server, keys, PAID) == ["duplicate"]
    server.wait_loaded()
    check(server, keys, stored=1, duplicates=3)


def test_one_request_with_a_signed_and_an_unsigned_copy(server: Server, keys: Keys) -> None:
    """The signed element counts, wherever it stands in the request."""
    import hmac

    signature = hmac.new(keys["secret_key"].encode(), b"c1", "sha256").hexdigest()
    assert native(server, keys, NOISE, PAID | {"auth_hash": signature}, kind="publishable_key") == [
        "conflict", "stored_pending",
    ]  # fmt: skip
    server.wait_loaded()
    assert (found(server, keys, "c1"), found(server, keys, "att")) == (200, 404)
    check(server, keys, stored=1, duplicates=1)


def test_a_statement_of_a_subscription_is_heard(server: Server, keys: Keys) -> None:
    """Its MRR is there, also where somebody guessed its message id before and after."""
    noise = NOISE | {"message_id": "sub-v1"}
    native(server, keys, noise, kind="publishable_key")
    server.wait_loaded()
    statement = {"customer_id": "c1", "subscription": "s", "message_id": "sub-v1", "status": "active",
                 "currency": "EUR", "items": [{"plan": "pro", "amount": 4900, "interval": "month"}]}  # fmt: skip
    answer = send(server, keys, "/v1/subscriptions", {"subscriptions": [statement]})
    assert answer.json()["results"][0]["status"] == "stored_pending"
    native(server, keys, noise, kind="publishable_key")
    server.wait_loaded()
    assert server.read("/v1/customers/c1", keys)["billing"]["mrr"] is not None
    check(server, keys, stored=1, duplicates=2)


def test_a_guessed_event_of_stripe_keeps_nothing_from_being_heard(server: Server, keys: Keys) -> None:
    """`stripe:evt_1` of the native form, by anybody or by a secret key, is another event than Stripe's own."""
    guess = {"event": "noise", "customer_id": "att", "message_id": "stripe:evt_1"}
    native(server, keys, guess, kind="publishable_key")
    body = {"id": "evt_1", "object": "event", "type": "customer.updated", "created": 1_781_438_400,
            "data": {"object": {"id": "cus_9", "object": "customer", "email": "jane@example.com"}}}  # fmt: skip
    for _ in range(2):
        send(server, keys, f"/v1/billing/stripe/{keys['app']}", body)
        server.wait_loaded()
    assert (found(server, keys, "billing_id:cus_9"), found(server, keys, "att")) == (200, 200)
    check(server, keys, stored=2, duplicates=1)


@pytest.mark.rule("trust", "whisperr")
def test_whisperr_has_message_ids_of_its_own(server: Server, keys: Keys) -> None:
    """`$message_id` "1" of Whisperr does not take "1" of the native form, and its verified copy is heard."""
    event = {"external_user_id": "u1", "event_type": "app_opened", "context": {"$message_id": "1"}}
    send(server, keys, "/v1/events/batch", {"events": [event]}, "publishable_key")
    assert native(server, keys, PAID | {"message_id": "1"}) == ["stored_pending"]
    send(server, keys, "/v1/events/batch", {"events": [event | {"external_user_id": "u2"}]})
    server.wait_loaded()
    assert [found(server, keys, who) for who in ("c1", "u1", "u2")] == [200, 404, 200]
    check(server, keys, stored=2, duplicates=1)


def test_an_idempotency_key_belongs_to_the_key_that_sent_it(server: Server, keys: Keys) -> None:
    """Whoever else uses the same one, by a publishable key or by another secret key, keeps nobody out."""
    other = json.loads(tenure("key", "create", "--app", keys["app"], "--kind", "secret", "--json", data=server.data))
    also = keys | {"secret_key": other["key"]}
    event = {"event": "order_paid", "customer_id": "c1"}
    said = {"Idempotency-Key": "k"}
    assert native(server, keys, event | {"customer_id": "att"}, kind="publishable_key", **said) == ["stored_pending"]
    for sender, status in ((keys, "stored_pending"), (keys, "duplicate"), (also, "stored_pending")):
        assert native(server, sender, event, **said) == [status]
    server.wait_loaded()
    check(server, keys, stored=3, duplicates=1)


def test_the_live_page_shows_the_verified_copy_for_the_other(server: Server, keys: Keys) -> None:
    """A search for the message id finds both requests, whose outcomes are those of their receipts."""
    from tenure.control.database import connect
    from tenure.control.store import Store
    from tenure.live.search import search
    from tenure.settings import Settings
    from tenure.warehouse.client import Warehouse

    native(server, keys, NOISE, kind="publishable_key")
    native(server, keys, PAID)
    server.wait_loaded()
    settings = Settings.load({"data": server.data}, {})
    tenant = Warehouse(settings).tenant(keys["app"])
    shown = search(tenant, Store(connect(settings)), settings.journal_directory, "order-1001").requests
    assert [(one.outcomes, one.elements[0].name) for one in shown] == [
        ({"stored": 1}, "order_paid"), ({"conflict": 1}, "order_paid"),
    ]  # fmt: skip
