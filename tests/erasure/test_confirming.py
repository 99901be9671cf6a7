"""An erasure that covers several ids of a kind is confirmed by the digest of the list, or it changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.erasure.person import bearer, certificate_when_done
from tests.harness import Server

Keys = dict[str, str]


def ingest(server: Server, keys: Keys, *events: dict[str, Any]) -> None:
    named = [{"event": "seen", **one} for one in events]
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json={"events": named})
    assert answer.status_code == 202, answer.text


def ask(server: Server, keys: Keys, who: str, confirm: str | None = None) -> httpx.Response:
    parameters = {} if confirm is None else {"confirm": confirm}
    return server.http.delete(f"/v1/customers/{who}", headers=bearer(keys), params=parameters)


def is_known(server: Server, keys: Keys, who: str) -> bool:
    return server.http.get(f"/v1/customers/{who}", headers=bearer(keys, "read_key")).status_code == 200


def named(answer: Any) -> list[str]:
    return [f"{one['kind']}:{one['value']}" for one in answer["identifiers"]]


def test_two_uids_are_erased_when_that_is_confirmed(server: Server, keys: Keys) -> None:
    """The answer lists what would go; without its digest, with a wrong one, or after a change, nothing does."""
    ingest(server, keys, {"customer_id": "c", "uid": "u1", "email": "j@x.example"}, {"customer_id": "c", "uid": "u2"})
    answer = ask(server, keys, "u1")
    told = answer.json()
    assert (answer.status_code, told["error"], told["field"]) == (409, "confirmation_needed", "confirm")
    assert named(told) == ["customer_id:c", "email:j@x.example", "uid:u1", "uid:u2"]
    assert told["count"] == 4
    assert ask(server, keys, "u1", "0" * 32).status_code == 409
    assert ask(server, keys, "j@x.example").json()["digest"] == told["digest"]
    ingest(server, keys, {"customer_id": "c", "uid": "u3"})
    changed = ask(server, keys, "u1", told["digest"])
    assert (changed.status_code, named(changed.json())[-1]) == (409, "uid:u3")
    server.wait_loaded()
    assert all(is_known(server, keys, who) for who in ("c", "u1", "u2", "u3"))
    asked = ask(server, keys, "u1", changed.json()["digest"])
    assert asked.status_code == 202
    assert ask(server, keys, "u1").json()["id"] == asked.json()["id"]
    certificate_when_done(server, keys, asked.json()["id"])
    assert not any(is_known(server, keys, who) for who in ("c", "u1", "u2", "u3"))


@pytest.mark.parametrize("who", ["c", "cus_1"])
def test_one_person_needs_no_confirmation(server: Server, keys: Keys, who: str) -> None:
    """A customer id, a uid, a billing id, addresses and visitors are one person's."""
    ids = {"customer_id": who, "uid": "u", "email": "j@x.example"}
    more = [{"email": "k@x.example"}, {"anonymous_id": "a1"}, {"anonymous_id": "a2"}, {"billing_id": who}]
    ingest(server, keys, ids, *[ids | one for one in more])
    assert ask(server, keys, "j@x.example").status_code == 202


def test_a_digest_that_is_not_needed_has_to_be_right_too(server: Server, keys: Keys) -> None:
    """Who confirmed a list that is not what would go any more is told of the new one."""
    ingest(server, keys, {"customer_id": "c", "uid": "u"})
    answer = ask(server, keys, "c", "0" * 32)
    assert (answer.status_code, named(answer.json())) == (409, ["customer_id:c", "uid:u"])
    assert ask(server, keys, "c", answer.json()["digest"]).status_code == 202


@pytest.mark.parametrize("count", [9, 10, 11])
def test_an_id_of_many_uids(server: Server, keys: Keys, count: int) -> None:
    """Nine or ten are one customer, whose erasure is confirmed; of eleven each goes alone, and the others stay."""
    ingest(server, keys, *[{"customer_id": "shop", "uid": f"u{n}"} for n in range(count)])
    answer = ask(server, keys, "u3")
    if count <= 10:
        assert (answer.status_code, answer.json()["count"]) == (409, count + 1)
        return
    assert answer.status_code == 202, answer.text
    certificate_when_done(server, keys, answer.json()["id"])
    for n in range(count):
        assert is_known(server, keys, f"u{n}") == (n != 3)
        if n != 3:
            of = server.read(f"/v1/customers/u{n}/identity", keys)
            assert [one["value"] for one in of["identifiers"]] == [f"u{n}"]
            assert [(one["kind"], one["value"]) for one in of["ambiguous"]] == [("customer_id", "shop")]
    held = ask(server, keys, "shop")
    assert (held.status_code, held.json()["count"]) == (409, count)
    assert ask(server, keys, "shop", held.json()["digest"]).status_code == 202


def test_the_command_prints_the_list_and_takes_the_digest(server: Server, keys: Keys) -> None:
    """It exits with 1 and erases nothing; with --confirm it prints the certificate."""
    ingest(server, keys, {"customer_id": "c", "uid": "u1"}, {"customer_id": "c", "uid": "u2"})
    server.wait_loaded()

    def erase(*more: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "tenure",
            "erase",
            "u1",
            "--app",
            keys["app"],
            "--data",
            str(server.data),
            *more,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)

    refused = erase()
    assert refused.returncode == 1
    assert refused.stdout.split("digest")[0].split() == ["customer_id:c", "uid:u1", "uid:u2"]
    assert "several uids" in refused.stderr
    told = json.loads(erase("--json").stdout)
    assert told["error"] == "confirmation_needed"
    assert is_known(server, keys, "u2")
    done = erase("--json", "--confirm", told["digest"])
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "done"), done.stderr
    assert not is_known(server, keys, "u2")


def stripe(number: int, kind: str = "customer.subscription.created", **of: Any) -> dict[str, Any]:
    about = {"id": f"sub_{number}", "object": "subscription", "customer": f"cus_{number}", "status": "active",
             "currency": "usd", "start_date": 1767225600, "items": {"object": "list", "data": []}} | of  # fmt: skip
    return {"id": f"evt_{number}_{kind}", "object": "event", "created": 1767225600 + number, "type": kind,
            "data": {"object": about}}  # fmt: skip


def customer(number: int) -> dict[str, Any]:
    about = {"id": f"cus_{number}", "object": "customer", "email": "agency@x.example", "metadata": {}}
    return stripe(number, "customer.created") | {"data": {"object": about}}


@pytest.mark.parametrize("turned", [False, True])
def test_two_who_pay_with_one_address_stay_two(server: Server, keys: Keys, turned: bool) -> None:
    """In either order of arrival; erasing one of an agency's clients leaves the other, with its subscription."""
    headers = {"Authorization": f"Bearer {keys['secret_key']}"}
    said = [customer(1), customer(2), stripe(1), stripe(2)]
    for one in reversed(said) if turned else said:
        answer = server.http.post(f"/v1/billing/stripe/{keys['app']}", headers=headers, json=one)
        assert answer.status_code == 200, answer.text
    answer = ask(server, keys, "cus_1")  # what is not loaded counts
    assert answer.status_code == 202, answer.text
    certificate_when_done(server, keys, answer.json()["id"])
    found = server.http.get("/v1/customers/cus_1", headers=bearer(keys, "read_key"))
    assert found.status_code == 404, found.text
    of = server.read("/v1/customers/cus_2/identity", keys)
    assert [one["value"] for one in of["identifiers"]] == ["cus_2", "agency@x.example"]
    assert server.read("/v1/customers/cus_2", keys)["billing"]["status"] == "active"
