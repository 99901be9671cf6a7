"""What a customer did: how often each event came in the last days, against as many days before them."""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec

from tenure.customers.counts import Counts, Named
from tenure.loader.profile import moment
from tenure.wire.times import EARLIEST, LATEST, rfc3339

MAX_NAMES = 1_000
"""Names that are told apart, the most frequent; the totals count all."""


class Window(msgspec.Struct):
    """How often something came in a window, and `before` it in one of the same length.

    `change` is (count - before) / before: 0.5 is half as many again, -1 is none any more, null when there was none.
    """

    count: int
    before: int
    change: float | None


class EventActivity(msgspec.Struct):
    """One name of events of one customer, verified or not. Times are RFC 3339 in UTC, null when all are dated ahead."""

    name: str
    count: int
    first_seen: str | None
    last_seen: str | None
    last_7_days: Window
    last_30_days: Window
    last_90_days: Window


class Activity(msgspec.Struct):
    """All events of one customer, and by name the most frequent first. `verified_share` is from 0 to 1.

    Events that are dated after the moment of the question (`dated_ahead`) are in `count`, and in no window or time.
    """

    count: int
    verified_share: float | None
    first_seen: str | None
    last_seen: str | None
    """Of the last verified event of any kind."""
    last_used: str | None
    """Of the last verified event that counts as use."""
    last_received: str | None
    """When the last event was received, verified or not."""
    dated_ahead: int
    last_7_days: Window
    last_30_days: Window
    last_90_days: Window
    by_name: list[EventActivity]


def activity(counts: Counts, uses: Container[str]) -> Activity:
    """The activity up to the moment that the events were counted at; `uses` has the names that count as use then."""
    total = counts.total
    used = max((named.verified_last for named in counts.names if named.name in uses), default=EARLIEST)
    return Activity(
        total.events,
        total.verified / total.events if total.events else None,
        None if total.first >= LATEST else rfc3339(total.first),
        moment(total.verified_last),
        moment(used),
        moment(counts.received),
        counts.ahead,
        *_windows(total.windows),
        [_event_activity(named) for named in counts.names[:MAX_NAMES]],
    )


def _event_activity(named: Named) -> EventActivity:
    times = None if named.first >= LATEST else rfc3339(named.first), moment(named.last)
    return EventActivity(named.name, named.events, *times, *_windows(named.windows))


def _windows(counts: Sequence[int]) -> tuple[Window, Window, Window]:
    week, month, quarter = zip(counts[::2], counts[1::2], strict=True)
    return _window(*week), _window(*month), _window(*quarter)


def _window(count: int, before: int) -> Window:
    return Window(count, before, round((count - before) / before, 4) if before else None)
