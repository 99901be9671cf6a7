"""Tells whether most clients contradict the wall clock of this server.

A client's event that happened a moment ago says what time it is by the client's clock. One event says little: clocks of
clients are wrong, and events wait in queues. So the clock counts as wrong only when most of the recent requests, about
several customers, agree on how wrong it is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Final, NamedTuple

from tenure.control.incidents import Incident, Incidents, Kind
from tenure.entry import Entry
from tenure.identity import customer_key
from tenure.telemetry import CLOCK_SKEW_SECONDS

WINDOW_SECONDS: Final = 300.0
"""How old a request may be that counts."""
PAUSE_SECONDS: Final = 0.01
"""Between two requests that are looked at."""
MOST: Final = 1_000
"""Requests that are remembered."""
FEWEST, FEWEST_CUSTOMERS = 10, 3
"""Requests, and customers that they are about, without which nothing is said."""
WRONG_SECONDS: Final = 300.0
"""By how much the clock is wrong at least when it is said."""
NEAR_SECONDS: Final = 60.0
"""How far requests that agree differ from their median at most."""
SET_SECONDS: Final = 2.0
"""By how much somebody set the clock at least when older requests say nothing any more."""
COMPARE_SECONDS: Final = 2.0
"""How often a worker looks at what the requests say."""
PLACE: Final = "wall clock"


class Request(NamedTuple):
    """What a request tells of the clock."""

    at: float
    """When it came, in seconds by a monotonic clock."""
    customer: bytes
    ahead: float
    """By how many seconds its latest event is ahead of this server's clock; negative when it is behind."""


class Skew:
    """What recent requests say of the wall clock. Safe to share between threads."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        """Both clocks return seconds."""
        self._wall, self._steady = wall, steady
        self._requests: deque[Request] = deque(maxlen=MOST)
        self._offset = wall() - steady()
        self._next_at = 0.0
        self._lock = threading.Lock()
        """Held while the requests are read or changed."""

    def note(self, entry: Entry) -> None:
        """Look at a request, if it has an event with a time of its own and nobody can have forged it."""
        now = self._steady()
        if now < self._next_at or not entry.verified:
            return
        said = [event for event in entry.events if event.precise and event.occurred_at is not None]
        if not said:
            return
        self._next_at = now + PAUSE_SECONDS
        latest = max(said, key=lambda event: event.occurred_at or 0)
        ahead = (latest.occurred_at or 0) / 1_000 - self._wall()
        with self._lock:
            self._requests.append(Request(now, customer_key(entry.app, latest), ahead))

    def was_set(self) -> bool:
        """Whether somebody set the wall clock since the last look; what was noted before is forgotten then."""
        offset = self._wall() - self._steady()
        was_set = abs(offset - self._offset) > SET_SECONDS
        self._offset = offset
        if was_set:
            with self._lock:
                self._requests.clear()
        return was_set

    def seconds(self) -> float | None:
        """By how much the wall clock is ahead of the clients' clocks; None when they say nothing, or do not agree."""
        now = self._steady()
        with self._lock:
            found = [request for request in self._requests if request.at >= now - WINDOW_SECONDS]
        if len(found) < FEWEST or len({each.customer for each in found}) < FEWEST_CUSTOMERS:
            return None
        middle = median(each.ahead for each in found)
        near = sum(abs(each.ahead - middle) <= NEAR_SECONDS for each in found)
        return -middle if near * 2 > len(found) else None


class ClockWatch:
    """Says on the page, in a metric and in `tenure check` when most clients contradict the clock."""

    def __init__(self, skew: Skew, incidents: Incidents) -> None:
        self._skew = skew
        self._incidents = incidents
        self._is_reported = False

    def look(self) -> None:
        """Compare the clocks. Writes to the control database when something has changed; raises SQLAlchemyError."""
        was_set, seconds = self._skew.was_set(), self._skew.seconds()
        if seconds is not None:
            CLOCK_SKEW_SECONDS.set(seconds)
        if seconds is not None and abs(seconds) > WRONG_SECONDS:
            text = f"Most clients contradict this server's clock: it is about {_in_words(seconds)} theirs. "
            self._incidents.report(Incident(kind=Kind.CLOCK, place=PLACE, text=text + "Set it right."))
            self._is_reported = True
        elif self._is_wrong_no_more(seconds, was_set):
            self._incidents.resolve(Kind.CLOCK, PLACE)
            self._is_reported = False

    def _is_wrong_no_more(self, seconds: float | None, was_set: bool) -> bool:
        """Whether there is an incident, be it from before a restart, and clients agree or the clock was set."""
        if seconds is None and not was_set:
            return False
        return self._is_reported or any(
            incident.kind == Kind.CLOCK and incident.place == PLACE for incident in self._incidents.current()
        )


def _in_words(seconds: float) -> str:
    minutes = round(abs(seconds) / 60)
    hours, rest = divmod(minutes, 60)
    length = f"{minutes} minutes" if hours == 0 else f"{hours} hours and {rest} minutes"
    return f"{length} {'ahead of' if seconds > 0 else 'behind'}"
