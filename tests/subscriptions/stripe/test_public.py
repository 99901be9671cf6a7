"""Public Stripe payloads, each sent to an app of its own, come to what a plain reading of them says.

`public/*.jsonl` has a payload on each line, with where it is from: repository, path, commit or release, license.
They are of permissive licenses (MIT, Apache-2.0, ISC), and these repositories:

    activepieces/activepieces         pay-rails/pay                      supabase/stripe-sync-engine
    dj-stripe/dj-stripe               pinax/django-stripe-payments       thephpleague/omnipay-stripe
    lane711/sonicjs                   pinax/pinax-stripe                 triggerdotdev/trigger.dev
    mazzcris/oo-stripe-php            stripe-ruby-mock/stripe-ruby-mock  zulip/zulip
    nijikokun/stripe-mock-data        stripe/stripe-java
    Subhooo5/payfuzz

`read.jsonl` has the fields that say something of money, time, customer or version; the other files have the whole payload.
Addresses, names and numbers of cards that could be somebody's are neutral ones.
"""

from __future__ import annotations

import json
import re
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
from tenure.subscriptions.sources.stripe_price import smallest_units
from tenure.subscriptions.state import timeline
from tenure.wire import stripe
from tests.subscriptions.stripe import plain

PUBLIC = Path(__file__).parent / "public"
LIVE = True
"""The mode that payloads are sent in: nearly all are of test mode, and what is compared is their money."""
LATER = 60
"""Seconds after a payload was made at which it is looked at."""
LICENSES = {"MIT", "Apache-2.0", "ISC"}


class Payload(NamedTuple):
    """A payload as it is sent."""

    source: dict[str, str]
    body: dict[str, Any]


def in_mode(value: Any, live: bool) -> Any:
    """A payload with all of it in one mode."""
    if isinstance(value, dict):
        return {name: live if name == "livemode" else in_mode(each, live) for name, each in value.items()}
    return [in_mode(each, live) for each in value] if isinstance(value, list) else value


def payloads() -> list[Payload]:
    lines = [line for file in sorted(PUBLIC.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return [Payload(each["source"], in_mode(each["body"], LIVE)) for each in map(json.loads, lines)]


ALL = payloads()


def stored(body: dict[str, Any]) -> list[Fact]:
    """The facts that are stored of a payload which came a minute after it was made."""
    received = (plain.own_time(body) + LATER) * 1_000_000
    events = stripe.decode(json.dumps(body).encode(), received // 1_000).events
    entry = Entry(app="app", receipt=receipt_at(received), received_at=received, dialect="stripe", verified=True,
                  key_prefix="sk", events=events)  # fmt: skip
    return [msgspec.json.decode(row[10], type=Fact) for copy in rows.block([entry]).copies for row in copy.facts]


def found(body: dict[str, Any]) -> tuple[str, Fraction, bool]:
    """The MRR that Tenure finds shortly after the payload was made, and whether all of it is known."""
    now = (plain.own_time(body) + LATER) * 1_000
    spans = [span for span in timeline(stored(body)) if span.start <= now]
    if not spans:
        return "", Fraction(0), True
    state = spans[-1].state
    amount = mrr(state, Rules())
    return state.currency if amount else "", amount, not is_unknown(state, Rules())


def expected(body: dict[str, Any]) -> tuple[str, Fraction, bool]:
    """What the plain reading says, in ISO 4217's smallest unit."""
    said = plain.read(body)
    return said.currency.upper() if said.amount else "", said.amount, said.complete


@pytest.mark.parametrize("payload", ALL, ids=[f"{n}-{each.body.get('type') or each.body['object']}" for n, each in enumerate(ALL)])
def test_comes_to_what_it_says(payload: Payload) -> None:
    """Each payload alone: its currency, its MRR, and whether its price is known."""
    assert found(payload.body) == expected(payload.body), payload.source
