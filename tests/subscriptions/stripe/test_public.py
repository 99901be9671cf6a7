"""Public Stripe payloads, each sent to an app of its own, come to what a plain reading of them says.

`public/*.jsonl` has a payload on each line, with where it is from: repository, path, commit or release, license.
They are of permissive licenses (MIT, Apache-2.0, ISC), and these repositories:

    activepieces/activepieces           amun-ai/hypha                       dj-stripe/dj-stripe
    lane711/sonicjs                     mazzcris/oo-stripe-php              nijikokun/stripe-mock-data
    pay-rails/pay                       pinax/django-stripe-payments        pinax/pinax-stripe
    stripe-ruby-mock/stripe-ruby-mock   stripe/stripe-java                  Subhooo5/payfuzz
    supabase/stripe-sync-engine         thephpleague/omnipay-stripe         triggerdotdev/trigger.dev
    zulip/zulip

`read.jsonl` has the fields that say something of money, time, customer or version; the other files whole payloads.
Addresses, names and numbers of cards that could be somebody's are neutral ones.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from tenure.entry import Entry
from tenure.loader import rows
from tenure.receipt import at as receipt_at
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.mrr import is_unknown, mrr
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.state import timeline
from tenure.wire import stripe
from tests.harness import Server, create_app
from tests.subscriptions.stripe import plain

PUBLIC = Path(__file__).parent / "public"
LIVE, ACCOUNT = True, None
"""The mode and the connected account that payloads are sent with. Nearly all are of test mode; none has an account."""
LATER = 60
"""Seconds after a payload was made at which it is looked at."""
WAIT_SECONDS = 120
LICENSES = {"MIT", "Apache-2.0", "ISC"}


class Payload(NamedTuple):
    """A payload as it is sent, and where it is from."""

    source: dict[str, str]
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """The type of an event, or what an object is."""
        return str(self.body.get("type") or self.body["object"])


def in_mode(value: Any, live: bool) -> Any:
    """A payload with all of it in one mode."""
    if isinstance(value, dict):
        return {name: live if name == "livemode" else in_mode(each, live) for name, each in value.items()}
    return [in_mode(each, live) for each in value] if isinstance(value, list) else value


def sent(line: str) -> Payload:
    """The payload of a line, in the mode and the account of all."""
    read = json.loads(line)
    account = {} if ACCOUNT is None or read["body"]["object"] != "event" else {"account": ACCOUNT}
    return Payload(read["source"], in_mode(read["body"], LIVE) | account)


LINES = [line for file in sorted(PUBLIC.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
ALL = [sent(line) for line in LINES]
IDS = [f"{number}-{payload.kind}" for number, payload in enumerate(ALL)]


def facts(body: dict[str, Any]) -> list[Fact]:
    """The facts that are stored of a payload which came a minute after it was made."""
    received = (plain.own_time(body) + LATER) * 1_000_000
    events = stripe.decode(json.dumps(body).encode(), received // 1_000).events
    entry = Entry(app="app", receipt=receipt_at(received), received_at=received, dialect="stripe", verified=True,
                  key_prefix="sk", events=events)  # fmt: skip
    return [msgspec.json.decode(row[10], type=Fact) for copy in rows.block([entry]).copies for row in copy.facts]


def found(body: dict[str, Any]) -> tuple[str, Fraction, bool]:
    """The MRR that Tenure finds shortly after the payload was made, and whether all of it is known."""
    now = (plain.own_time(body) + LATER) * 1_000
    spans = [span for span in timeline(facts(body)) if span.start <= now]
    if not spans:
        return "", Fraction(0), True
    state = spans[-1].state
    amount = mrr(state, Rules())
    return state.currency if amount else "", amount, not is_unknown(state, Rules())


def expected(body: dict[str, Any]) -> tuple[str, Fraction, bool]:
    """What the plain reading says. No payload is in a currency that Stripe counts otherwise than ISO 4217."""
    said = plain.read(body)
    return said.currency.upper() if said.amount else "", said.amount, said.complete


@pytest.mark.parametrize("payload", ALL, ids=IDS)
def test_comes_to_what_it_says(payload: Payload) -> None:
    """Each payload alone: its currency, its MRR, and whether its price is known."""
    assert found(payload.body) == expected(payload.body), payload.source


def test_there_are_enough_of_them() -> None:
    """At least 200, no two the same, of every status and form; and the plain reading finds money in many.

    Of one it does not say how much: it has a discount of which only the id is sent.
    """
    bodies = [json.dumps(payload.body, sort_keys=True) for payload in ALL]
    assert len(set(bodies)) == len(ALL) >= 200
    about = [body["data"]["object"] if body["object"] == "event" else body for body in (each.body for each in ALL)]
    subscriptions = [each for each in about if each.get("object") == "subscription"]
    assert len(subscriptions) >= 60
    assert {each["status"] for each in subscriptions} >= {"active", "trialing", "canceled", "paused"}
    assert {"items" in each for each in subscriptions} == {True, False}
    read = [plain.read(payload.body) for payload in ALL]
    assert sum(each.amount > 0 or each.only_ids for each in read) >= 30
    assert sum(each.only_ids for each in read) == 1
    assert len({payload.kind for payload in ALL}) >= 60


def test_each_says_where_it_is_from() -> None:
    """A repository that the head of this module lists, a path, a commit or a release, and a permissive license."""
    assert __doc__ is not None
    listed = re.findall(r"[\w.-]+/[\w.-]+", __doc__.split("repositories:")[1].split("`read.jsonl`")[0])
    licenses = dict(re.findall(r"^\| (\S+/\S+) \| (\S+) \|", (PUBLIC / "LICENSES.md").read_text(), re.MULTILINE))
    assert {payload.source["repository"]: payload.source["license"] for payload in ALL} == licenses
    assert sorted(licenses) == sorted(listed)
    assert set(licenses.values()) == LICENSES
    for source in (payload.source for payload in ALL):
        assert source["path"]
        assert re.fullmatch("[0-9a-f]{40}", source["commit"]) if "commit" in source else source["release"]


def test_nobodys_secrets_are_in_them() -> None:
    """No key, no address of anybody."""
    addresses = {address for line in LINES for address in re.findall(r"[\w.+-]+@[\w-]+\.[\w.]+", line)}
    assert addresses <= {"customer@example.com"}
    assert [line for line in LINES if re.search(r"\b(?:[spr]k_(?:live|test)_|whsec_)\w", line)] == []


OTHERS = {"invoice.payment_succeeded", "invoice.finalized", "customer.discount.created", "customer.created"}


def on_a_server() -> list[Payload]:
    """A few dozen: the webhooks of subscriptions, one of each type, amount and form, and some of other types."""
    chosen: dict[Any, Payload] = {}
    for payload in ALL:
        about = payload.body.get("data", {}).get("object", {})
        if about.get("object") == "subscription":
            chosen.setdefault((payload.kind, expected(payload.body), "items" in about, "currency" in about), payload)
        elif payload.kind in OTHERS:
            chosen.setdefault(payload.kind, payload)
    return list(chosen.values())


def test_a_server_finds_the_same(server: Server) -> None:
    """Sent to apps of their own on a real server, a day's MRR of each is the amount that the payload says."""
    chosen = on_a_server()
    assert 24 <= len(chosen) <= 60
    apps = [create_app(server.data, f"public {number}") for number in range(len(chosen))]
    for keys, payload in zip(apps, chosen, strict=True):
        answer = server.http.post(
            f"/v1/billing/stripe/{keys['app']}", json=payload.body,
            headers={"Authorization": f"Bearer {keys['secret_key']}"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
    server.wait_loaded()
    for keys, payload in zip(apps, chosen, strict=True):
        currency, amount, is_known = expected(payload.body)
        wanted = {currency: f"{round(amount) / 100:.2f}"} if amount else {}
        assert told(server, keys, payload, wanted, any(fact.subscription for fact in facts(payload.body))) == (
            wanted,
            is_known,
        ), payload.source


def told(
    server: Server, keys: dict[str, str], payload: Payload, wanted: dict[str, str], is_told: bool
) -> tuple[dict[str, str], bool]:
    """The MRR of the payload's day by currency, and whether all is priced; once the ledger has what was sent."""
    day = datetime.fromtimestamp(plain.own_time(payload.body), UTC).date()
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        answer = server.read("/v1/metrics/mrr", keys, period="day", **{"from": str(day), "to": str(day)})
        shown = {row["currency"]: row["closing"] for row in answer["rows"] if row["closing"] != "0.00"}
        basis = answer["basis"]
        if basis["customers"] >= is_told and (shown == wanted or time.monotonic() > deadline):
            return shown, basis["customers_unpriced"] == 0
        assert time.monotonic() < deadline, payload.source
        time.sleep(0.2)
