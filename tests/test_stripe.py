"""Stripe on a real server: webhooks that `localstripe` signs, whatever else may be sent there, and imports."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import count, pairwise
from typing import Any

import httpx
import pytest
from stripe import WebhookSignature

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.event import Event
from tenure.settings import Settings
from tenure.subscriptions.mrr import mrr
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources.stripe import facts
from tenure.subscriptions.state import timeline
from tenure.wire.json import canonical
from tests.harness import Server, create_app
from tests.local_stripe import API_KEY, CARD, FAILING_CARD, LocalStripe, local_stripe

SECRET, OTHER = "whsec_0123456789abcdefghij", "whsec_jihgfedcba9876543210"
WAIT_SECONDS = 30
Keys = dict[str, str]


@pytest.fixture(scope="module")
def billing(server: Server) -> Keys:
    """An app with a webhook secret."""
    keys = create_app(server.data, "billing")
    store(server).stripe_secrets.add(keys["app"], SECRET)
    return keys


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    with local_stripe(tmp_path_factory.mktemp("localstripe")) as running:
        yield running


def store(server: Server) -> Store:
    return Store(connect(Settings.load({"data": server.data}, {})))


numbers = count(int(time.time()) + 3_600)
"""Seconds at which webhooks that a test makes are sent: after all that localstripe sends by itself."""


def body_of(kind: str, about: dict[str, Any]) -> bytes:
    """An event of Stripe's, each a second after the one before."""
    number = next(numbers)
    event = {"id": f"evt_{number}", "object": "event", "api_version": "2017-08-15", "created": number}
    return json.dumps(event | {"livemode": True, "type": kind, "data": {"object": about}}).encode()


