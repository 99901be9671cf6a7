"""What stored events say of subscriptions: one pure function for each source. `docs/billing.md` is the page of it.

Every source is an event, and facts are a projection of events: they can be read again from what is stored, at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tenure.event import Event
from tenure.subscriptions.sources import native, reading, stripe, whisperr, windback
from tenure.subscriptions.sources.reading import NOTHING, Reading

__all__ = ["PROBLEMS", "UNVERIFIED", "WITHOUT_IDS", "Reading", "facts"]

UNVERIFIED: Final = "unverified"
"""The problem of an event whose sender could be anybody: it is on the timeline, and says nothing of money."""

PROBLEMS: Final = (
    reading.PROBLEMS
    | stripe.PROBLEMS
    | {UNVERIFIED: "The event came with a key that anybody may know, and no signature: it says nothing of money."}
)
"""What can be wrong with an event of a billing name, for documentation and counters."""

WITHOUT_IDS: Final = frozenset({whisperr.SOURCE, windback.SOURCE})
"""Dialects whose events do not say which subscription they are about."""

_SOURCES: Final[dict[str, Callable[[Event, int], Reading]]] = {
    "import": native.facts,
    "native": native.facts,
    "stripe": stripe.facts,
    "whisperr": whisperr.facts,
    "windback": windback.facts,
}


def facts(dialect: str, event: Event, received_at: int) -> Reading:
    """What an event says of its customer's subscriptions; of most events, nothing. Never raises.

    `received_at` is in microseconds since 1970 UTC. The customer of each fact is "": whose it is follows from the
    event. Whether the event is verified is for the caller to ask.
    """
    source = _SOURCES.get(dialect)
    return NOTHING if source is None else source(event, received_at)
