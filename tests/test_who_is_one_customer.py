"""Who is one customer, on a real server: what clients send, what a person says, and what is known of it when."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tenure.identity import Identifier, identity_key
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.harness import Server, create_app

Keys = dict[str, str]


def native(server: Server, keys: Keys, *events: dict[str, Any], kind: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[kind]}, json={"events": list(events)})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}


def event(name: str = "seen", **who: Any) -> dict[str, Any]:
    return {"event": name, "occurred_at": "2026-01-02T03:04:05Z", "message_id": f"{name}-{hash(str(who))}", **who}


def identify(server: Server, keys: Keys, uid: str, anonymous_id: str, kind: str = "publishable_key") -> None:
    body = {"external_user_id": uid, "anonymous_id": anonymous_id}
    assert server.http.post("/v1/identify", headers={"X-API-Key": keys[kind]}, json=body).status_code == 202


def change(server: Server, keys: Keys, path: str, body: Any, kind: str = "secret_key") -> httpx.Response:
    return server.http.post(path, headers={"Authorization": f"Bearer {keys[kind]}"}, json=body)


def changed(server: Server, keys: Keys, path: str, body: Any) -> Any:
    answer = change(server, keys, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def path(who: str, what: str) -> str:
    return f"/v1/customers/{quote(who, safe='')}/{what}"


def of(server: Server, keys: Keys, who: str, **parameters: Any) -> Any:
    return server.read(path(who, "identity"), keys, **parameters)


def values(server: Server, keys: Keys, who: str, **parameters: Any) -> list[str]:
    return [known["value"] for known in of(server, keys, who, **parameters)["identifiers"]]


def timeline(server: Server, keys: Keys, who: str, **parameters: Any) -> bytes:
    answer = server.http.get(path(who, "timeline"), params=parameters,
                             headers={"Authorization": f"Bearer {keys['read_key']}"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.content


def now_text() -> str:
    """A time after all that was received before, and before all that will be."""
    time.sleep(0.002)  # times are told in milliseconds
    moment = f"{time.time():.3f}"
    time.sleep(0.002)
    return moment


def test_every_identifier_has_its_evidence(server: Server, keys: Keys) -> None:
    """Each identifier is listed with the fact that ties it to the others: who said so, how, when, in which request."""
    native(server, keys, event(customer_id="c", uid="u", email="E@x.y"))
    identify(server, keys, "u", "a")
    server.wait_loaded()
    found = of(server, keys, "a")
    assert found["canonical"] == {"kind": "customer_id", "value": "c"}
    assert [(known["kind"], known["value"]) for known in found["identifiers"]] == [
        ("customer_id", "c"), ("uid", "u"), ("email", "e@x.y"), ("anonymous_id", "a"),
    ]  # fmt: skip
    first, *others = [known["evidence"] for known in found["identifiers"]]
    assert first == []
    said = [(fact["how"], fact["source"], fact["verified"]) for (fact,) in others]
    assert said == [("carried together", "native", True)] * 2 + [("promotion", "whisperr", False)]
    for (fact,) in others:
        receipt = server.read(f"/v1/receipts/{fact['receipt']}", keys)
        assert receipt["received_at"] == fact["received_at"]
    assert (found["ambiguous"], found["conflicts"], found["undone"]) == ([], [], [])


def test_the_first_claimant_keeps_an_anonymous_id(server: Server, keys: Keys) -> None:
    """A later claim by another user moves nothing and is listed with both; the visitor's events stay where they are."""
    native(server, keys, event(anonymous_id="a"))
    for uid in ("u1", "u1", "u2", "u1"):
        identify(server, keys, uid, "a")
    native(server, keys, event(uid="u2"))
    server.wait_loaded()
    assert values(server, keys, "u1") == ["u1", "a"]
    assert values(server, keys, "u2") == ["u2"]
    assert timeline(server, keys, "u1") == timeline(server, keys, "a") != timeline(server, keys, "u2")
    for uid in ("u1", "u2"):
        (conflict,) = of(server, keys, uid)["conflicts"]
        assert (conflict["kind"], conflict["value"]) == ("anonymous_id", "a")
        assert [fact["one"]["value"] for fact in conflict["evidence"]] == ["u1", "u2"]


