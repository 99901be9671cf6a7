"""A bare id that several customers have, on a real server: what changes something refuses it, what reads says so."""

from __future__ import annotations

import subprocess
from typing import Any

import httpx
import pytest

from tests.harness import Server, tenure

Keys = dict[str, str]


def send(server: Server, keys: Keys, *events: dict[str, Any], kind: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[kind]}, json={"events": list(events)})
    assert answer.status_code == 202, answer.text


def act(server: Server, keys: Keys, method: str, path: str, body: Any = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {keys['secret_key']}"}
    return server.http.request(method, f"/v1/customers/{path}", headers=headers, json=body)


@pytest.fixture
def two(server: Server, keys: Keys) -> Keys:
    """An app with two customers who have "42": one as its uid, the other as its customer id."""
    send(server, keys, {"event": "a", "customer_id": "acme", "uid": "42"}, {"event": "b", "customer_id": "42"})
    server.wait_loaded()
    return keys


def refused(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 409, answer.text
    body = answer.json()
    assert body["error"] == "ambiguous_id"
    assert all(one in body["message"] for one in body["customers"])
    return list(body["customers"])


def test_what_changes_something_refuses_an_id_of_two_customers(server: Server, two: Keys) -> None:
    """An erasure, a merge by either side, a split and an export name both; nothing has changed then."""
    both = ["customer_id:42", "uid:42"]
    assert refused(act(server, two, "DELETE", "42")) == both
    assert refused(act(server, two, "POST", "42/merge", {"with": "acme"})) == both
    assert refused(act(server, two, "POST", "acme/merge", {"with": "42"})) == both
    assert refused(act(server, two, "POST", "42/split", {"identifiers": ["uid:42"]})) == both
    assert refused(act(server, two | {"secret_key": two["read_key"]}, "GET", "42/export")) == both
    assert server.read("/v1/customers/acme", two)["identifiers"] == ["customer_id:acme", "uid:42"]
    assert server.read("/v1/customers/customer_id:42", two)["identifiers"] == ["customer_id:42"]


def test_what_waits_to_be_loaded_makes_an_id_ambiguous_too(server: Server, keys: Keys) -> None:
    """An erasure that comes before the loader knows of the second customer is refused all the same."""
    send(server, keys, {"event": "b", "customer_id": "42"})
    server.wait_loaded()
    send(server, keys, {"event": "a", "uid": "42", "customer_id": "acme"})
    assert refused(act(server, keys, "DELETE", "42")) == ["customer_id:42", "uid:42"]


def test_an_id_with_its_kind_is_nobody_elses(server: Server, two: Keys) -> None:
    """`kind:value` says which one is meant, though a customer goes by that very text; the answer names who it was."""
    send(server, two, {"event": "decoy", "customer_id": "uid:42"}, kind="publishable_key")
    server.wait_loaded()
    answer = act(server, two, "DELETE", "uid:42")
    assert (answer.status_code, answer.json()["canonical"]) == (202, {"kind": "customer_id", "value": "acme"})
    again = act(server, two, "DELETE", "uid:42")
    assert (again.json()["id"], again.json()["canonical"]) == (answer.json()["id"], answer.json()["canonical"])
    certificate = server.http.get(answer.headers["Location"], headers={"Authorization": f"Bearer {two['read_key']}"})
    assert "canonical" not in certificate.json()
    assert server.read("/v1/customers/42", two)["identifiers"] == ["customer_id:42"]
    assert server.read("/v1/customers/customer_id:uid:42", two)["identifiers"] == ["customer_id:uid:42"]


def test_two_names_of_one_customer_are_not_ambiguous(server: Server, keys: Keys) -> None:
    """A customer whose customer id and uid are the same text is one; to take out one of the two, it says which."""
    send(server, keys, {"event": "a", "customer_id": "7", "uid": "7", "email": "j@x.example"})
    server.wait_loaded()
    assert "also" not in server.read("/v1/customers/7", keys)
    assert refused(act(server, keys, "POST", "7/split", {"identifiers": ["7"]})) == ["customer_id:7", "uid:7"]
    parted = act(server, keys, "POST", "7/split", {"identifiers": ["uid:7"]})
    assert parted.status_code == 200, parted.text


@pytest.mark.parametrize("as_of", [{}, {"as_of": "2100-01-01"}])
def test_reading_puts_the_verified_customer_first_and_names_the_others(
    server: Server, keys: Keys, as_of: dict[str, str]
) -> None:
    """A decoy that anybody may send hides nobody, whatever kind of identifier it takes; every question says `also`."""
    jane = "jane@example.com"
    send(server, keys, {"event": "noise", "customer_id": jane}, kind="publishable_key")
    send(server, keys, {"email": jane, "traits": {"name": "Jane"}})
    server.wait_loaded()
    asked = ("", "/timeline", "/identity", "/attributes", "/users", "/subscriptions", "/health", "/churn-events")
    for question in asked:
        found = server.read(f"/v1/customers/{jane}{question}", keys, **as_of)
        assert found["also"] == [f"customer_id:{jane}"], question
    whole = server.read(f"/v1/customers/{jane}", keys, **as_of)
    assert (whole["id"], whole["name"]) == (f"email:{jane}", "Jane")
    assert "also" not in server.read(f"/v1/customers/email:{jane}", keys)
    assert refused(act(server, keys, "DELETE", jane)) == [f"customer_id:{jane}", f"email:{jane}"]


def test_the_command_line_refuses_an_id_of_two_customers(server: Server, two: Keys) -> None:
    """`tenure erase` lists both and ends with an error; with the kind it says whom it erased."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        tenure("erase", "42", "--app", two["app"], data=server.data)
    assert "customer_id:42, uid:42" in failed.value.stderr
    assert "erased: customer_id:acme" in tenure("erase", "uid:42", "--app", two["app"], data=server.data)
