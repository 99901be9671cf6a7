"""Rows of the table `subscription_fact`: what the events that are kept say of subscriptions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tenure.churn_event import churn_event_id
from tenure.identity import CHURN_EVENT_ID
from tenure.subscriptions import names
from tenure.subscriptions.fact import Fact
from tenure.wire.times import EARLIEST, LATEST

_LARGEST = (1 << 128) - 1
_json = msgspec.json.Encoder().encode


class Said(NamedTuple):
    """An event with all that its facts have in common."""

    app: str
    customer_key: bytes
    event_id: bytes
    received_at: int
    """Microseconds since 1970 UTC."""
    receipt: bytes
    position: int
    precedence: int
    first: int
    """The precedence of its first receipt: of a replayed element that is before its own."""


def place(precedence: int) -> str:
    """The place in the order of receipt that a precedence is, as text that sorts earlier for earlier."""
    return f"{_LARGEST - precedence:032x}"


def rows(said: Said, facts: Iterable[Fact]) -> list[tuple[Any, ...]]:
    """The rows of the facts of an event, in the order of `columns.COLUMNS`."""
    app, key, event_id, received_at, receipt, position, precedence, first = said
    here = place(first)
    return [
        (app, key, fact.source, fact.subscription, event_id, part, min(max(fact.effective_at, EARLIEST), LATEST),
         received_at, receipt, position, _json(_placed(_named(fact, app, event_id), here, event_id)).decode(),
         precedence)
        for part, fact in enumerate(facts)
    ]  # fmt: skip


def _named(fact: Fact, app: str, event_id: bytes) -> Fact:
    """With the id of the churn event that its event is, if it is one, among its names: a reason may come under it."""
    if names.OWN_CHURN_EVENT not in fact.also:
        return fact
    own = names.name(CHURN_EVENT_ID, churn_event_id(app, event_id))
    also = tuple(own if each == names.OWN_CHURN_EVENT else each for each in fact.also)
    return msgspec.structs.replace(fact, also=also)


def _placed(fact: Fact, place: str, event_id: bytes) -> Fact:
    """With its place, and told by its event where the source gives no id: two that say the same are two."""
    return msgspec.structs.replace(fact, place=place, id=fact.id or f"event:{event_id.hex()}")
