"""Which identifiers are one customer by what one element of a request says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tenure import churn_event
from tenure.control.link import CARRIED, ENDED, PROMOTION, SAME_ID, SUBSCRIBED, Link
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import CHURN_EVENT_ID, STRIPE_CUSTOMER, Identifier, identifiers
from tenure.placeholder import is_placeholder
from tenure.subscriptions import sources
from tenure.subscriptions.account import LIVE
from tenure.subscriptions.fact import Fact

PROMOTING = frozenset({"whisperr"})
"""Dialects whose identify says that a visitor is now known, whatever the key."""


def said(entry: Entry, item: Event | Identify) -> list[Link]:
    """A secret key is believed that all identifiers are one customer. Without one only a visitor can become known: by
    Whisperr's identify, which has no other keys, or by a signature, which speaks for the strongest identifier alone."""
    promotes = entry.dialect in PROMOTING and isinstance(item, Identify)
    if not (entry.verified or item.signed or promotes):
        return []
    found = []
    owner, *others = identifiers(item)
    for other in others:
        if other.kind == "anonymous_id" and (promotes or (item.signed and not entry.verified)):
            found.append(link(entry, item, PROMOTION, (owner, other)))
        elif entry.verified:
            found.append(link(entry, item, CARRIED, (owner, other)))
    return found


def billing_id(entry: Entry, item: Event | Identify) -> str | None:
    """The customer id of an element, where it has the form of a billing id and the sender is believed; else None."""
    value = item.customer_id
    if value is None or not (entry.verified or item.signed) or not STRIPE_CUSTOMER.fullmatch(value):
        return None
    return value


def same_id(entry: Entry, item: Event | Identify, value: str) -> Link:
    """That the customer id of an element is the same customer's billing id."""
    return link(entry, item, SAME_ID, (Identifier("customer_id", value), Identifier("billing_id", value)))


def subscribed(entry: Entry, event: Event, facts: Iterable[Fact]) -> list[Link]:
    """Since when, and until when, the subscriptions that an event states are those of a billing id."""
    value = event.billing_id or billing_id(entry, event)
    if value is None or not (entry.verified or event.signed) or is_placeholder("billing_id", value):
        return []
    own = Identifier("billing_id", value)
    found = []
    for fact in facts:
        for how, at in _life(fact):
            # A source that gives no ids has one subscription of the billing id, as older releases noted it.
            subscription = "" if entry.dialect in sources.WITHOUT_IDS else fact.subscription
            note = f"{at} {fact.source} {subscription}"
            found.append(link(entry, event, how, (own, own))._replace(note=note))
    return found


def _life(fact: Fact) -> Iterator[tuple[str, int]]:
    """When a subscription began, and ended, by one fact."""
    started = fact.started_at if isinstance(fact.started_at, int) else None
    ended = fact.ended_at if isinstance(fact.ended_at, int) else None
    if fact.status in LIVE or (fact.status == "canceled" and started is not None):
        yield SUBSCRIBED, fact.effective_at if started is None else started
    if fact.status == "canceled" or ended is not None:
        yield ENDED, fact.effective_at if ended is None else ended


def of_churn_event(entry: Entry, event: Event, event_id: bytes) -> Link | None:
    """Whose churn event an event is, if it is one."""
    if entry.dialect != churn_event.DIALECT or event.name not in churn_event.OPENING:
        return None
    own = Identifier(CHURN_EVENT_ID, churn_event.churn_event_id(entry.app, event_id))
    return link(entry, event, CARRIED, (identifiers(event)[0], own))


def every(entry: Entry, item: Event | Identify, event_id: bytes = b"") -> list[Link]:
    """All links that an element says; `event_id` is that of an event."""
    found = said(entry, item)
    if (value := billing_id(entry, item)) is not None:
        found.append(same_id(entry, item, value))
    if isinstance(item, Event):
        if (opened := of_churn_event(entry, item, event_id)) is not None:
            found.append(opened)
        found += subscribed(entry, item, sources.facts(entry.dialect, item, entry.ordered_at).facts)
    return found


def link(entry: Entry, item: Event | Identify, how: str, pair: tuple[Identifier, Identifier]) -> Link:
    """A link that an element says, with the place of the element as its evidence."""
    verified = entry.verified or item.signed
    return Link(entry.app, *pair, how, entry.dialect, verified, entry.ordered_at, entry.receipt, item.index)