def test_an_email_belongs_to_the_one_customer_who_has_it(server: Server, keys: Keys) -> None:
    """What is sent by e-mail alone is theirs, in any spelling; of two customers it is nobody's, until they are one."""
    native(server, keys, event(customer_id="c1", email="Zoë@Example.com"))
    headers = {"X-API-Key": keys["secret_key"]}
    spelt = unicodedata.normalize("NFD", "ZOË@example.COM ")
    body = {"event": "feature_used", "customer_email": spelt, "timestamp": "2026-01-01T00:00:00Z"}
    assert server.http.post("/api/v1/track", headers=headers, json=body).status_code == 200
    server.wait_loaded()
    assert values(server, keys, "zoë@example.com") == ["c1", "zoë@example.com"]
    assert timeline(server, keys, "c1").count(b'"event_id"') == 2
    native(server, keys, event(customer_id="c2", email="zoë@example.com"))
    server.wait_loaded()
    for who in ("c1", "c2", "zoë@example.com"):
        found = of(server, keys, who)
        assert [known["value"] for known in found["identifiers"]] == [who]
        (ambiguous,) = found["ambiguous"]
        assert (ambiguous["kind"], ambiguous["value"]) == ("email", "zoë@example.com")
        assert [fact["one"]["value"] for fact in ambiguous["evidence"]] == ["c1", "c2"]
    changed(server, keys, path("c1", "merge"), {"with": "c2"})
    assert values(server, keys, "zoë@example.com") == ["c1", "c2", "zoë@example.com"]


def test_what_is_paid_is_stitched_to_who_is_tracked(server: Server, keys: Keys) -> None:
    """Billing ids come first and are a customer of their own; by an e-mail address, or by the same id, they are the
    tracked one as soon as that is there: one customer with one timeline, by any of its ids, on the list too."""
    native(server, keys, event("paid", billing_id="cus_1", email="Jane@x.y"), event("paid", billing_id="cus_2"))
    server.wait_loaded()
    assert values(server, keys, "cus_1") == ["cus_1", "jane@x.y"]
    native(server, keys, event(uid="u1", email="jane@x.y"), event(customer_id="cus_2", email="joe@x.y"),
           event("paid", billing_id="cus_2", email="jane@x.y"))  # fmt: skip
    server.wait_loaded()
    assert values(server, keys, "u1") == values(server, keys, "billing_id:cus_1") == ["u1", "jane@x.y", "cus_1"]
    assert timeline(server, keys, "u1") == timeline(server, keys, "cus_1")
    items = json.loads(timeline(server, keys, "u1"))["items"]
    assert {(item["name"], item["uid"], item["billing_id"]) for item in items} == {("seen", "u1", None),
                                                                                ("paid", None, "cus_1")}  # fmt: skip
    found = of(server, keys, "billing_id:cus_2")
    assert [(known["kind"], known["value"]) for known in found["identifiers"]] == [
        ("customer_id", "cus_2"), ("billing_id", "cus_2"), ("email", "joe@x.y"),
    ]  # fmt: skip
    assert [fact["how"] for fact in found["identifiers"][1]["evidence"]] == ["same id"]
    for conflicts in (found["conflicts"], of(server, keys, "u1")["conflicts"]):
        (conflict,) = conflicts
        assert (conflict["kind"], conflict["value"]) == ("billing_id", "cus_2")
        assert [(fact["how"], fact["other"]["kind"]) for fact in conflict["evidence"]] == [
            ("same id", "billing_id"), ("carried together", "email"),
        ]  # fmt: skip
    listed = lambda q: [item["id"] for item in server.read("/v1/customers", keys, q=q)["items"]]  # noqa: E731
    wait_for(lambda: listed("billing_id:cus_1") == listed("cus_1") == ["uid:u1"])
    wait_for(lambda: listed("billing_id:cus_2") == listed("joe@") == ["customer_id:cus_2"])
    changed(server, keys, path("u1", "split"), {"identifiers": ["billing_id:cus_1"]})
    assert values(server, keys, "cus_1") == ["cus_1"]
    pair = {"one": {"kind": "billing_id", "value": "cus_1"}, "other": {"kind": "customer_id", "value": "cus_2"}}
    changed(server, keys, "/v1/links", pair)
    assert values(server, keys, "cus_1") == ["cus_2", "cus_1", "cus_2", "joe@x.y"]


