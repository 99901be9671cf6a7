"""Which key a client has: what it sends is verified or held back, and where it is, it is said what to do."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from tenure.control.keys import TRUST_RISK, WHAT_TO_DO
from tests.harness import Server, tenure
from tests.pages.site import ADMIN, Site, make_site

Keys = dict[str, str]


@pytest.fixture
def site(server: Server) -> Site:
    return make_site(server)


def whisperr(server: Server, key: str, user: str, **headers: str) -> Any:
    """What the vendor's client for servers sends: who it is, and that they pay."""
    sent = {"X-API-Key": key, **headers}
    server.http.post("/v1/identify", headers=sent, json={"external_user_id": user, "traits": {"name": "Jane Doe"}})
    event = {"external_user_id": user, "event_type": "membership_started", "context": {"$message_id": f"m-{user}"},
             "properties": {"plan_id": "pro", "price": 49, "currency": "USD", "plan_period": "month",
                            "transaction_id": f"t-{user}"}}  # fmt: skip
    answer = server.http.post("/v1/events/batch", headers=sent, json={"events": [event]})
    assert answer.status_code == 202, answer.text
    server.wait_loaded()
    return answer


def test_a_server_with_the_secret_key_gets_names_and_mrr(server: Server, site: Site) -> None:
    answer = whisperr(server, site.keys["secret_key"], "u1")
    found = server.read("/v1/customers/u1", site.keys)
    assert (found["name"], found["billing"]["status"], found["held_back"]) == ("Jane Doe", "active", None)
    assert "tenure-unverified" not in answer.headers


def test_what_is_held_back_says_what_to_do(server: Server, site: Site) -> None:
    """In the answer of each dialect, in the API, and on the pages."""
    answer = whisperr(server, site.keys["publishable_key"], "u1")
    assert answer.headers["tenure-unverified"] == WHAT_TO_DO
    assert answer.json() == {"accepted": 1, "rejected": 0}
    found = server.read("/v1/customers/u1", site.keys)
    assert (found["name"], found["billing"], found["held_back"]) == (None, None, WHAT_TO_DO)
    assert server.read("/v1/customers/u1/attributes", site.keys)["held_back"] == WHAT_TO_DO
    assert server.read("/v1/customers/u1/health", site.keys)["held_back"] is True
    token = site.store.people.open_session(site.store.people.find(ADMIN), "test")
    headers = {"Cookie": f"tenure_session={token}"}
    page = server.http.get(f"{site.app}/customers/uid:u1", headers=headers).text
    assert page.count("secret key, or trust the key") >= 2
    keys = server.http.get(f"{site.app}/settings/keys", headers=headers).text
    assert "Trust this key" in keys
    assert TRUST_RISK.partition("(")[0] in keys


def test_a_trusted_key_is_as_good_as_a_secret_one_for_what_it_may_send(server: Server, site: Site) -> None:
    """From then on, until it is trusted no more; it may do nothing else."""
    key = site.keys["publishable_key"]
    (row,) = [row for row in site.store.list_keys(site.keys["app"]) if row.kind == "publishable"]
    whisperr(server, key, "before")
    command = [sys.executable, "-m", "tenure", "key", "trust", row.id, "--data", str(server.data)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "say anything of any customer" in " ".join(refused.stderr.split())
    tenure("key", "trust", row.id, "--yes", data=server.data)
    wait_until_trusted(server, key, trusted=True)
    assert "tenure-unverified" not in whisperr(server, key, "u1").headers
    assert server.read("/v1/customers/u1", site.keys)["name"] == "Jane Doe"
    assert server.read("/v1/customers/before", site.keys)["name"] is None
    statement = {"subscriptions": [{"customer_id": "u1", "subscription": "s", "status": "active", "items": []}]}
    assert server.http.post("/v1/subscriptions", headers={"X-API-Key": key}, json=statement).status_code == 403
    assert "trusted" in tenure("key", "list", data=server.data)
    tenure("key", "distrust", row.id, data=server.data)
    wait_until_trusted(server, key, trusted=False)
    assert "tenure-unverified" in whisperr(server, key, "u2").headers
    assert [entry.action for entry in site.store.audit.entries(site.keys["app"]).items][:2] == [
        "key.distrust",
        "key.trust",
    ]


def test_only_a_publishable_key_can_be_trusted(server: Server, site: Site) -> None:
    (row,) = [row for row in site.store.list_keys(site.keys["app"]) if row.kind == "read"]
    command = [sys.executable, "-m", "tenure", "key", "trust", row.id, "--yes", "--data", str(server.data)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "only a publishable key can be trusted" in refused.stderr


def wait_until_trusted(server: Server, key: str, *, trusted: bool) -> None:
    """Until both workers have taken up what changed: several answers in a row are by it."""
    deadline, in_a_row = time.monotonic() + 30, 0
    while in_a_row < 10:
        answer = server.http.post("/v1/ingest", headers={"X-API-Key": key, "Connection": "close"},
                                  json={"events": [{"event": "login", "uid": "other"}]})  # fmt: skip
        in_a_row = in_a_row + 1 if ("tenure-unverified" not in answer.headers) is trusted else 0
        assert time.monotonic() < deadline
