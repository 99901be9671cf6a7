"""Which subscription a fact of a source without ids is about. Pure.

Such a source (Whisperr, Windback) tells customers apart, and not their subscriptions. So an identifier has one
subscription, whose name is the identifier that the events are kept under. Where an event carried several identifiers
it says itself that they are one: all that is told under them is one subscription of the customer. Nothing else joins
two: a person who makes one customer of a payer and of one who left has made no payment end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tenure.control.disjoint_sets import DisjointSets
from tenure.event import Event
from tenure.identity import CHURN_EVENT_ID, KINDS, identifiers
from tenure.subscriptions.fact import Fact

OWN_CHURN_EVENT: Final = f"{CHURN_EVENT_ID}:"
"""Stands for the id of the churn event that the fact's own event is, which is known where the event has its id."""

_STRENGTH: Final = {kind: strength for strength, kind in enumerate((*KINDS, CHURN_EVENT_ID))}


def name(kind: str, value: str) -> str:
    """The name of an identifier's subscription."""
    return f"{kind}:{value}"


def of_event(event: Event) -> list[str]:
    """The names of the subscription that an event is about: first that of the identifier that it is kept under."""
    return [name(one.kind, one.value) for one in identifiers(event)] or [""]


def as_one(facts: Iterable[Fact]) -> list[Fact]:
    """Facts of one customer, each of them about the subscription by its strongest name."""
    found = list(facts)
    if not any(fact.also for fact in found):
        return found
    joined: DisjointSets[tuple[str, str]] = DisjointSets()
    for fact in found:
        for other in fact.also:
            joined.join((fact.source, fact.subscription), (fact.source, other))
    strongest: dict[tuple[str, str], str] = {}
    for fact in found:
        root = joined.root((fact.source, fact.subscription))
        strongest[root] = min(strongest.get(root, fact.subscription), fact.subscription, key=_strength)
    return [_named(fact, strongest[joined.root((fact.source, fact.subscription))]) for fact in found]


def _strength(name: str) -> tuple[int, str]:
    return _STRENGTH.get(name.partition(":")[0], len(_STRENGTH)), name


def _named(fact: Fact, name: str) -> Fact:
    return fact if fact.subscription == name else msgspec.structs.replace(fact, subscription=name)
