"""Accounts that really are so large: said by a person, in the API and on the command line, and taken back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.erasure.person import bearer
from tests.harness import Server, tenure

Keys = dict[str, str]


def ingest(server: Server, keys: Keys, *events: dict[str, Any]) -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json={"events": list(events)})
    assert answer.status_code == 202, answer.text
    server.wait_loaded()


def say(server: Server, keys: Keys, body: Any, kind: str = "secret_key") -> httpx.Response:
    return server.http.post("/v1/identifiers/large", headers=bearer(keys, kind), json=body)


def size(server: Server, keys: Keys, who: str) -> int:
    return len(server.read(f"/v1/customers/{who}/identity", keys)["identifiers"])


def crowd(of: str, count: int = 11) -> list[dict[str, Any]]:
    return [{"event": "login", "customer_id": of, "uid": f"{of}-{n}"} for n in range(count)]


def test_what_is_held_is_told_until_it_is_said_to_be_large(server: Server, keys: Keys) -> None:
    """The catalogue lists it with how many it joins; as a large account it is one customer, and held again after."""
    ingest(server, keys, *crowd("campus"), {"event": "login", "customer_id": "undefined"})
    found = server.read("/v1/events", keys)["identifiers"]
    assert [(one["code"], one["kind"], one["value"], one["joins"]) for one in found] == [
        ("placeholder_identifier", "customer_id", "undefined", None),
        ("joins_too_many", "customer_id", "campus", 11),
    ]
    campus = {"kind": "customer_id", "value": "campus"}
    answer = say(server, keys, {"identifier": campus, "note": "a university"}).json()
    assert (answer["large"], len(answer["customer"]["identifiers"])) == (True, 12)
    assert say(server, keys, {"identifier": campus}).status_code == 200
    assert [one["code"] for one in server.read("/v1/events", keys)["identifiers"]] == ["placeholder_identifier"]
    assert size(server, keys, "campus-3") == 12
    assert say(server, keys, {"identifier": campus, "large": False}).json()["customer"]["identifiers"] == [campus]
    assert size(server, keys, "campus-3") == 1


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"identifier": {"kind": "customer_id", "value": " NULL"}}, "placeholder_identifier", "identifier"),
        ({"identifier": {"kind": "customer_id", "value": "c"}, "large": "yes"}, "wrong_type", "large"),
        ({}, "missing_field", "identifier"),
        ({"identifier": {"kind": "uid", "value": "u"}, "why": 1}, "unknown_field", "why"),
    ],
)
def test_what_cannot_be_large_is_refused(server: Server, keys: Keys, body: Any, code: str, field: str) -> None:
    """A placeholder is nobody's, however many have it."""
    answer = say(server, keys, body)
    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (400, code, field)


def test_saying_it_takes_a_secret_key(server: Server, keys: Keys) -> None:
    """A read key may not."""
    body = {"identifier": {"kind": "uid", "value": "u"}}
    assert say(server, keys, body, "read_key").status_code == 403


def test_no_person_can_link_a_placeholder(server: Server, keys: Keys) -> None:
    """By a link, from either side, and by a merge it is refused."""
    ingest(server, keys, {"event": "a", "customer_id": "null"}, {"event": "a", "uid": "u"})
    one, other = {"kind": "customer_id", "value": "null"}, {"kind": "uid", "value": "u"}
    for body, field in (({"one": one, "other": other}, "one"), ({"one": other, "other": one}, "other")):
        answer = server.http.post("/v1/links", headers=bearer(keys), json=body)
        assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (
            400, "placeholder_identifier", field,
        )  # fmt: skip
    answer = server.http.post("/v1/customers/u/merge", headers=bearer(keys), json={"with": "null"})
    assert (answer.status_code, answer.json()["error"]) == (400, "placeholder_identifier")
    assert size(server, keys, "u") == 1


def test_the_command_lists_what_is_held_and_takes_all_of_it(server: Server, keys: Keys) -> None:
    """By name, or all that are held; and takes it back."""
    ingest(server, keys, *crowd("north"), *crowd("south", 12), *crowd("small", 10))

    def large(*arguments: str) -> dict[str, bool]:
        printed = tenure("app", "large", keys["app"], *arguments, "--json", data=server.data)
        return {one["value"]: one["large"] for one in json.loads(printed)["identifiers"]}

    assert large() == {"south": False, "north": False}
    assert large("customer_id:north") == {"south": False, "north": True}
    assert large("--held") == {"south": True, "north": True}
    assert size(server, keys, "south-3") == 13
    assert large("customer_id:south", "--no-longer") == {"south": False, "north": True}
    assert "12  customer_id:south  held" in tenure("app", "large", keys["app"], data=server.data)
