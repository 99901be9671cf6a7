"""What a source makes of an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from tenure.event import Event
from tenure.subscriptions.fact import Fact

INVALID_VALUE: Final = "invalid_value"


class Reading(NamedTuple):
    """What an event says of subscriptions. Both may be there: what was read, and that something was not."""

    facts: tuple[Fact, ...] = ()
    problem: str | None = None


NOTHING: Final = Reading()


def effective(event: Event, received_at: int) -> int:
    """When an event took effect, in milliseconds."""
    return received_at // 1_000 if event.occurred_at is None else event.occurred_at


def converted(fields: Mapping[str, Any], problem: str | None = None) -> Reading:
    """The fact with these fields, all ranges checked."""
    try:
        return Reading((msgspec.convert(fields, Fact),), problem)
    except msgspec.ValidationError:
        return Reading((), problem or INVALID_VALUE)
