"""The subscriptions of one customer: their states over time and the evidence, and what all of them come to."""

from __future__ import annotations

import base64
import binascii
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec

from tenure.control.billing import Billing
from tenure.customers import ledger
from tenure.customers.as_of import received_by
from tenure.customers.billing import read_account
from tenure.customers.customer import Customer
from tenure.customers.ledger import Change, MovementShown, SpellShown
from tenure.errors import BadRequest
from tenure.loader.ledger import level, moment
from tenure.subscriptions.account import OWN, is_silent, state_at
from tenure.subscriptions.amount import exactly
from tenure.subscriptions.fact import Fact, Item, known
from tenure.subscriptions.ledger import Subscription, day_of
from tenure.subscriptions.mrr import in_force, is_unknown, mrr
from tenure.subscriptions.names import as_one
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import WITHOUT_IDS
from tenure.subscriptions.spells import Spell
from tenure.subscriptions.state import Span, State, timeline
from tenure.warehouse.client import Tenant
from tenure.wire.times import rfc3339

MAX_LIMIT = 100
DEFAULT_LIMIT = 20
SHOWN = 100
"""Of a subscription's states and of its evidence, the latest."""


class ItemShown(msgspec.Struct):
    """A priced line of a subscription. `amount` is for the whole quantity, in units; null where nobody told it."""

    plan: str
    amount: str | None
    quantity: int
    interval: str
    interval_count: int
    kind: str


class StateShown(msgspec.Struct):
    """What a subscription was within [since, until). Times are RFC 3339 in UTC."""

    since: str | None
    until: str | None
    """Null: from then on."""
    status: str
    mrr: str | None
    """In units of `currency` a month, by the rules of the app; null where the price was never told."""
    currency: str
    items: list[ItemShown]
    discounts: int
    """How many are in force."""
    period_start: str | None
    period_end: str | None
    trial_end: str | None
    paused_until: str | None
    canceled_at: str | None
    cancel_at: str | None
    ended_at: str | None
    cause: str | None
    reason: str | None


class Evidence(msgspec.Struct):
    """An event that said something of a subscription, and what: fields of a fact, amounts in smallest units, times in
    milliseconds since 1970 UTC."""

    event_id: str
    receipt: str
    received_at: str
    effective_at: str | None
    said: dict[str, Any]


class SubscriptionShown(msgspec.Struct):
    """One subscription. `states` and `evidence` are the latest 100, newest first; the counts are of all."""

    source: str
    id: str
    status: str | None
    """Now; null before it begins."""
    silent: bool
    """Its period ended over 31 days ago, and nothing was heard of it since: it may be over."""
    states: list[StateShown]
    state_count: int
    evidence: list[Evidence]
    evidence_count: int


class Subscriptions(msgspec.Struct):
    """A page of a customer's subscriptions, by source and id; `next` is the cursor of the page after it.

    Spells and movements are those of all subscriptions together, newest first, on the first page alone.
    """

    items: list[SubscriptionShown]
    next: str | None
    as_of: str | None
    spells: list[SpellShown] = []
    movements: list[MovementShown] = []
    """In the currencies of the subscriptions."""
    reported: list[MovementShown] | None = None
    """In the currency to report in; null where there is none, or a rate to it is missing."""


class Said(NamedTuple):
    """A row of `subscription_fact`."""

    subscription: Subscription
    event_id: bytes
    receipt: bytes
    received_at: int
    fact: Fact


