"""Days on which far more events of a name came than is usual. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

USUAL_DAYS: Final = 28
"""Days that a day is compared with: those before it. A name that is younger has no spikes."""
TIMES: Final = 2
"""A spike is more than so many times the busiest of those days."""
LEAST: Final = 50
"""Events of a spike at least: few may be many by chance."""
LOOKED_AT: Final = 7
"""The last so many days are looked at, today included."""


class Spike(NamedTuple):
    """A day with far more events than usual."""

    ago: int
    """Days before today."""
    events: int
    before: int
    """Events on the busiest of the `USUAL_DAYS` days before it."""


def find_spike(daily: Sequence[int], known_days: int) -> Spike | None:
    """The latest spike; `daily` are events a day, today's last, and the first event came `known_days` ago."""
    for ago in range(min(LOOKED_AT, len(daily) - USUAL_DAYS)):
        at = len(daily) - 1 - ago
        events, before = daily[at], max(daily[at - USUAL_DAYS : at])
        if known_days - ago >= USUAL_DAYS and events >= LEAST and events > TIMES * before:
            return Spike(ago, events, before)
    return None