def test_what_is_not_verified_links_nothing(server: Server, keys: Keys) -> None:
    """A browser that names two identifiers joins none."""
    native(server, keys, event(uid="u1", email="e@x.y", anonymous_id="a"), kind="publishable_key")
    server.wait_loaded()
    assert values(server, keys, "u1") == ["u1"]
    unknown = server.http.get(path("a", "identity"), headers={"Authorization": f"Bearer {keys['read_key']}"})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown_customer")


def test_a_merge_and_its_undoing_leave_no_trace(server: Server, keys: Keys) -> None:
    """After the split both sides answer as before the merge, to the byte; what came in between is on its own side."""
    left, right = ("c1", "u1"), ("c2", "shared@x.y")
    native(server, keys, event(customer_id="c1", uid="u1"), event(customer_id="c2", email="shared@x.y"))
    server.wait_loaded()
    moment = now_text()

    def answers() -> list[Any]:
        seen: list[Any] = [timeline(server, keys, who, name="seen") for who in (*left, *right)]
        return seen + [of(server, keys, who)["identifiers"] for who in (*left, *right)]

    before = answers()
    merged = changed(server, keys, path("u1", "merge"), {"with": "shared@x.y"})
    assert [known["value"] for known in merged["customer"]["identifiers"]] == ["c1", "c2", "u1", "shared@x.y"]
    assert len({timeline(server, keys, who) for who in (*left, *right)}) == 1
    while_merged = now_text()
    native(server, keys, event("later", uid="u1"))
    native(server, keys, event("later", email="shared@x.y"))
    server.wait_loaded()
    parted = changed(server, keys, path("c2", "split"), {"merge": merged["merge"]})
    assert parted["undone"] == [merged["merge"]]
    sides = [[known["value"] for known in customer["identifiers"]] for customer in parted["customers"]]
    assert sorted(sides) == [list(left), list(right)]
    assert answers() == before
    for who in (*left, *right):
        assert timeline(server, keys, who).count(b'"later"') == 1
    (undone,) = of(server, keys, "u1")["undone"]
    assert (undone["how"], undone["link"]) == ("merge", merged["merge"])
    assert values(server, keys, "u1", as_of=moment) == list(left)
    assert values(server, keys, "u1", as_of=while_merged) == ["c1", "c2", "u1", "shared@x.y"]
    again = changed(server, keys, path("u1", "merge"), {"with": "c2"})
    assert again["merge"] != merged["merge"]
    assert values(server, keys, "shared@x.y") == ["c1", "c2", "u1", "shared@x.y"]


def test_identifiers_are_taken_out_of_a_customer(server: Server, keys: Keys) -> None:
    """Split undoes what ties them to the rest, whoever said it; saying it again does not join them, a person does."""
    together = event(customer_id="c", uid="u", email="e@x.y", anonymous_id="a")
    native(server, keys, together)
    server.wait_loaded()
    parted = changed(server, keys, path("c", "split"), {"identifiers": ["u", {"kind": "email", "value": "E@x.y"}]})
    sides = [[known["value"] for known in customer["identifiers"]] for customer in parted["customers"]]
    assert sorted(sides) == [["c", "a"], ["e@x.y"], ["u"]]
    native(server, keys, {**together, "message_id": "again"})
    server.wait_loaded()
    assert values(server, keys, "c") == ["c", "a"]
    one, other = {"kind": "uid", "value": "u"}, {"kind": "customer_id", "value": "c"}
    linked = changed(server, keys, "/v1/links", {"one": one, "other": other, "note": "asked by phone"})
    assert [known["value"] for known in linked["customer"]["identifiers"]] == ["c", "u", "a"]
    (fact,) = [fact for known in of(server, keys, "u")["identifiers"] if known["value"] == "u"
               for fact in known["evidence"] if fact["how"] == "by hand"]  # fmt: skip
    assert (fact["link"], fact["source"], fact["note"]) == (linked["link"], "api", "asked by phone")