def sign(body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    return {"Stripe-Signature": WebhookSignature.generate_signature_header(body.decode(), secret, at)}


def post(server: Server, app: str, body: bytes, headers: dict[str, Any]) -> httpx.Response:
    return server.http.post(f"/v1/billing/stripe/{app}", content=body, headers=headers)


def deliver(server: Server, keys: Keys, kind: str, about: dict[str, Any]) -> None:
    """A webhook that localstripe does not send, in its place."""
    body = body_of(kind, about)
    answer = post(server, keys["app"], body, sign(body))
    assert (answer.status_code, answer.json()) == (200, {"received": 1}), answer.text


def on_timeline(server: Server, keys: Keys, customer: str, *names: str) -> list[dict[str, Any]]:
    """The events of a customer, oldest first, as soon as all of these are there."""
    path, headers = f"/v1/customers/{customer}/timeline", {"Authorization": f"Bearer {keys['read_key']}"}
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        answer = server.http.get(path, params={"limit": 1000}, headers=headers)
        found: list[dict[str, Any]] = answer.json()["items"] if answer.status_code == 200 else []
        missing = Counter(names) - Counter(item["name"] for item in found)
        if not missing:
            return found[::-1]
        assert time.monotonic() < deadline, missing
        time.sleep(0.1)


def lived(items: list[dict[str, Any]], subscription: str) -> list[tuple[str, int]]:
    """The states that a subscription went through, with their MRR, by the events on a timeline."""
    known = []
    for item in items:
        at = int(datetime.fromisoformat(item["occurred_at"]).timestamp() * 1000)
        sent = Event(
            index=0, name=item["name"], occurred_at=at, message_id=item["message_id"],
            properties=canonical(item["properties"]),
        )  # fmt: skip
        reading = facts(sent, at * 1000)
        assert reading.problem is None
        known += [fact for fact in reading.facts if fact.subscription == subscription]
    states = [(span.state.status, int(mrr(span.state, Rules()))) for span in timeline(known)]
    return states[:1] + [later for earlier, later in pairwise(states) if earlier != later]


def test_a_life_in_stripe_arrives(server: Server, billing: Keys, fake: LocalStripe) -> None:
    """Created, upgraded, more seats, failed, paid, paused, refunded, canceled, and back again: all as it was.

    localstripe sends nothing of updates, late failures and refunds, and has neither trials nor pauses: what its API has
    after each change is sent in its place, with what Stripe would have in it.
    """
    fake.send_webhooks(f"{server.url}/v1/billing/stripe/{billing['app']}", SECRET)
    fake.plan("basic", 1000)
    fake.plan("pro", 3000)
    fake.plan("yearly", 24_000, "year")
    email = "jane@life.example"
    customer = fake.customer(email=email, metadata={"user_id": "life_1"})
    api: Any = fake.client.v1.subscriptions
    subscription = api.create(params={"customer": customer, "items": [{"plan": "basic"}]}).id
    path = f"/v1/subscriptions/{subscription}"
    brief = api.create(params={"customer": customer, "items": [{"plan": "basic"}]}).id
    api.cancel(brief)

    def updated(**more: Any) -> None:
        deliver(server, billing, "customer.subscription.updated", fake.get(path) | more)

    trial = next(numbers)
    updated(status="trialing", trial_start=trial, trial_end=trial + 2)
    updated(trial_end=trial + 2)
    api.update(subscription, params={"items": [{"plan": "pro"}]})
    updated()
    api.update(subscription, params={"items": [{"plan": "pro", "quantity": 4}]})
    updated()
    fake.pay_with(customer, FAILING_CARD)
    api.update(subscription, params={"items": [{"plan": "yearly"}]})
    assert fake.get(path)["status"] == "past_due"
    updated()
    deliver(server, billing, "invoice.payment_failed", fake.get(f"/v1/invoices/{fake.get(path)['latest_invoice']}"))
    fake.pay_with(customer, CARD)
    fake.client.v1.invoices.pay(fake.get(path)["latest_invoice"])
    updated(status="active")
    updated(status="active", pause_collection={"behavior": "void", "resumes_at": None})
    updated(status="active", pause_collection=None)
    charge = fake.get("/v1/charges", limit=1)["data"][0]
    fake.client.v1.refunds.create(params={"charge": charge["id"]})
    deliver(server, billing, "charge.refunded", fake.get(f"/v1/charges/{charge['id']}"))
    api.update(subscription, params={"cancel_at_period_end": True})
    updated(status="active", canceled_at=next(numbers))
    ended = fake.get(path) | {"status": "canceled", "ended_at": next(numbers)}
    deliver(server, billing, "customer.subscription.deleted", ended)
    again = api.create(params={"customer": customer, "items": [{"plan": "pro"}]}).id

    subscriptions = [f"customer.subscription.{name}" for name in 3 * ["created"] + 9 * ["updated"] + 2 * ["deleted"]]
    items = on_timeline(
        server, billing, "life_1", "customer.created", "invoice.payment_failed", "charge.refunded", *subscriptions
    )
    assert items == on_timeline(server, billing, email)
    assert all((item["dialect"], item["verified"]) == ("stripe", True) for item in items)
    assert lived(items, subscription) == [
        ("active", 1000), ("trialing", 0), ("active", 1000), ("active", 3000), ("active", 12_000), ("past_due", 2000),
        ("active", 2000), ("paused", 0), ("active", 2000), ("canceled", 0),
    ]  # fmt: skip
    assert lived(items, brief)[-1] == ("canceled", 0)
    assert lived(items, again) == [("active", 3000)]


def test_what_is_not_signed_is_told(server: Server, billing: Keys) -> None:
    """Missing, wrong and old have codes of their own; what is unknown here looks like what is signed wrongly."""
    app = billing["app"]
    body = body_of("customer.updated", {"id": "cus_never", "object": "customer"})
    bare = create_app(server.data, "billing, without a secret")["app"]
    wrong = {
        "signed by another": post(server, app, body, sign(body, OTHER)),
        "another body": post(server, app, body + b" ", sign(body)),
        "no form": post(server, app, body, {"Stripe-Signature": "t=1"}),
        "no ASCII": post(server, app, body, {"Stripe-Signature": b"t=1,v1=\xff"}),
        "not UTF-8": post(server, app, b"\xff", sign(b"")),
        "no such app": post(server, "app_none", body, sign(body)),
        "no secret": post(server, bare, body, sign(body)),
        "of another app": post(server, bare, body, sign(body)),
    }
    told = {(answer.status_code, answer.text) for answer in wrong.values()}
    assert len(told) == 1
    assert wrong["no such app"].status_code == 401
    assert wrong["no such app"].json()["error"] == "wrong_signature"
    old = post(server, app, body, sign(body, at=int(time.time()) - 400))
    assert (old.status_code, old.json()["error"]) == (401, "old_signature")
    old_and_wrong = post(server, app, body, sign(body, OTHER, int(time.time()) - 400))
    assert old_and_wrong.json()["error"] == "wrong_signature"
    missing = post(server, app, body, {})
    assert (missing.status_code, missing.json()["error"]) == (401, "missing_signature")
    assert SECRET not in "".join(answer.text for answer in (*wrong.values(), old, missing)) + server.log.read_text()
    server.wait_loaded()
    answer = server.http.get("/v1/customers/cus_never", headers={"Authorization": f"Bearer {billing['read_key']}"})
    assert answer.status_code == 404


def test_clocks_may_differ_and_whole_bodies_are_signed(server: Server, billing: Keys) -> None:
    """A sender whose clock is ahead is taken, one who is 4 minutes behind too; gzip is undone before the check."""
    body = body_of("customer.updated", {"id": "cus_skew", "object": "customer", "email": "skew@example.com"})
    for skew in (-240, 0, 3_600):
        assert post(server, billing["app"], body, sign(body, at=int(time.time()) + skew)).status_code == 200
    zipped = post(server, billing["app"], gzip.compress(body), sign(body) | {"Content-Encoding": "gzip"})
    assert zipped.json() == {"received": 1}
    server.wait_loaded()
    assert len(on_timeline(server, billing, "skew@example.com")) == 1


def test_secrets_are_rotated_while_it_runs(server: Server) -> None:
    """A second secret counts at once beside the first; one that was revoked ends within about a second."""
    keys = create_app(server.data, "billing, rotated")
    secrets = store(server).stripe_secrets
    first = secrets.add(keys["app"], SECRET)
    body = body_of("customer.updated", {"id": "cus_1", "object": "customer", "email": "r@example.com"})
    assert post(server, keys["app"], body, sign(body)).status_code == 200
    secrets.add(keys["app"], OTHER)
    assert [post(server, keys["app"], body, sign(body, each)).status_code for each in (SECRET, OTHER)] == [200, 200]
    secrets.revoke(keys["app"], first)
    deadline = time.monotonic() + WAIT_SECONDS
    while post(server, keys["app"], body, sign(body)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert post(server, keys["app"], body, sign(body, OTHER)).status_code == 200


def test_a_relay_sends_with_the_apps_secret_key(server: Server, billing: Keys) -> None:
    """Events and objects in a list, without a signature; other keys, and keys of other apps, may not."""
    app, other = billing["app"], create_app(server.data, "billing, another")
    about = {"id": "cus_relay", "object": "customer", "email": "relay@example.com", "created": 1_780_000_000}
    event = json.loads(body_of("customer.created", about))
    body = json.dumps({"object": "list", "data": [event, about, {"object": "balance", "id": "x"}]}).encode()

    def sent(key: str, path: str = app) -> tuple[int, str]:
        answer = post(server, path, body, {"Authorization": f"Bearer {key}", "Stripe-Signature": "t=1,v1=old"})
        return answer.status_code, answer.json().get("error", "")

    assert sent(billing["secret_key"]) == (200, "")
    assert sent(billing["secret_key"]) == (200, "")
    assert sent(other["secret_key"]) == (401, "wrong_app")
    assert sent(other["secret_key"], "app_none") == (401, "wrong_app")
    assert sent(billing["publishable_key"]) == (403, "wrong_key_kind")
    assert sent("sk_live_unknown") == (401, "unknown_key")
    server.wait_loaded()
    names = [item["name"] for item in on_timeline(server, billing, "relay@example.com")]
    assert names == ["customer.imported", "customer.created"]
    last = post(server, app, body, {"X-API-Key": billing["secret_key"]})
    assert (last.json()["received"], [error["index"] for error in last.json()["errors"]]) == (2, [2])
    server.wait_loaded()
    receipt = server.read(f"/v1/receipts/{last.headers['tenure-receipt']}", billing)
    assert [(element["outcome"], element.get("code")) for element in receipt["elements"]] == [
        ("duplicate", None), ("duplicate", None), ("quarantined", "no_customer")
    ]  # fmt: skip
    assert server.http.get(f"/v1/billing/stripe/{app}").status_code == 405


def run(server: Server, app: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tenure", "import", *arguments, "--app", app, "--data", str(server.data), "--json"]
    environment = os.environ | {"STRIPE_API_KEY": API_KEY}
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, env=environment)


def test_an_account_is_imported_and_goes_on_where_it_stopped(server: Server, fake: LocalStripe) -> None:
    """From the API, also when it was broken off half way; from JSON on standard input; twice changes nothing."""
    keys = create_app(server.data, "billing, imported")
    fake.plan("imported", 500)
    api: Any = fake.client.v1.subscriptions
    customer = fake.customer(email="import@example.com")
    api.create(params={"customer": customer, "items": [{"plan": "imported"}]})
    first = fake.get("/v1/customers", limit=1)["data"][0]
    spool = server.data / "imports" / f"stripe-{keys['app']}.part"
    spool.parent.mkdir(exist_ok=True)
    spool.write_text(json.dumps(first) + '\n{"id": "cus_cut_o')
    done = run(server, keys["app"], "--stripe-api", "--stripe-base", fake.url)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["stored"] == summary["events"] > 3
    assert summary["refused"].keys() == {"no_customer"}
    assert not list(spool.parent.glob("stripe-*"))
    imported = ("customer.imported", "subscription.imported", "customer.created", "invoice.created")
    on_timeline(server, keys, "import@example.com", *imported)

    document = json.dumps(fake.get("/v1/subscriptions", limit=100, status="all"), indent=2).encode()
    again = json.loads(run(server, keys["app"], "--stripe", "-", stdin=document).stdout)
    assert (again["stored"], again["duplicates"]) == (0, again["events"])