def subscriptions(
    tenant: Tenant,
    customer: Customer,
    billing: Billing,
    *,
    limit: int = DEFAULT_LIMIT,
    cursor: str | None = None,
    as_of: int | None = None,
) -> Subscriptions:
    """A page of subscriptions, by what had been received by `as_of` (milliseconds since 1970 UTC).

    Raises BadRequest (cursor) and Unavailable.
    """
    now = time.time_ns() // 1_000_000 if as_of is None else as_of
    after = None if cursor is None else _parse(cursor)
    ids = _ids(tenant, customer, after, limit + 1, as_of)
    found = _said(tenant, customer, ids[:limit], as_of)
    of_payers = _said_of_payers(tenant, customer, as_of)
    page = Subscriptions(
        items=[_shown(one, found[one], of_payers, billing.rules, now) for one in ids[:limit] if one in found],
        next=_text(ids[limit - 1]) if len(ids) > limit else None,
        as_of=None if as_of is None else rfc3339(as_of),
    )
    if after is None and ids:
        whole = _whole(tenant, customer, billing, day_of(now), as_of)
        page.spells = ledger.shown_spells(whole.spells, day_of(now))
        page.movements = ledger.shown_movements(whole.changes[OWN])
        reported = None if billing.rates is None else whole.changes.get(billing.rates.base)
        page.reported = None if reported is None else ledger.shown_movements(reported)
    return page


def changes_shown(tenant: Tenant, customer: Customer, billing: Billing, as_of: int | None = None) -> list[Change]:
    """What moved a customer's MRR until now or `as_of`: in the currency to report in, or where that is not known in
    their own. Newest first, 1,000 at the most. Raises Unavailable."""
    now = time.time_ns() // 1_000_000 if as_of is None else as_of
    found = _whole(tenant, customer, billing, day_of(now), as_of).changes
    base = None if billing.rates is None else billing.rates.base
    return found[OWN] if base is None else found.get(base, found[OWN])


class _Whole(NamedTuple):
    """What all subscriptions of a customer come to; the changes by book."""

    spells: list[Spell]
    changes: dict[str, list[Change]]


def _whole(tenant: Tenant, customer: Customer, billing: Billing, today: date, as_of: int | None) -> _Whole:
    account = read_account(tenant, customer, billing, as_of)
    if account is None:
        books = [OWN] if billing.rates is None else [OWN, billing.rates.base]
        changes = {book: ledger.stored_changes(tenant, customer, book, today) for book in books}
        return _Whole(ledger.stored_spells(tenant, customer), changes)
    movements = account.movements(billing.rules)
    return _Whole(account.spells, {book: ledger.changes_of(found, today) for book, found in movements.items()})


def _shown(
    subscription: Subscription, own: Sequence[Said], of_payers: Sequence[Said], rules: Rules, now: int
) -> SubscriptionShown:
    payers = {(one.fact.source, one.fact.payer) for one in own}
    said = [*own, *(one for one in of_payers if (one.fact.source, one.fact.payer) in payers)]
    spans = timeline(one.fact for one in said)
    current = state_at(spans, now)
    places = {fact.identity: place for place, fact in enumerate(known(one.fact for one in said))}
    newest = sorted(said, key=lambda one: (places[one.fact.identity], one.event_id), reverse=True)
    return SubscriptionShown(
        source=subscription.source,
        id=subscription.id,
        status=current.status if current else None,
        silent=current is not None and is_silent(current, max(one.fact.effective_at for one in own), now),
        states=[_state(span, rules) for span in spans[: -SHOWN - 1 : -1]],
        state_count=len(spans),
        evidence=[_evidence(one) for one in newest[:SHOWN]],
        evidence_count=len(newest),
    )


def _state(span: Span, rules: Rules) -> StateShown:
    state = span.state
    times = {name: moment(getattr(state, name)) for name in _TIMES}
    return StateShown(
        since=moment(span.start),
        until=moment(span.end),
        status=state.status,
        mrr=_mrr(state, rules),
        currency=state.currency,
        items=[_item(item, state.currency) for item in state.items or ()],
        discounts=len(in_force(state)),
        paused_until=moment(state.pause.ends_at) if state.pause else None,
        cause=state.cause,
        reason=state.reason,
        **times,
    )


def _mrr(state: State, rules: Rules) -> str | None:
    """Null where nothing is known of it: of a part that is known, that."""
    found = mrr(state, rules)
    return None if not found and is_unknown(state, rules) else exactly(Fraction(level(found)), state.currency)


def _item(item: Item, currency: str) -> ItemShown:
    amount = None if item.amount is None else exactly(Fraction(item.amount), currency)
    return ItemShown(item.plan or "", amount, item.quantity, item.unit, item.count, item.kind)