def test_what_cannot_be_joined_or_parted_is_named(server: Server, keys: Keys) -> None:
    """Each refusal has its status, its code and its field; nothing is changed by it."""
    others = create_app(server.data, "other app of links")
    native(server, keys, event(customer_id="c", uid="u"), event(uid="alone"))
    native(server, others, event(uid="theirs"))
    server.wait_loaded()
    c, u = {"kind": "customer_id", "value": "c"}, {"kind": "uid", "value": "u"}
    long, kind = {"kind": "uid", "value": "x" * 1_025}, {"kind": "name", "value": "c"}
    for where, body, status, code, field in (
        (path("c", "merge"), {"with": "c"}, 400, "self_merge", "with"),
        (path("c", "merge"), {"with": "customer_id:c"}, 400, "self_merge", "with"),
        (path("c", "merge"), {"with": "u"}, 409, "already_one_customer", None),
        (path("c", "merge"), {"with": "nobody"}, 404, "unknown_customer", None),
        (path("c", "merge"), {"with": "theirs"}, 404, "unknown_customer", None),
        (path("theirs", "merge"), {"with": "c"}, 404, "unknown_customer", None),
        (path("c", "merge"), {"with": ""}, 400, "missing_field", "with"),
        (path("c", "merge"), {"with": "x" * 2_000}, 400, "too_long", "with"),
        (path("c", "merge"), {"with": "alone", "note": "x"}, 400, "unknown_field", "note"),
        (path("c", "merge"), ["alone"], 400, "wrong_type", None),
        (path("c", "split"), {"merge": "0" * 32}, 409, "not_merged", "merge"),
        (path("c", "split"), {"identifiers": ["alone"]}, 409, "not_merged", "identifiers"),
        (path("c", "split"), {"identifiers": ["c", "u"]}, 409, "not_merged", "identifiers"),
        (path("alone", "split"), {"identifiers": ["alone"]}, 409, "not_merged", "identifiers"),
        (path("nobody", "split"), {"identifiers": ["c"]}, 404, "unknown_customer", None),
        (path("c", "split"), {"identifiers": []}, 400, "missing_field", "identifiers"),
        (path("c", "split"), {"identifiers": [c], "merge": "0" * 32}, 400, "missing_field", "identifiers"),
        (path("c", "split"), {}, 400, "missing_field", "identifiers"),
        ("/v1/links", {"one": c, "other": c}, 400, "same_identifier", "other"),
        ("/v1/links", {"one": c, "other": u}, 409, "already_one_customer", None),
        ("/v1/links", {"one": c}, 400, "missing_field", "other"),
        ("/v1/links", {"one": c, "other": "u"}, 400, "wrong_type", "other"),
        ("/v1/links", {"one": c, "other": long}, 400, "too_long", "other.value"),
        ("/v1/links", {"one": c, "other": kind}, 400, "unknown_kind", "other.kind"),
        ("/v1/links", {"one": c, "other": {**u, "value": " "}}, 400, "missing_field", "other.value"),
        ("/v1/links", {"one": c, "other": {"kind": "email", "value": "x"}}, 400, "invalid_email", "other.value"),
        ("/v1/links", {"one": c, "other": {**u, "why": 1}}, 400, "unknown_field", "other.why"),
    ):
        answer = change(server, keys, where, body)
        seen = answer.json()
        assert (answer.status_code, seen["error"], seen.get("field")) == (status, code, field), (where, body)
        assert "x" * 50 not in answer.text
    assert values(server, keys, "c") == ["c", "u"]
    assert values(server, others, "theirs") == ["theirs"]


def test_changing_takes_a_secret_key(server: Server, keys: Keys) -> None:
    """A read key may ask and not change, a publishable one neither, and without a key it is a 401."""
    body = {"one": {"kind": "uid", "value": "u"}, "other": {"kind": "uid", "value": "v"}}
    for where in ("/v1/links", path("u", "merge"), path("u", "split")):
        for kind in ("read_key", "publishable_key"):
            answer = change(server, keys, where, body, kind)
            assert (answer.status_code, answer.json()["error"]) == (403, "wrong_key_kind")
        assert server.http.post(where, json=body).status_code == 401


@pytest.mark.parametrize("value", ["x", "\0", "a\0b", "é" * 1_024, "مرحبا", "🜁🜂", "a/b", "uid:x", "' OR 1=1 --", "%2F"])
def test_any_identifier_can_be_linked_merged_and_split(server: Server, keys: Keys, value: str) -> None:
    """One character or 1,024, in any script, with whatever it holds."""
    native(server, keys, event(customer_id=value), event(uid="plain"))
    merged = changed(server, keys, path(f"customer_id:{value}", "merge"), {"with": "plain"})
    assert values(server, keys, "plain") == [value, "plain"]
    changed(server, keys, path("plain", "split"), {"identifiers": [{"kind": "customer_id", "value": value}]})
    assert values(server, keys, "plain") == ["plain"]
    pair = {"one": {"kind": "customer_id", "value": value}, "other": {"kind": "uid", "value": "plain"}}
    assert changed(server, keys, "/v1/links", pair)["link"] != merged["merge"]
    assert values(server, keys, f"customer_id:{value}") == [value, "plain"]


