"""Rows of the table `subscription_fact`: what the events that are kept say of subscriptions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

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
         received_at, receipt, position, _json(_placed(fact, here, event_id)).decode(), precedence)
        for part, fact in enumerate(facts)
    ]  # fmt: skip


def _placed(fact: Fact, place: str, event_id: bytes) -> Fact:
    """With its place, and told by its event where the source gives no id: two that say the same are two."""
    return msgspec.structs.replace(fact, place=place, id=fact.id or f"event:{event_id.hex()}")
