"""What a score is computed from: counts of one customer's events by name and day, and what others did. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from tenure.wire.times import DAY_MS

DAYS: Final = 182
"""Days that are looked back, 26 weeks. Day 0 is the 24 hours before the question."""
RECENT: Final = 30
"""Days of the window that counts as lately."""
BEFORE: Final = 90
"""Days before those, that lately is compared with."""


class Day(NamedTuple):
    """A day on which a name came."""

    ago: int
    events: int
    last: int
    """Milliseconds since 1970 UTC."""
    event_id: bytes
    """Of the last event."""


class Doing(NamedTuple):
    """One name of events of a customer, with its days, the latest first; there is one at least."""

    name: str
    days: tuple[Day, ...]
    by_billing: bool = False
    """A billing system sent them."""

    def events(self, since: int, until: int) -> int:
        """Events on the days from `since` to before `until` ago."""
        return sum(day.events for day in self.days if since <= day.ago < until)


class Answer(NamedTuple):
    """An answer to an NPS survey, as it was sent."""

    name: str
    at: int
    event_id: bytes
    value: str
    """JSON; empty when there is none."""


class History(NamedTuple):
    """A customer's events up to a moment. Only what was verified is counted, but for `unverified`."""

    now: int
    """Milliseconds since 1970 UTC, as all times here."""
    known_since: int | None
    events: int
    """All there ever were."""
    ahead: int
    """Events that are dated after `now`: they count nowhere."""
    verified: tuple[Doing, ...]
    unverified: tuple[Doing, ...] = ()
    totals: Mapping[str, int] = MappingProxyType({})
    """All events of each name, whenever and verified or not."""
    answers: tuple[Answer, ...] = ()
    """Of the last `RECENT` and `BEFORE` days, latest first."""
    cut: bool = False
    """There are more names and days than are looked at."""

    @property
    def known_days(self) -> int:
        """Whole days since the first event."""
        return 0 if self.known_since is None else (self.now - self.known_since) // DAY_MS


class Elsewhere(NamedTuple):
    """One name of events of all other customers of the app."""

    events: int
    first: int
    """Of anybody, and so `last`."""
    last: int
    """Not after the moment of the question."""
    senders: int = 0
    """Others' identifiers that did it in the `RECENT` days until `last`; only known of a name that seems broken."""


Others: TypeAlias = Mapping[str, Elsewhere]
"""By name."""
