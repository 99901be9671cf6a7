"""What customers do, stitched with what they pay: from a real Stripe client to MRR and churn, computed by hand.

Acme pays 10.00 a month, then 30.00 on another plan, then for four seats of it. Yves pays 240.00 a year, until a payment
fails, and comes back for 30.00. Pat pays 10.00.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from stripe import WebhookSignature

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tests.harness import Server, create_app
from tests.local_stripe import LocalStripe, local_stripe

SECRET = "whsec_0123456789abcdefghij"
WAIT_SECONDS = 60
THIS = datetime.now(UTC).date().replace(day=1)
LAST = (THIS - timedelta(days=1)).replace(day=1)
FIRST = (LAST - timedelta(days=1)).replace(day=1)
"""The first days of this month and the two before."""

Keys = dict[str, str]
STEPS = ("opening", "new", "expansion", "contraction", "churned", "reactivated", "transfer", "paused", "resumed",
         "closing")  # fmt: skip
MRR = [
    ("0.00", "30.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "30.00"),
    ("30.00", "0.00", "20.00", "0.00", "-20.00", "0.00", "0.00", "0.00", "0.00", "30.00"),
    ("30.00", "10.00", "90.00", "0.00", "0.00", "30.00", "0.00", "0.00", "0.00", "160.00"),
]


class Lives(NamedTuple):
    """What Stripe knows: the ids of its customers, the events that it has, and those that come in its place."""

    acme: str
    yves: str
    pat: str
    sent: list[dict[str, Any]]
    unsent: list[dict[str, Any]]

    def track(self, server: Server, keys: Keys) -> None:
        """What they do: Acme is known by its own id, Yves by Stripe's, Pat by an address and a uid."""
        who = [{"customer_id": "acme"}, {"customer_id": self.yves}, {"uid": "u_pat", "email": "Pat@pat.example"}]
        body = {"events": [{"event": "login"} | each for each in who]}
        answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json=body)
        assert answer.status_code == 202, answer.text


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    with local_stripe(tmp_path_factory.mktemp("localstripe")) as running:
        yield running


@pytest.fixture(scope="module")
def live(server: Server) -> Keys:
    """The app that the webhooks of localstripe go to."""
    return app(server, "stitched, live")


@pytest.fixture(scope="module")
def lives(server: Server, fake: LocalStripe, live: Keys) -> Lives:
    """They live at localstripe, which sends its webhooks; what it does not send, and the past, comes in its place."""
    fake.send_webhooks(f"{server.url}/v1/billing/stripe/{live['app']}", SECRET)
    for plan, amount, interval in (("basic", 1000, "month"), ("pro", 3000, "month"), ("yearly", 24_000, "year")):
        fake.plan(plan, amount, interval)
    api: Any = fake.client.v1.subscriptions
    acme = fake.customer(email="billing@acme.example", metadata={"tenure_customer_id": "acme"})
    yves = fake.customer(email="yves@yves.example")
    pat = fake.customer(email="pat@pat.example")
    unsent: list[dict[str, Any]] = []

    def happened(kind: str, at: int, subscription: str, **more: Any) -> None:
        about = fake.get(f"/v1/subscriptions/{subscription}")
        past = {"created": noon(FIRST, 10), "start_date": noon(FIRST, 10), "current_period_start": noon(FIRST, 10)}
        unsent.append(
            {"id": f"evt_{len(unsent)}", "object": "event", "api_version": "2017-08-15", "created": at,
             "livemode": True, "type": f"customer.subscription.{kind}", "data": {"object": about | past | more}}
        )  # fmt: skip

    bought = api.create(params={"customer": acme, "items": [{"plan": "basic"}]}).id
    happened("created", noon(FIRST, 10), bought)
    api.update(bought, params={"items": [{"plan": "pro"}]})
    happened("updated", noon(LAST, 10), bought)
    api.update(bought, params={"items": [{"plan": "pro", "quantity": 4}]})
    happened("updated", int(time.time()) + 1, bought)
    ended = api.create(params={"customer": yves, "items": [{"plan": "yearly"}]}).id
    happened("created", noon(FIRST, 10), ended)
    api.cancel(ended)
    why = {"cancellation_details": {"reason": "payment_failed"}}
    happened("deleted", noon(LAST, 15), ended, status="canceled", ended_at=noon(LAST, 15), **why)
    api.create(params={"customer": yves, "items": [{"plan": "pro"}]})
    api.create(params={"customer": pat, "items": [{"plan": "basic"}]})
    return Lives(acme, yves, pat, fake.get("/v1/events", limit=100)["data"], unsent)


