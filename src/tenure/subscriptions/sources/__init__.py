"""What stored events say of subscriptions: each dialect's billing events, read into facts. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tenure.event import Event
from tenure.subscriptions.fact import Fact


class Reading(NamedTuple):
    """What an event says of subscriptions."""

    facts: tuple[Fact, ...] = ()
    problem: str | None = None
    """Why an event of a billing name cannot be read: a stable code in snake_case."""


_NOTHING = Reading()
_NAMES = frozenset({("native", "subscription_updated")})


def facts(dialect: str, event: Event, received_at: int) -> Reading:
    """The facts that an event states, of no customer yet; nothing for one that is no billing event. Never raises.

    `received_at` is in microseconds since 1970 UTC.
    """
    if (dialect, event.name) not in _NAMES:
        return _NOTHING
    at = received_at // 1_000 if event.occurred_at is None else event.occurred_at
    try:
        said = {"effective_at": at} | msgspec.json.decode(event.properties.replace('"interval":', '"unit":'))
        fact = msgspec.convert(said | {"customer": "", "received_at": received_at}, Fact)
    except msgspec.ValidationError:
        return Reading(problem="not_a_subscription")
    return Reading((fact,))
