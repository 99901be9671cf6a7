"""A customer is erased: at once from every answer, then from every byte, for good, and nobody else is touched."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from tenure.control.database import connect
from tenure.control.repairs import Match
from tenure.control.store import Store
from tenure.repair.steps import Step
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.erasure.bytes_of import holders
from tests.erasure.person import (
    RECOGNISED,
    Keys,
    Person,
    bearer,
    certificate_when_done,
    erase,
    outcomes,
    requests_of,
    send,
)
from tests.harness import Server, create_app, tenure
from tests.warehouse_books import Books, books

GONE_SECONDS = 60


def books_of(server: Server, keys: Keys) -> Books:
    return books(Warehouse(Settings.load({"data": server.data}, {})).tenant(keys["app"]))


def answers_about(server: Server, keys: Keys, person: Person) -> list[Any]:
    paths = [f"/v1/customers/{known}/{what}" for known in person.identifiers for what in ("timeline", "churn-events")]
    return [server.read(path, keys) for path in [*paths, *[f"/v1/receipts/{receipt}" for receipt in person.receipts]]]


def is_unknown(server: Server, keys: Keys, person: Person) -> bool:
    found = [
        server.http.get(f"/v1/customers/{known}/timeline", headers=bearer(keys, "read_key"))
        for known in person.identifiers
    ]
    return {answer.status_code for answer in found} == {404}


def are_counted(server: Server, keys: Keys) -> bool:
    """Whether the counts that are kept by name and day are those of the events that are stored."""
    now = datetime.now(UTC).isoformat()
    return bool(server.read("/v1/events", keys) == server.read("/v1/events", keys, as_of=now))


def note_down(server: Server, keys: Keys, person: Person) -> None:
    """What those who use Tenure may have written of a person."""
    store = Store(connect(Settings.load({"data": server.data}, {})))
    store.saved_views.save(keys["app"], person.text("view"), urlencode({"attribute": f"email:eq:{person.email}"}))
    match = Match("native", "/v1/ingest", "bad_field", "user")
    store.repairs.add(keys["app"], match, [Step("default", "customer_id", person.customer_id)], "ann@example.com")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_no_answer_and_no_byte_is_left(own: tuple[Server, Keys]) -> None:
    """What was planted in every place is found there before and nowhere afterwards; another customer stays as is."""
    server, keys = own
    jane, john = Person(), Person()
    sent = requests_of(jane)
    for person, requests in ((jane, sent), (john, requests_of(john))):
        send(server, keys, person, requests)
    server.wait_loaded()
    note_down(server, keys, jane)
    assert set(holders(server, jane.planted)) == set(jane.planted)
    before, at_first = answers_about(server, keys, john), books_of(server, keys)

    erasure = erase(server, keys, jane.email.upper())
    assert is_unknown(server, keys, jane)
    names = lambda: {row["name"]: row["count"] for row in server.read("/v1/events", keys)["items"]}  # noqa: E731
    assert f"{jane.mark}-event-name" not in names()
    assert names()["login"] == 2
    done = certificate_when_done(server, keys, erasure)

    assert holders(server, [jane.mark]) == {}
    assert done["identifiers"] == 6
    assert done["removed"]["warehouse"]["event"] == 10
    assert done["removed"]["warehouse"]["subscription_fact"] == 3  # two of them say what Windback's churn events do
    assert done["removed"]["control"] == {"link": 5, "saved_view": 1, "repair": 1}
    assert jane.mark not in json.dumps(done)
    assert list(done["reached"]) == ["requested", "unlinked", "loaded", "hidden", "purged", "scrubbed", "done"]
    assert set(outcomes(server, keys, jane.receipts)) == {"erased", "rejected"}
    assert answers_about(server, keys, john) == before
    counted = books_of(server, keys)
    assert counted.balanced
    assert (counted.received, counted.erased) == (at_first.received, 11)
    assert jane.mark not in server.log.read_text()
    assert are_counted(server, keys)
    assert "FAIL" not in tenure("check", data=server.data)


def test_old_events_that_come_again_stay_erased(own: tuple[Server, Keys]) -> None:
    """While the erasure lasts and after it: they are counted as erased, nothing is back, and no byte of them stays."""
    server, keys = own
    jane = Person()
    old = requests_of(jane)[:RECOGNISED]
    send(server, keys, jane, old)
    server.wait_loaded()
    erasure = erase(server, keys, jane.customer_id)
    send(server, keys, jane, old)
    certificate_when_done(server, keys, erasure)
    send(server, keys, jane, old)
    server.wait_loaded()
    assert set(outcomes(server, keys, jane.receipts)) == {"erased", "rejected"}
    assert is_unknown(server, keys, jane)
    assert books_of(server, keys).balanced
    wait_until(lambda: not holders(server, [jane.mark]))


def test_what_comes_afterwards_is_a_new_customer(own: tuple[Server, Keys]) -> None:
    """New events of the same person are kept, and the next erasure takes them."""
    server, keys = own
    jane = Person()
    event = {"url": "/v1/ingest", "headers": {"X-API-Key": "secret_key"},
             "json": {"events": [{"event": "back", "customer_id": jane.customer_id, "message_id": "m1"}]}}  # fmt: skip
    send(server, keys, jane, requests_of(jane))
    server.wait_loaded()
    first = erase(server, keys, jane.customer_id)
    send(server, keys, jane, [event])
    wait_until(lambda: outcomes(server, keys, jane.receipts[-1:]) == ["stored"])
    certificate_when_done(server, keys, first)
    items = server.read(f"/v1/customers/{jane.customer_id}/timeline", keys)["items"]
    assert [item["name"] for item in items] == ["back"]
    second = erase(server, keys, jane.customer_id)
    assert second != first
    certificate_when_done(server, keys, second)
    assert is_unknown(server, keys, jane)
    send(server, keys, jane, [event])
    wait_until(lambda: outcomes(server, keys, jane.receipts[-2:]) == ["erased", "erased"])
    assert books_of(server, keys).balanced
    wait_until(lambda: not holders(server, [jane.mark]))


def test_events_under_another_customer_that_carry_the_person_go_too(own: tuple[Server, Keys]) -> None:
    """An unverified event that names two customers links nothing, and still does not keep one of them."""
    server, keys = own
    jane = Person()
    told = {"event": "shared", "customer_id": "someone", "email": f" {jane.email} ", "message_id": "m1"}
    for kind, event in (("secret_key", {"event": "own", "email": jane.email}), ("publishable_key", told)):
        body = {"events": [event]}
        send(server, keys, jane, [{"url": "/v1/ingest", "headers": {"X-API-Key": kind}, "json": body}])
    server.wait_loaded()
    assert len(server.read("/v1/customers/someone/timeline", keys)["items"]) == 1
    done = certificate_when_done(server, keys, erase(server, keys, jane.email))
    assert done["removed"]["warehouse"]["event of others"] == 1
    assert are_counted(server, keys)
    assert server.read("/v1/events", keys)["items"] == []
    assert outcomes(server, keys, jane.receipts) == ["erased", "erased"]
    assert holders(server, [jane.mark]) == {}
    assert books_of(server, keys).balanced


def test_who_may_ask_and_for_whom(server: Server, keys: Keys) -> None:
    """A secret key of the app, for a customer of the app; anything else changes nothing."""
    send(server, keys, Person(), [{"url": "/v1/ingest", "headers": {"X-API-Key": "secret_key"},
                                   "json": {"events": [{"event": "login", "uid": "jane"}]}}])  # fmt: skip
    server.wait_loaded()
    others = create_app(server.data, "others")
    ask = lambda headers, who="jane": server.http.delete(f"/v1/customers/{who}", headers=headers)  # noqa: E731
    wait_until(lambda: ask(bearer(others)).status_code != 401)  # a new key may take a second
    assert ask({}).status_code == 401
    assert ask(bearer(keys, "read_key")).status_code == 403
    assert ask(bearer(keys, "publishable_key")).status_code == 403
    assert ask(bearer(keys), "nobody").json()["error"] == "unknown_customer"
    assert ask(bearer(others)).status_code == 404
    assert len(server.read("/v1/customers/jane/timeline", keys)["items"]) == 1
    first, second = ask(bearer(keys)), ask(bearer(keys))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    path = f"/v1/erasures/{first.json()['id']}"
    assert server.http.get(path, headers=bearer(others, "read_key")).json()["error"] == "unknown_erasure"
    certificate_when_done(server, keys, first.json()["id"])
    assert ask(bearer(keys)).status_code == 404


def test_a_shared_address_names_nobody(server: Server, keys: Keys) -> None:
    """An e-mail address that two customers have is refused, and neither loses anything; by an id of theirs one goes."""
    office = {"event": "login", "email": "office@example.com"}
    body = {"events": [office, {**office, "uid": "jane"}, {**office, "uid": "john"}]}
    send(server, keys, Person(), [{"url": "/v1/ingest", "headers": {"X-API-Key": "secret_key"}, "json": body}])
    server.wait_loaded()
    answer = server.http.delete("/v1/customers/office@example.com", headers=bearer(keys))
    assert (answer.status_code, answer.json()["error"]) == (400, "ambiguous_customer")
    certificate_when_done(server, keys, erase(server, keys, "jane"))
    assert len(server.read("/v1/customers/john/timeline", keys)["items"]) >= 1


def test_what_was_just_sent_is_loaded_for_an_erasure_however_long_the_loader_rests(
    new_server: Callable[..., Server],
) -> None:
    """A customer of 2,500 identifiers, on their way into the warehouse still, is gone with the answer."""
    server = new_server(TENURE_LOAD_INTERVAL_MS="60000")
    keys = create_app(server.data)
    for start in range(0, 2_500, 500):
        body = {"events": [{"event": "seen", "customer_id": "c", "uid": f"u{start + n}"} for n in range(500)]}
        sent = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json=body)
        assert sent.status_code == 202, sent.text
    account = {"identifier": {"kind": "customer_id", "value": "c"}}
    assert server.http.post("/v1/identifiers/large", headers=bearer(keys), json=account).status_code == 200
    began = time.monotonic()
    while (answer := server.http.delete("/v1/customers/c", headers=bearer(keys))).status_code == 503:
        assert time.monotonic() < began + GONE_SECONDS / 2, answer.text
    assert (answer.status_code, answer.json()["count"]) == (409, 2_501)
    confirm = {"confirm": answer.json()["digest"]}
    answer = server.http.delete("/v1/customers/c", headers=bearer(keys), params=confirm)
    assert (answer.status_code, answer.json()["identifiers"]) == (202, 2_501)
    found = [
        server.http.get(f"/v1/customers/{name}", headers=bearer(keys, "read_key")) for name in ("c", "u0", "u2499")
    ]
    assert {one.status_code for one in found} == {404}
    assert server.read("/v1/events", keys)["items"] == server.read("/v1/customers", keys)["items"] == []


def test_without_a_warehouse_nothing_is_promised(new_server: Callable[..., Server]) -> None:
    """While it cannot be told who the customer is, the answer is 503 and nothing is erased."""
    server = new_server(TENURE_WAREHOUSE_URL="http://127.0.0.1:9/")
    keys = create_app(server.data)
    wait_until(lambda: server.http.delete("/v1/customers/jane", headers=bearer(keys)).status_code != 401)
    answer = server.http.delete("/v1/customers/jane", headers=bearer(keys))
    assert (answer.status_code, answer.json()["error"]) == (503, "warehouse_unavailable")


@pytest.mark.soak
def test_an_import_that_runs_brings_nothing_back(own: tuple[Server, Keys], tmp_path: Any) -> None:
    """Rows of the customer that an import reads after the request are of before it, and are erased."""
    server, keys = own
    jane = Person()
    file = tmp_path / "history.csv"
    rows = [f"opened,{1_700_000_000 + n},{'other' if n % 2 else jane.customer_id},{n}" for n in range(40_000)]
    file.write_text("\n".join(["name,occurred_at,customer_id,n", *rows]))
    send(server, keys, jane, requests_of(jane))
    server.wait_loaded()
    importing = subprocess.Popen(
        [sys.executable, "-m", "tenure", "import", str(file), "--app", keys["app"], "--data", str(server.data)],
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: server.read("/v1/events", keys)["items"][0]["name"] == "opened")
    erasure = erase(server, keys, jane.customer_id)
    assert importing.wait(120) == 0
    certificate_when_done(server, keys, erasure)
    assert is_unknown(server, keys, jane)
    counted = books_of(server, keys)
    assert (counted.stored, counted.balanced) == (20_000, True)
    wait_until(lambda: not holders(server, [jane.mark]))


def test_an_export_holds_everything_and_is_on_no_disk(own: tuple[Server, Keys]) -> None:
    """Every text that a customer left is in it, nobody else's, and each line is JSON; nobody else can be given one."""
    server, keys = own
    jane, john = Person(), Person()
    for person in (jane, john):
        send(server, keys, person, requests_of(person))
    server.wait_loaded()
    path = f"/v1/customers/{jane.customer_id}/export"
    assert server.http.get(path, headers=bearer(keys)).status_code == 403
    assert server.http.get("/v1/customers/nobody/export", headers=bearer(keys, "read_key")).status_code == 404
    answer = server.http.get(path, headers=bearer(keys, "read_key"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    texts = {name: archive.read(name).decode() for name in archive.namelist()}
    manifest = json.loads(texts.pop("manifest.json"))
    assert {file["name"]: file["records"] for file in manifest["files"]} == {
        name: len([json.loads(line) for line in text.splitlines()]) for name, text in texts.items()
    }
    assert {"identifiers.jsonl", "link.jsonl", "event.jsonl", "identify.jsonl", "quarantine.jsonl"} <= set(texts)
    whole = "".join(texts.values())
    assert [text for text in jane.planted if text not in whole and "idempotency" not in text] == []
    assert john.mark not in whole
    assert not list(server.data.rglob("*.zip"))


@pytest.mark.soak
def test_the_command_erases_without_a_server(new_server: Callable[..., Server]) -> None:
    """`tenure erase` starts what it needs, ends when no byte is left, and prints the certificate."""
    server = new_server()
    keys = create_app(server.data, "shop")
    jane = Person()
    send(server, keys, jane, requests_of(jane))
    server.wait_loaded()
    server.stop()
    done = json.loads(tenure("erase", jane.customer_id, "--app", "shop", "--json", data=server.data))
    assert (done["state"], done["identifiers"]) == ("done", 6)
    assert holders(server, [jane.mark]) == {}
    with pytest.raises(subprocess.CalledProcessError):
        tenure("erase", jane.customer_id, "--app", "shop", data=server.data)
