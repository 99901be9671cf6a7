"""Erasing a customer who is tangled with others: linked by hand, split, in conflict, named in their elements."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.erasure.bytes_of import holders
from tests.erasure.person import Keys, Person, bearer, certificate_when_done, erase, outcomes, requests_of, send
from tests.harness import Server
from tests.warehouse_books import books

SECONDS = 60
PARTS = ("", "/timeline", "/attributes", "/users", "/identity", "/export", "/churn-events")


def native(server: Server, keys: Keys, *elements: dict[str, Any], key: str = "secret_key") -> str:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[key]}, json={"events": list(elements)})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}
    return str(answer.headers["Tenure-Receipt"])


def change(server: Server, keys: Keys, path: str, body: Any) -> Any:
    answer = server.http.post(path, headers=bearer(keys), json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(server: Server, keys: Keys, who: str, part: str = "") -> Any:
    return server.http.get(f"/v1/customers/{quote(who, safe='')}{part}", headers=bearer(keys, "read_key"))


def listed(server: Server, keys: Keys, **asked: Any) -> dict[str, Any]:
    items = server.read("/v1/customers", keys, limit=1000, **asked)["items"]
    found = {item["id"]: item for item in items}
    assert len(found) == len(items)
    return found


def wait_until(condition: Callable[[], Any], told: Callable[[], Any] = lambda: None) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


def tangled(server: Server, keys: Keys, jane: Person, john: Person) -> list[str]:
    """Everything that the API knows of Jane, and elements of John's that name her. Returns her identifiers."""
    send(server, keys, jane, requests_of(jane))
    send(server, keys, john, requests_of(john))
    other, merged = f"{jane.mark}-other-customer", f"{jane.mark}-merged"
    jane.planted += [other, merged]
    native(server, keys, {"event": jane.text("merged event"), "uid": merged, "customer_id": other,
                          "traits": {jane.text("trait name"): {"deep": [jane.text("trait value")]},
                                     "display_name": jane.text("display name")},
                          "user": {"id": jane.text("user id"), "traits": {jane.text("user trait"): 1}}})  # fmt: skip
    native(server, keys, {"event": "sent by an office", "customer_id": other, "email": "office@example.com"},
           {"event": "sent by an office", "customer_id": john.customer_id, "email": "office@example.com"})  # fmt: skip
    server.wait_loaded()
    change(server, keys, f"/v1/customers/{jane.customer_id}/merge", {"with": other})
    by_hand = {"kind": "anonymous_id", "value": jane.text("linked by hand")}
    one = {"kind": "customer_id", "value": jane.customer_id}
    change(server, keys, "/v1/links", {"one": one, "other": by_hand, "note": jane.text("note")})
    by_mistake = {"kind": "customer_id", "value": john.customer_id}
    undone = change(server, keys, "/v1/links", {"one": one, "other": by_mistake, "note": jane.text("undone note")})
    change(server, keys, f"/v1/customers/{jane.customer_id}/split", {"merge": undone["link"]})
    claimed = {"customer_id": john.customer_id, "billing_id": f"{jane.mark}-billing",
               "anonymous_id": f"{jane.mark}-anonymous"}  # fmt: skip
    native(server, keys, {**claimed, "event": jane.text("said by another"), "occurred_at": "2026-02-01T00:00:00Z",
                          "traits": {jane.text("trait of another"): jane.text("value of another")}})  # fmt: skip
    native(server, keys, {**claimed, "event": "guessed", "traits": {"unverified": jane.text("unverified")}},
           key="publishable_key")  # fmt: skip
    server.wait_loaded()
    return [*jane.identifiers, other, merged, f"anonymous_id:{by_hand['value']}"]


@pytest.mark.soak
def test_nothing_of_a_tangled_customer_is_left_and_nobody_else_changes(own: tuple[Server, Keys]) -> None:
    """Merged, split, linked with a note, in conflict, on the list, named by another: gone from answers and bytes."""
    server, keys = own
    jane, john = Person(), Person()
    names = tangled(server, keys, jane, john)
    wait_until(lambda: len(listed(server, keys, q=jane.mark)) == 1)
    john_id = f"customer_id:{john.customer_id}"
    wait_until(lambda: jane.mark in str(get(server, keys, john.customer_id).json())
               and listed(server, keys, attribute=f"{jane.mark}-trait of another:exists"))  # fmt: skip
    assert set(holders(server, jane.planted)) == set(jane.planted)

    erasure = erase(server, keys, quote(names[-2]))
    for name in names:
        assert {get(server, keys, name, part).status_code for part in PARTS} == {404}
    assert not listed(server, keys, q=jane.mark)
    assert set(listed(server, keys)) <= {john_id, "email:office@example.com"}
    certificate_when_done(server, keys, erasure)

    answers = [get(server, keys, john.customer_id, part) for part in PARTS]
    archive = zipfile.ZipFile(io.BytesIO(answers[PARTS.index("/export")].content))
    texts = [archive.read(name).decode() for name in archive.namelist()]
    texts += [answer.text for part, answer in zip(PARTS, answers, strict=True) if part != "/export"]
    texts += [str(server.read("/v1/events", keys)), str(server.read("/v1/customers", keys))]
    texts += [str(server.read(f"/v1/receipts/{receipt}", keys)) for receipt in jane.receipts]
    assert [text for text in texts if jane.mark in text] == []
    view = answers[0].json()
    assert listed(server, keys)[john_id]["events"] == view["activity"]["count"]
    assert not listed(server, keys, attribute=f"{jane.mark}-trait of another:exists")
    assert holders(server, [jane.mark]) == {}
    assert jane.mark not in server.log.read_text()
    assert books(Warehouse(Settings.load({"data": server.data}, {})).tenant(keys["app"])).balanced


