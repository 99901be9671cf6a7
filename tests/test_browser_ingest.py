"""What a browser may send: signed or not, from which pages, and what a signature is good for."""

from __future__ import annotations

import hmac
from typing import Any

import httpx
import pytest

from tests.harness import Server, create_app, tenure

Keys = dict[str, str]


def sign(keys: Keys, subject: str) -> str:
    return hmac.new(keys["secret_key"].encode(), subject.encode(), "sha256").hexdigest()


def churnkey(server: Server, keys: Keys, **event: Any) -> httpx.Response:
    body = {"event": "Post Created", **event}
    return server.http.post("/v1/api/events/browser", headers={"x-ck-app": keys["app"]}, json=body)


def native(server: Server, keys: Keys, *events: Any, **headers: str) -> httpx.Response:
    sent = {"X-API-Key": keys["publishable_key"], **headers}
    return server.http.post("/v1/ingest", headers=sent, json={"events": [{"event": "login", **one} for one in events]})


@pytest.mark.rule("browser-signature", "churnkey")
@pytest.mark.parametrize("subject", [{"customerId": "cus_1"}, {"customerEmail": "Jané@Example.com"}])
def test_churnkey_signature(server: Server, keys: Keys, subject: dict[str, str]) -> None:
    """None: stored as unverified. Right: verified. Wrong: 401, and nothing is stored."""
    (identifier,) = subject.values()
    for number, (auth_hash, verified) in enumerate(((None, False), (sign(keys, identifier), True))):
        answer = churnkey(server, keys, **subject, authHash=auth_hash, messageId=number)
        assert (answer.status_code, answer.json()) == (200, {"status": "success", "verified": verified})
    for wrong in (sign(keys, "cus_2"), sign({"secret_key": "another"}, identifier), "00", "\N{PILE OF POO}"):
        answer = churnkey(server, keys, **subject, authHash=wrong)
        assert (answer.status_code, answer.json()["error"]) == (401, "wrong_auth_hash")
    server.wait_loaded()
    items = server.read(f"/v1/customers/{identifier}/timeline", keys)["items"]
    assert sorted(item["verified"] for item in items) == [False, True]


@pytest.mark.rule("unknown-key", "churnkey")
def test_an_unknown_app_is_told(server: Server, keys: Keys) -> None:
    """Without an app id, and with one that is not known, a browser gets a 401 that says so."""
    for headers, code in (({}, "unauthenticated"), ({"x-ck-app": "app_none"}, "unknown_app")):
        answer = server.http.post("/v1/api/events/browser", headers=headers, json={"event": "e", "customerId": "c"})
        assert (answer.status_code, answer.json()["error"]) == (401, code)


@pytest.mark.rule("browser-signature", "native")
def test_native_signatures_are_told_by_index(server: Server, keys: Keys) -> None:
    """A wrong signature costs its own element alone; when there is nothing else it is a 401."""
    right = {"uid": "u1", "auth_hash": sign(keys, "u1")}
    wrong = {"uid": "u2", "auth_hash": sign(keys, "u1")}
    answer = native(server, keys, right, wrong, {"uid": "u3"})
    assert [result["status"] for result in answer.json()["results"]] == ["stored_pending", "invalid", "stored_pending"]
    assert answer.json()["results"][1]["code"] == "wrong_auth_hash"
    assert native(server, keys, wrong, wrong).status_code == 401
    server.wait_loaded()
    for uid, verified in (("u1", True), ("u3", False)):
        (item,) = server.read(f"/v1/customers/{uid}/timeline", keys)["items"]
        assert item["verified"] is verified
    unknown = server.http.get("/v1/customers/u2/timeline", headers={"Authorization": f"Bearer {keys['read_key']}"})
    assert unknown.status_code == 404


@pytest.mark.rule("browser-signature", "churnkey", "native")
def test_a_signature_links_nothing(server: Server, keys: Keys) -> None:
    """It proves one identifier: another's e-mail beside it does not become the sender's."""
    assert native(server, keys, {"uid": "victim", "email": "victim@example.com"}).status_code == 202
    for send in (
        lambda: native(server, keys, {"uid": "u1", "email": "victim@example.com", "auth_hash": sign(keys, "u1")}),
        lambda: churnkey(
            server, keys, customerId="cus_1", customerEmail="victim@example.com", authHash=sign(keys, "cus_1")
        ),
    ):
        assert send().status_code < 300
    server.wait_loaded()
    for identifier in ("u1", "cus_1", "victim"):
        assert len(server.read(f"/v1/customers/{identifier}/timeline", keys)["items"]) == 1


@pytest.mark.rule("browser-signature", "churnkey")
def test_rotation_keeps_signatures_until_the_old_secret_is_revoked(server: Server, keys: Keys) -> None:
    """With old and new secret both signatures are right; after the old one is revoked, only the new one's."""
    import json

    old = keys["secret_key"]
    rotated = json.loads(tenure("key", "rotate", old[:12], "--json", data=server.data))
    new = {"secret_key": rotated["key"]}
    for signer in (keys, new):
        assert churnkey(server, keys, customerId="cus_1", authHash=sign(signer, "cus_1")).json()["verified"] is True
    tenure("key", "revoke", old[:12], data=server.data)
    assert_soon(lambda: churnkey(server, keys, customerId="cus_1", authHash=sign(keys, "cus_1")).status_code == 401)
    assert churnkey(server, keys, customerId="cus_1", authHash=sign(new, "cus_1")).json()["verified"] is True


@pytest.mark.rule("allowed-origins", "native")
def test_origins_of_an_app(server: Server) -> None:
    """Pages of other origins are refused with a reason that the page can read; servers send no Origin and may send."""
    keys = create_app(server.data, "one with origins")
    allowed, other = "https://app.example.com", "https://evil.example.com"
    assert native(server, keys, {"uid": "u1"}, Origin=other).status_code == 202
    tenure("app", "origins", keys["app"], allowed, data=server.data)
    assert_soon(lambda: native(server, keys, {"uid": "u1"}, Origin=other).status_code == 403)
    refused = native(server, keys, {"uid": "u1"}, Origin=other)
    assert refused.json()["error"] == "origin_not_allowed"
    assert refused.headers["access-control-allow-origin"] == "*"
    assert native(server, keys, {"uid": "u1"}, Origin=allowed).status_code == 202
    assert native(server, keys, {"uid": "u1"}).status_code == 202


def assert_soon(condition: Any) -> None:
    """The processes of a server take up what changed in the control database within a second or so."""
    import time

    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