_TIMES = ("period_start", "period_end", "trial_end", "canceled_at", "cancel_at", "ended_at")


def _evidence(said: Said) -> Evidence:
    return Evidence(
        event_id=said.event_id.hex(),
        receipt=said.receipt.hex(),
        received_at=rfc3339(said.received_at // 1_000),
        effective_at=moment(said.fact.effective_at),
        said=said.fact.said,
    )


_IDS = """
SELECT toString(source), subscription FROM subscription_fact
WHERE customer_key IN {keys:Array(FixedString(16))} AND RECEIVED AND AFTER AND NOT OF_PAYER
GROUP BY source, subscription ORDER BY toString(source), subscription LIMIT {limit:UInt32}
"""
_OF_PAYER = "(subscription = '' AND JSONExtractString(fact, 'payer') != '')"
"""What is said of whom subscriptions are billed to, and of none alone."""
_AFTER = "(toString(source), subscription) > ({source:String}, {id:String})"
_FACTS = """
SELECT event_id, receipt, toUnixTimestamp64Micro(received_at), fact
FROM subscription_fact FINAL
WHERE customer_key IN {keys:Array(FixedString(16))} AND RECEIVED AND WHICH
"""
_BETWEEN = """
    NOT OF_PAYER AND ((toString(source), subscription) >= ({source:String}, {id:String})
        AND (toString(source), subscription) <= ({last_source:String}, {last_id:String})
        OR source IN {whole:Array(String)})
""".replace("OF_PAYER", _OF_PAYER)


def _ids(
    tenant: Tenant, customer: Customer, after: Subscription | None, limit: int, as_of: int | None
) -> list[Subscription]:
    """The subscriptions of a customer, those after one."""
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "limit": limit}
    if after is not None:
        parameters |= after._asdict()
    sql = _IDS.replace("RECEIVED", received).replace("OF_PAYER", _OF_PAYER)
    sql = sql.replace("AFTER", "true" if after is None else _AFTER)
    return [Subscription(*row) for row in tenant.rows(sql, parameters)]


def _said(
    tenant: Tenant, customer: Customer, ids: Sequence[Subscription], as_of: int | None
) -> dict[Subscription, list[Said]]:
    """What was said of some subscriptions that follow each other; of those with several names, under the strongest."""
    found: defaultdict[Subscription, list[Said]] = defaultdict(list)
    if ids:
        within = {"source": ids[0].source, "id": ids[0].id, "last_source": ids[-1].source, "last_id": ids[-1].id,
                  "whole": sorted({one.source for one in ids} & WITHOUT_IDS)}  # fmt: skip
        for said in _rows(tenant, customer, as_of, _BETWEEN, within):
            found[said.subscription].append(said)
    return found


def _said_of_payers(tenant: Tenant, customer: Customer, as_of: int | None) -> list[Said]:
    """What was said of whom the customer's subscriptions are billed to."""
    return _rows(tenant, customer, as_of, _OF_PAYER, {})


def _rows(tenant: Tenant, customer: Customer, as_of: int | None, which: str, parameters: dict[str, Any]) -> list[Said]:
    received, bound = received_by(as_of)
    sql = _FACTS.replace("RECEIVED", received).replace("WHICH", which)
    rows = tenant.rows(sql, bound | {"keys": customer.keys} | parameters)
    facts = as_one(_decode(fact) for *_, fact in rows)
    return [
        Said(Subscription(fact.source, fact.subscription), bytes(event_id), bytes(receipt), int(received_at), fact)
        for (event_id, receipt, received_at, _), fact in zip(rows, facts, strict=True)
    ]


_decode = msgspec.json.Decoder(Fact).decode


def _text(last: Subscription) -> str:
    """The cursor of the page after this subscription."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(last)).decode().rstrip("=")


def _parse(cursor: str) -> Subscription:
    """The inverse of `_text`. Raises BadRequest."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(raw, type=Subscription)
    except (binascii.Error, ValueError):
        raise BadRequest("cursor is not one that this API gave out", field="cursor", code="invalid_cursor") from None