@pytest.mark.soak
def test_who_comes_back_is_a_new_customer_everywhere(own: tuple[Server, Keys]) -> None:
    """The same names again: on the list, in the view, linked by what is said anew, and by nothing from before."""
    server, keys = own
    jane, john = Person(), Person()
    names = tangled(server, keys, jane, john)
    certificate_when_done(server, keys, erase(server, keys, jane.customer_id))
    native(server, keys, {"event": "back", "customer_id": jane.customer_id, "uid": f"{jane.mark}-uid"},
           {"event": "back", "email": jane.email, "traits": {"name": "Jane"}},
           {"event": "back", "uid": f"{jane.mark}-merged"})  # fmt: skip
    server.wait_loaded()
    wait_until(lambda: len(listed(server, keys, q=jane.mark)) == 3, lambda: listed(server, keys))
    view = get(server, keys, jane.customer_id).json()
    assert view["identifiers"] == [f"customer_id:{jane.customer_id}", f"uid:{jane.mark}-uid"]
    assert (view["activity"]["count"], view["attributes"], view["users"]["items"]) == (1, {}, [])
    assert [item["events"] for item in listed(server, keys, q=jane.mark).values()] == [1, 1, 1]
    assert get(server, keys, names[-3]).status_code == 404
    native(server, keys, {"event": "back", "customer_id": jane.customer_id, "email": jane.email})
    change(server, keys, f"/v1/customers/{jane.customer_id}/merge", {"with": f"{jane.mark}-merged"})
    server.wait_loaded()
    whole = [f"customer_id:{jane.customer_id}", f"uid:{jane.mark}-merged", f"uid:{jane.mark}-uid",
             f"email:{jane.email.lower()}"]  # fmt: skip
    assert get(server, keys, jane.email).json()["identifiers"] == whole
    wait_until(lambda: [item["identifiers"] for item in listed(server, keys, q=jane.mark).values()] == [whole],
               lambda: listed(server, keys))  # fmt: skip
    assert [item["events"] for item in listed(server, keys, q="jane").values()] == [4]
    certificate_when_done(server, keys, erase(server, keys, jane.customer_id))
    assert not listed(server, keys, q=jane.mark)
    wait_until(lambda: not holders(server, [jane.mark]), lambda: holders(server, [jane.mark]))


def test_attributes_that_come_again_stay_erased(own: tuple[Server, Keys]) -> None:
    """By their own time, their message id or the request's key; what can be told by none of them is new."""
    server, keys = own
    jane = Person()
    who = {"customer_id": jane.customer_id, "uid": f"{jane.mark}-uid"}
    old: list[tuple[str, Any, dict[str, str]]] = [
        ("/v1/ingest", {"events": [{**who, "message_id": "m1", "traits": {"plan": "pro"}},
                                   {**who, "occurred_at": "2026-01-02T03:04:05Z", "traits": {"plan": "free"}},
                                   {**who, "message_id": "m2"}]}, {}),
        ("/v1/identify", {"external_user_id": who["uid"], "traits": {"city": "Oslo"}}, {"Idempotency-Key": "k1"}),
        ("/v1/ingest", {"events": [who]}, {"Idempotency-Key": "k2"}),
    ]  # fmt: skip

    def deliver() -> list[str]:
        headers = {"X-API-Key": keys["secret_key"]}
        answers = [server.http.post(path, json=body, headers=headers | more) for path, body, more in old]
        assert {answer.status_code for answer in answers} == {202}
        server.wait_loaded()
        return outcomes(server, keys, [answer.headers["Tenure-Receipt"] for answer in answers])

    assert deliver() == ["stored"] * 5
    certificate_when_done(server, keys, erase(server, keys, jane.customer_id))
    assert deliver() == ["erased"] * 5
    assert {get(server, keys, name).status_code for name in who.values()} == {404}
    assert not listed(server, keys)
