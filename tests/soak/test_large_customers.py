"""Customers with 2,500 identifiers and 10,000 attributes: read, listed, exported, split, merged and erased."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import Server, create_app

Keys = dict[str, str]

IDENTIFIERS, ATTRIBUTES, USERS = 2_500, 10_000, 30
BATCH = 1_000
SECONDS = 60


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Keys]]:
    """A server with two such customers, `a` and `b`, and one small one."""
    server = Server(tmp_path_factory.mktemp("large") / "data", {"TENURE_HTTP_WORKERS": "2"})
    server.start()
    keys = create_app(server.data)
    for name in ("a", "b"):
        traits = {f"{name} {number}": number for number in range(ATTRIBUTES)}
        send(server, keys, [{"customer_id": name, "uid": f"{name}0", "traits": traits}])
        send(server, keys, [{"event": "seen", "customer_id": name, "uid": f"{name}{number}",
                             "user": {"id": f"{name} person {number % USERS}"}}
                            for number in range(1, IDENTIFIERS - 1)])  # fmt: skip
    send(server, keys, [{"event": "seen", "uid": uid} for uid in ("small", "a999")])
    server.wait_loaded()
    yield server, keys
    assert server.stop() == 0, server.log.read_text()


def send(server: Server, keys: Keys, elements: list[dict[str, Any]]) -> None:
    for start in range(0, len(elements), BATCH):
        body = {"events": elements[start : start + BATCH]}
        answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json=body)
        assert answer.status_code == 202, answer.text
        assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}


def asked(server: Server, keys: Keys, path: str, **parameters: Any) -> Any:
    return server.read(f"/v1/customers{path}", keys, **parameters)


def changed(server: Server, keys: Keys, path: str, body: Any) -> Any:
    answer = server.http.post(path, headers={"Authorization": f"Bearer {keys['secret_key']}"}, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def listed(server: Server, keys: Keys) -> dict[str, tuple[int, int]]:
    """Identifiers and events of each customer on the list."""
    items = asked(server, keys, "", limit=1_000)["items"]
    return {item["id"]: (item["identifier_count"], item["events"]) for item in items}


def wait_until_listed(server: Server, keys: Keys, expected: dict[str, tuple[int, int]]) -> None:
    deadline = time.monotonic() + SECONDS
    while (found := listed(server, keys)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


A, B, SMALL = {"customer_id:a": (2_500, 2_499)}, {"customer_id:b": (2_500, 2_498)}, {"uid:small": (1, 1)}


def test_every_answer_is_whole(large: tuple[Server, Keys]) -> None:
    """The view, its parts and the export have all identifiers, attributes and users, by any identifier."""
    server, keys = large
    whole = asked(server, keys, "/uid:a1777")
    assert (whole["id"], len(whole["identifiers"])) == ("customer_id:a", IDENTIFIERS)
    assert whole["activity"]["count"] == IDENTIFIERS - 1
    assert {name: one["value"] for name, one in whole["attributes"].items()} == {
        f"a {number}": number for number in range(ATTRIBUTES)
    }
    assert len(asked(server, keys, "/a/attributes", limit=1)["history"]) == ATTRIBUTES
    assert len(asked(server, keys, "/a17/timeline", limit=1_000)["items"]) == 1_000
    users = asked(server, keys, "/a/users", limit=1_000)["items"]
    assert (len(users), sum(user["events"] for user in users)) == (USERS, IDENTIFIERS - 2)
    identity = asked(server, keys, "/a/identity")
    assert len(identity["identifiers"]) == IDENTIFIERS
    assert {len(known["evidence"]) for known in identity["identifiers"][1:]} == {1}
    wait_until_listed(server, keys, A | B | SMALL)
    assert [item["id"] for item in asked(server, keys, "", q="uid:a2345")["items"]] == ["customer_id:a"]
    answer = server.http.get("/v1/customers/a/export", headers={"Authorization": f"Bearer {keys['read_key']}"})
    files = zipfile.ZipFile(io.BytesIO(answer.content))
    counts = {file["name"]: file["records"] for file in json.loads(files.read("manifest.json"))["files"]}
    assert {name: count for name, count in counts.items() if count} == {
        "identifiers.jsonl": IDENTIFIERS, "link.jsonl": IDENTIFIERS - 1, "event.jsonl": IDENTIFIERS - 1,
        "identify.jsonl": 1, "fact.jsonl": ATTRIBUTES,
    }  # fmt: skip


def test_one_is_split_out_and_two_are_merged(large: tuple[Server, Keys]) -> None:
    """Everywhere at once; undone, both are what they were."""
    server, keys = large
    before = [asked(server, keys, f"/{name}/{part}") for name in "ab" for part in ("identity", "timeline")]
    parted = changed(server, keys, "/v1/customers/a/split", {"identifiers": ["uid:a999"]})
    assert [len(customer["identifiers"]) for customer in parted["customers"]] == [IDENTIFIERS - 1, 1]
    assert [item["customer_id"] for item in asked(server, keys, "/a999/timeline")["items"]] == [None]
    assert asked(server, keys, "/a")["activity"]["count"] == IDENTIFIERS - 2
    wait_until_listed(server, keys, {"customer_id:a": (2_499, 2_498), "uid:a999": (1, 1)} | B | SMALL)

    merged = changed(server, keys, "/v1/customers/a5/merge", {"with": "b7"})
    assert len(merged["customer"]["identifiers"]) == 2 * IDENTIFIERS - 1
    whole = asked(server, keys, "/b2000")
    assert (whole["id"], whole["activity"]["count"], len(whole["attributes"])) == (
        "customer_id:a", 2 * IDENTIFIERS - 4, 2 * ATTRIBUTES)  # fmt: skip
    wait_until_listed(server, keys, {"customer_id:a": (4_999, 4_996), "uid:a999": (1, 1)} | SMALL)
    parted = changed(server, keys, "/v1/customers/b2000/split", {"merge": merged["merge"]})
    assert [len(customer["identifiers"]) for customer in parted["customers"]] == [IDENTIFIERS - 1, IDENTIFIERS]

    one, other = ({"kind": "customer_id", "value": "a"}, {"kind": "uid", "value": "a999"})
    changed(server, keys, "/v1/links", {"one": one, "other": other})
    wait_until_listed(server, keys, A | B | SMALL)
    after = [asked(server, keys, f"/{name}/{part}") for name in "ab" for part in ("identity", "timeline")]
    assert [[fact["how"] for fact in answer.pop("undone")] for answer in after[::2]] == [
        ["carried together", "merge"], ["merge"]]  # fmt: skip
    for answer in (before[0], before[2]):
        assert answer.pop("undone") == []
    for answer in (before[0], after[0]):
        answer["identifiers"] = [known for known in answer["identifiers"] if known["value"] != "a999"]
    assert after == before


def test_one_is_erased_and_the_other_stays(large: tuple[Server, Keys]) -> None:
    """Nobody finds them by any of 2,500 identifiers, from the answer on; the other one is as before."""
    server, keys = large
    before = {part: asked(server, keys, f"/b{part}") for part in ("", "/identity", "/attributes")}
    answer = server.http.delete("/v1/customers/a", headers={"Authorization": f"Bearer {keys['secret_key']}"})
    assert answer.status_code == 202, answer.text
    for name in ("a", "a0", "a999", "uid:a2498"):
        found = server.http.get(f"/v1/customers/{name}", headers={"Authorization": f"Bearer {keys['read_key']}"})
        assert found.status_code == 404, found.text
    assert listed(server, keys) == B | SMALL
    deadline = time.monotonic() + 2 * SECONDS
    while (erasure := server.read(f"/v1/erasures/{answer.json()['id']}", keys))["state"] != "done":
        assert time.monotonic() < deadline, erasure
        time.sleep(0.1)
    assert (erasure["identifiers"], erasure["removed"]["warehouse"]["event"]) == (IDENTIFIERS, IDENTIFIERS - 1)
    after = {part: asked(server, keys, f"/b{part}") for part in ("", "/identity", "/attributes")}
    for known in (before, after):
        del known[""]["activity"]  # it counts days up to now
        del known["/identity"]["undone"]  # it named the other
    assert after == before
    assert listed(server, keys) == B | SMALL