def test_a_customer_of_2500_identifiers(server: Server, keys: Keys) -> None:
    """Once it is said to be so large all are listed, merged away and back, and the timeline has the events of all."""
    for start in range(0, 2_500, 500):
        native(server, keys, *[event(customer_id="c", uid=f"u{n}") for n in range(start, start + 500)])
    native(server, keys, event(uid="other"))
    server.wait_loaded()
    assert values(server, keys, "u2499") == ["u2499"]
    account = {"identifier": {"kind": "customer_id", "value": "c"}, "note": "a university"}
    assert changed(server, keys, "/v1/identifiers/large", account)["large"]
    before = of(server, keys, "u2499")
    assert len(before["identifiers"]) == 2_501
    assert timeline(server, keys, "u7", limit=1_000).count(b'"event_id"') == 1_000
    merged = changed(server, keys, path("u3", "merge"), {"with": "other"})
    assert len(merged["customer"]["identifiers"]) == 2_502
    changed(server, keys, path("other", "split"), {"merge": merged["merge"]})
    assert of(server, keys, "u1")["identifiers"] == before["identifiers"]


BLOCK = re.compile(r"```http\n(\w+) (\S+)\n(.*?)```(?:\n\n```json\n(.*?)```)?", re.DOTALL)


def alike(found: Any, told: Any) -> bool:
    """Equal, where `…` stands for any text."""
    if isinstance(told, dict):
        return found.keys() == told.keys() and all(alike(found[name], value) for name, value in told.items())
    if isinstance(told, list):
        return len(found) == len(told) and all(map(alike, found, told))
    return isinstance(found, str) if told == "…" else bool(found == told)


def test_the_examples_of_the_documentation(server: Server, keys: Keys) -> None:
    """Each request in docs/identity.md, in its order, is answered as the page says."""
    text = (Path(__file__).parent.parent / "docs" / "identity.md").read_text()
    merge, seen = "", 0
    for method, where, body, told in BLOCK.findall(text):
        key = keys["read_key" if method == "GET" else "secret_key"]
        answer = server.http.request(method, where, content=body.replace("MERGE", merge),
                                     headers={"Authorization": f"Bearer {key}"})  # fmt: skip
        assert answer.is_success, answer.text
        if told:
            assert alike(answer.json(), json.loads(told)), answer.text
            merge = answer.json().get("merge", merge)
            seen += 1
        server.wait_loaded()
    assert seen == 6


def canonical(server: Server, keys: Keys) -> dict[bytes, bytes]:
    """The table of the warehouse, as lists and aggregates read it."""
    warehouse = Warehouse(Settings.load({"data": server.data}, {}))
    rows = warehouse.tenant(keys["app"]).rows("SELECT key, canonical FROM canonical FINAL")
    return {bytes(row[0]): bytes(row[1]) for row in rows}


def whose(keys: Keys, **customers: str) -> dict[bytes, bytes]:
    """What the table should hold: by each identifier (`uid_u`), that of its customer."""

    def key(text: str) -> bytes:
        kind, _, value = text.rpartition("_")
        return identity_key(keys["app"], Identifier(kind, value))

    return {key(one): key(other) for one, other in customers.items()}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_warehouse_knows_the_canonical_customer(new_server: Callable[..., Server]) -> None:
    """It follows what clients send at once, merges and splits soon, also over a kill of everything."""
    server = new_server()
    keys = create_app(server.data)
    native(server, keys, event(customer_id="c1", uid="u1"), event(uid="u2"))
    server.wait_loaded()
    sent = whose(keys, customer_id_c1="customer_id_c1", uid_u1="customer_id_c1")
    assert canonical(server, keys) == sent
    merge = changed(server, keys, path("u1", "merge"), {"with": "u2"})["merge"]
    joined = sent | whose(keys, uid_u2="customer_id_c1")
    wait_for(lambda: canonical(server, keys) == joined)
    server.kill_role("loader")
    changed(server, keys, path("u1", "split"), {"merge": merge})
    server.kill_tree()
    server.start()
    parted = sent | whose(keys, uid_u2="uid_u2")
    wait_for(lambda: canonical(server, keys) == parted)
