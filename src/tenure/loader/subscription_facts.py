"""Rows of the table `subscription_fact`: what the events that are kept say of subscriptions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tenure.subscriptions.fact import Fact
from tenure.wire.times import EARLIEST, LATEST

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


def rows(said: Said, facts: Iterable[Fact]) -> list[tuple[Any, ...]]:
    """The rows of the facts of an event, in the order of `columns.COLUMNS`."""
    app, key, event_id, received_at, receipt, position, precedence = said
    return [
        (app, key, fact.source, fact.subscription, event_id, part, min(max(fact.effective_at, EARLIEST), LATEST),
         received_at, receipt, position, _json(fact).decode(), precedence)
        for part, fact in enumerate(facts)
    ]  # fmt: skip
