"""What is shown as a customer's e-mail address finds that customer, and erases them."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.erasure.person import bearer, certificate_when_done, erase
from tests.harness import Server

Keys = dict[str, str]


def native(server: Server, keys: Keys, *events: Any, kind: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[kind]}, json={"events": events})
    assert answer.status_code == 202, answer.text
    server.wait_loaded()


def ask(server: Server, keys: Keys, text: str, what: str = "") -> httpx.Response:
    return server.http.get(f"/v1/customers/{quote(text)}{what}", headers=bearer(keys, "read_key"))


def listed(server: Server, keys: Keys, q: str, found: int) -> list[str]:
    deadline = time.monotonic() + 30
    while len(items := server.read("/v1/customers", keys, q=q)["items"]) != found:
        assert time.monotonic() < deadline, items
        time.sleep(0.1)
    return [item["id"] for item in items]


@pytest.mark.parametrize(
    "said",
    [{"traits": {"email": "Jane <Jane@X.example>"}}, {"set_once": {"Email Address": "jane@x.example"}},
     {"traits": {"customer_email": " jane@x.example\u00a0"}}],
)  # fmt: skip
def test_an_address_that_came_as_an_attribute_only(server: Server, keys: Keys, said: dict[str, Any]) -> None:
    """In any spelling: searched for, read, and erased with all that is theirs."""
    native(server, keys, {"event": "login", "customer_id": "c1", **said}, {"event": "login", "customer_id": "c2"})
    for text in ("jane@x.example", "email:JANE@x.example", "mailto:jane@x.example"):
        assert [item["name"] for item in ask(server, keys, text, "/timeline").json()["items"]] == ["login"]
        assert listed(server, keys, text, 1) == ["customer_id:c1"]
    assert ask(server, keys, "john@x.example").status_code == 404
    done = certificate_when_done(server, keys, erase(server, keys, "jane@x.example"))
    assert done["removed"]["warehouse"]["event"] == 1
    assert [ask(server, keys, text).status_code for text in ("c1", "jane@x.example", "c2")] == [404, 404, 200]
    assert listed(server, keys, "jane@x.example", 0) == []


def test_an_address_that_came_as_a_channel_only(server: Server, keys: Keys) -> None:
    """As Whisperr's identify brings it; an address of another kind of channel is none."""
    channels = [{"channel": "email", "address": "Jane@x.example"}, {"channel": "sms", "address": "jo@x.example"}]
    body = {"external_user_id": "u1", "channels": channels}
    answer = server.http.post("/v1/identify", headers={"X-API-Key": keys["secret_key"]}, json=body)
    assert answer.status_code == 202
    server.wait_loaded()
    assert [ask(server, keys, text).status_code for text in ("jane@x.example", "jo@x.example")] == [200, 404]
    assert len(listed(server, keys, "jane@x", 1)) == 1


def test_only_what_is_in_force_and_believed_counts(server: Server, keys: Keys) -> None:
    """Neither an address of before, nor what anybody says with a publishable key."""
    for day, address in (("01", "a@x.example"), ("02", "b@x.example")):
        at = f"2026-01-{day}T00:00:00Z"
        native(server, keys, {"customer_id": "c1", "occurred_at": at, "traits": {"email": address}})
    native(server, keys, {"customer_id": "c1", "traits": {"email": "e@x.example"}}, kind="publishable_key")
    texts = ("a@x.example", "b@x.example", "e@x.example")
    assert [ask(server, keys, text).status_code for text in texts] == [404, 200, 404]


def test_an_address_of_several_is_refused_with_their_names(server: Server, keys: Keys) -> None:
    """For what changes something; reading shows one and says who else. An identifier of one and an attribute of another
    are two, and `email:` says that the identifier is meant."""
    shared = {"traits": {"email": "office@x.example"}}
    native(server, keys, {"customer_id": "c1", **shared}, {"customer_id": "c2", **shared})
    delete = lambda text: server.http.delete(f"/v1/customers/{text}", headers=bearer(keys))  # noqa: E731
    refused = delete("office@x.example")
    assert (refused.status_code, refused.json()["error"]) == (409, "ambiguous_id")
    assert sorted(refused.json()["customers"]) == ["customer_id:c1", "customer_id:c2"]
    assert ask(server, keys, "office@x.example").json()["also"] != []
    native(server, keys, {"event": "decoy", "email": "jane@x.example"}, kind="publishable_key")
    native(server, keys, {"customer_id": "c3", "traits": {"email": "jane@x.example"}})
    assert ask(server, keys, "jane@x.example").json()["id"] == "customer_id:c3"
    refused = delete("jane@x.example")
    assert (refused.status_code, refused.json()["customers"]) == (409, ["email:jane@x.example", "customer_id:c3"])
    certificate_when_done(server, keys, erase(server, keys, "email:jane@x.example"))
    assert ask(server, keys, "c3").status_code == 200
    certificate_when_done(server, keys, erase(server, keys, "jane@x.example"))
    assert ask(server, keys, "c3").status_code == 404


def test_filters_for_names_with_an_operator_in_them_and_for_the_empty_name(server: Server, keys: Keys) -> None:
    """Every way to read a condition is meant, or the one that quotes leave."""
    native(server, keys, {"customer_id": "c1", "traits": {"a:eq:b": "c", "": "x"}},
           {"customer_id": "c2", "traits": {"a": "b:eq:c"}},
           {"customer_id": "c3", "traits": {'"q"': 7, "a": ""}})  # fmt: skip
    listed(server, keys, "c", 3)
    expected = {
        "a:eq:b:eq:c": ["c1", "c2"], '"a:eq:b":eq:c': ["c1"], '"a":eq:b:eq:c': ["c2"], ":eq:x": ["c1"],
        '"":eq:x': ["c1"],
        ":exists": ["c1"], ":missing": ["c2", "c3"], "a:eq:": ["c3"], '"\\"q\\"":gt:6': ["c3"], "a:eq:b:exists": ["c1"],
        '"a:eq:b":missing': ["c2", "c3"],
    }  # fmt: skip
    found = {
        text: sorted(item["id"][12:] for item in server.read("/v1/customers", keys, attribute=text)["items"])
        for text in expected
    }
    assert found == expected
