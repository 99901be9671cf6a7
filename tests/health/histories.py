"""Histories as tests write them: names with the days ago on which their events came, an hour before the full day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from tenure.health.billing import Billing, Paying
from tenure.health.history import DAYS, Answer, Day, Doing, Elsewhere, History, Others
from tenure.wire.times import DAY_MS

NOW = 1_780_315_200_000
"""2026-06-01T12:00:00Z."""
HOUR = 3_600_000

Days = Mapping[str, Iterable[int]]


def at(ago: float) -> int:
    return NOW - int(ago * DAY_MS) - HOUR


def event_id(*of: object) -> bytes:
    return blake2b(repr(of).encode(), digest_size=16).digest()


def doing(name: str, agos: Iterable[int], *, by_billing: bool = False) -> Doing:
    days = sorted(Counter(ago for ago in agos if ago < DAYS).items())
    return Doing(name, tuple(Day(ago, count, at(ago), event_id(name, ago)) for ago, count in days), by_billing)


def history(
    verified: Days,
    *,
    unverified: Days | None = None,
    by_billing: Sequence[str] = (),
    answers: Sequence[tuple[int, str]] = (),
    known_days: int | None = None,
    ahead: int = 0,
) -> History:
    """`known_days` counts from the first event of all, one more than those given."""
    given = {name: list(agos) for name, agos in verified.items()}
    agos = [ago for of_name in given.values() for ago in of_name] + [ago for ago, _ in answers]
    first = max(agos, default=None) if known_days is None else known_days
    return History(
        now=NOW,
        known_since=None if first is None else at(first),
        events=len(agos) + (known_days is not None),
        ahead=ahead,
        verified=tuple(
            doing(name, agos, by_billing=name in by_billing) for name, agos in given.items() if min(agos) < DAYS
        ),
        unverified=tuple(doing(name, agos) for name, agos in (unverified or {}).items()),
        answers=tuple(Answer("nps_response", at(ago), event_id(ago, value), value) for ago, value in answers),
    )


def others(given: Mapping[str, Mapping[str, Any]]) -> Others:
    """`first` and `last` as days ago."""
    return {
        name: Elsewhere(said.get("events", 1_000), at(said.get("first", 300)), at(said["last"]), said.get("senders", 3))
        for name, said in given.items()
    }


def billing(given: Mapping[str, Any] | None) -> Billing | None:
    """Times as days ago; those ahead are negative."""
    if given is None:
        return None
    times = {name: at(given[name]) for name in ("cancel_at", "paying_since") if name in given}
    ended = tuple(Paying(at(start), at(end)) for start, end in given.get("spells", ()))
    return Billing(given["status"], given.get("past_due", False), spells=ended, **times)