def app(server: Server, name: str) -> Keys:
    keys = create_app(server.data, name)
    Store(connect(Settings.load({"data": server.data}, {}))).stripe_secrets.add(keys["app"], SECRET)
    return keys


def noon(month: date, day: int) -> int:
    """Seconds since 1970 UTC at noon of a day of a month."""
    return int(datetime(month.year, month.month, day, 12, tzinfo=UTC).timestamp())


def deliver(server: Server, keys: Keys, event: dict[str, Any]) -> None:
    """A webhook, signed as Stripe does."""
    body = json.dumps(event)
    headers = {"Stripe-Signature": WebhookSignature.generate_signature_header(body, SECRET)}
    answer = server.http.post(f"/v1/billing/stripe/{keys['app']}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


def until(found: Callable[[], Any], expected: Any) -> None:
    """Wait for an answer."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (answer := found()) != expected:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)


def months(server: Server, keys: Keys) -> list[tuple[str, ...]]:
    """The steps of MRR of three months."""
    rows = server.read("/v1/metrics/mrr", keys, currency="USD", **{"from": str(FIRST)})["rows"]
    return [tuple(row[step] for step in STEPS) for row in rows]


def behind(server: Server, keys: Keys, path: str, month: date, explain: str) -> tuple[str, list[tuple[str, ...]]]:
    """A number, and whose subscriptions are behind it, each with its plan and amount."""
    question = {"period_start": str(month), "currency": "USD", "explain": explain}
    told = server.read(f"/v1/metrics/{path}", keys, **question)["explained"]
    return told["number"], sorted((item["customer"], item["plan"], item["amount"]) for item in told["items"])


def explained(server: Server, keys: Keys) -> list[Any]:
    """All numbers that are taken apart below."""
    questions = (("mrr", LAST, "expansion"), ("mrr", THIS, "reactivated"), ("mrr", THIS, "closing"),
                 ("churn", LAST, "opening"), ("churn", LAST, "lost"))  # fmt: skip
    return [behind(server, keys, *question) for question in questions]


def paid(server: Server, keys: Keys, lives: Lives) -> list[Any]:
    """Of each customer, billing and what it came from, asked by an id that Stripe does not know, if there is one."""
    ids = ("acme", lives.yves, "u_pat")
    pages = [server.read(f"/v1/customers/{id}/subscriptions", keys) for id in ids]
    return [
        (server.read(f"/v1/customers/{id}", keys)["billing"], page["movements"], page["spells"])
        for id, page in zip(ids, pages, strict=True)
    ]


def test_what_they_pay_is_what_was_computed_by_hand(server: Server, live: Keys, lives: Lives) -> None:
    """MRR by month, churn, what is behind them, the list, and each customer, found by id, the same id and e-mail."""
    lives.track(server, live)
    for event in lives.unsent:
        deliver(server, live, event)
    until(lambda: months(server, live), MRR)

    (churn,) = server.read("/v1/metrics/churn", live, currency="USD", period_start=str(LAST))["rows"]
    assert [churn[name] for name in ("customers", "lost", "voluntary", "involuntary")] == [2, 1, 0, 1]
    assert churn["customer_churn"] == {"rate": "0.5", "numerator": "1", "denominator": "2"}
    assert churn["gross_revenue_churn"] == {"rate": "0.666666666667", "numerator": "20.00", "denominator": "30.00"}
    assert churn["net_revenue_churn"] == {"rate": "0", "numerator": "0.00", "denominator": "30.00"}

    acme, yves, pat = "customer_id:acme", f"customer_id:{lives.yves}", "uid:u_pat"
    until(lambda: explained(server, live), [
        ("20.00", [(acme, "basic", "-10.00"), (acme, "pro", "30.00")]),
        ("30.00", [(yves, "pro", "30.00")]),
        ("160.00", [(acme, "pro", "120.00"), (yves, "pro", "30.00"), (pat, "basic", "10.00")]),
        ("30.00", [(acme, "basic", "10.00"), (yves, "yearly", "20.00")]),
        ("20.00", [(yves, "yearly", "20.00")]),
    ])  # fmt: skip

    def listed(**filters: Any) -> list[str]:
        return [item["id"] for item in server.read("/v1/customers", live, **filters)["items"]]

    until(lambda: listed(sort="-mrr"), [acme, yves, pat])
    assert listed(status="active", plan="pro", sort="-mrr") == [acme, yves]
    assert listed(mrr_at_least="100") == [acme]

    (first, _, _), (second, movements, spells), (third, _, _) = paid(server, live, lives)
    assert [(each["status"], each["plans"], each["mrr"]) for each in (first, second, third)] == [
        ("active", ["pro"], "120.00"), ("active", ["pro"], "30.00"), ("active", ["basic"], "10.00"),
    ]  # fmt: skip
    assert first["paying_since"] == str(FIRST.replace(day=10))
    assert [(line["kind"], line["amount"]) for line in movements] == [
        ("reactivated", "30.00"), ("churned", "-20.00"), ("new", "20.00"),
    ]  # fmt: skip
    assert [(spell["cause"], spell["returned"]) for spell in spells] == [(None, True), ("involuntary", False)]
    for one, stripe_id in (("acme", lives.acme), (lives.yves, lives.yves), ("u_pat", lives.pat)):
        timeline = server.read(f"/v1/customers/{one}/timeline", live, limit=1000)["items"]
        assert {item["dialect"] for item in timeline} == {"native", "stripe"}
        assert f"billing_id:{stripe_id}" in server.read(f"/v1/customers/{one}", live)["identifiers"]


def test_doubled_missing_and_late_webhooks_end_in_the_same(server: Server, live: Keys, lives: Lives) -> None:
    """The same numbers, explained by the same lines; other rules then make another number of the same facts."""
    keys = app(server, "stitched, out of order")
    first = next(event for event in lives.sent if is_of(event, "customer.subscription.created", lives.acme))
    kept = [event for event in lives.sent if event["type"].startswith("customer.") and event != first]
    assert len(kept) < len(lives.sent) - 1
    shuffled = 2 * (kept + lives.unsent)
    random.Random(5).shuffle(shuffled)
    for event in shuffled:
        deliver(server, keys, event)
    lives.track(server, keys)
    for each in (live, keys):
        until(lambda each=each: months(server, each), MRR)
    until(lambda: explained(server, keys), explained(server, live))
    until(lambda: paid(server, keys, lives), paid(server, live, lives))

    headers = {"Authorization": f"Bearer {keys['secret_key']}"}
    change = {"rules": {"reactivation_days": 7}}
    assert server.http.put("/v1/metrics/rules", json=change, headers=headers).status_code == 200
    anew = ("30.00", "40.00", "90.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "160.00")
    until(lambda: months(server, keys), [*MRR[:2], anew])
    assert months(server, live) == MRR


def is_of(event: dict[str, Any], kind: str, customer: str) -> bool:
    return bool(event["type"] == kind and event["data"]["object"].get("customer") == customer)
