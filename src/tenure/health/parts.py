"""The parts of a score: how much of each a customer has, and the evidence for it. Pure and exact.

More use within the last 7 days never lowers a part, one more negative signal never raises one. `docs/health.md` has
the rules in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec

from tenure.health.billing import Billing
from tenure.health.history import BEFORE, DAYS, RECENT, Day, Doing, History, Others
from tenure.health.signals import Signals
from tenure.health.summary import EXAMPLES, SHOWN, Judged, examples, when
from tenure.wire.times import DAY_MS, rfc3339

FRESH_DAYS: Final = 3
"""Whole days since the last use up to which recency has all its points; at `RECENT` it has none."""
FULL_DAYS: Final = 12
"""Days of use of the last 30 for all points of frequency."""
TREND_DAYS: Final = 14
"""Days before the last 30 that a customer must have been known, to tell a trend."""
FULL_NAMES: Final = 5
"""Different uses for all points of breadth, or as many as the app has."""
FULL_SIGNALS: Final = 6
"""Weight of signals from which on their part has its whole weight; with less, it has less."""
SETTLED_DAYS: Final = 90
"""Days of paying after which an active subscription has all points."""

BILLING_LEVELS: Final[Mapping[str, Fraction]] = {
    "active": Fraction(1),
    "trialing": Fraction(3, 5),
    "past_due": Fraction(2, 5),
    "paused": Fraction(2, 5),
    "incomplete": Fraction(2, 5),
    "unpaid": Fraction(1, 5),
    "canceled": Fraction(0),
}
"""Share of the points of billing, by status."""
YOUNG: Final = Fraction(4, 5)
"""The share of an active subscription before `SETTLED_DAYS`."""
ENDING: Final = Fraction(1, 5)
"""The most that there is when an end was asked for."""


class Evidence(msgspec.Struct):
    """One thing that a part follows from: what it is, how much, of which names, and events to look at."""

    what: str
    value: int | str
    names: list[str] = []
    event_ids: list[str] = []


class Level(NamedTuple):
    """How much of a part a customer has."""

    part: str
    level: Fraction
    """From 0 to 1."""
    evidence: list[Evidence]
    share: Fraction = Fraction(1)
    """How much of the part's weight counts, from 0 to 1."""
    left_out: str | None = None
    """Why it is left out, as a stable code."""


class Given(NamedTuple):
    """All that the parts are computed from."""

    history: History
    judged: Judged
    offered: int
    """Different uses that the app has, by anybody in the last 30 days."""
    billing: Billing | None


def levels(history: History, judged: Judged, others: Others, signals: Signals, billing: Billing | None) -> list[Level]:
    """Every part, in order."""
    alive = {
        name for name, other in others.items() if signals.of(name).is_use and history.now - other.last < RECENT * DAY_MS
    }
    own = {doing.name for doing in judged.uses if doing.events(0, RECENT)}
    given = Given(history, judged, len(alive | own), billing)
    if not alive and not judged.uses:
        usage = [_left_out(part, "no_use_tracked") for part in ("recency", "frequency", "trend", "breadth")]
    else:
        usage = [part(given) for part in _USAGE]
    return [*usage, _signals(given), _billing(given)]


def _recency(given: Given) -> Level:
    if not given.judged.uses:
        return Level("recency", Fraction(0), [Evidence("no_use_within_days", min(DAYS, given.history.known_days))])
    last = min(given.judged.uses, key=lambda doing: (doing.days[0].ago, -doing.days[0].last, doing.name))
    ago = last.days[0].ago
    level = Fraction(RECENT - ago, RECENT - FRESH_DAYS)
    evidence = Evidence("days_since_last_use", ago, [last.name], examples(last.days[:1]))
    return Level("recency", _within_one(level), [evidence])


def _frequency(given: Given) -> Level:
    days: dict[int, Day] = {}
    for day in sorted((day for doing in given.judged.uses for day in _recent(doing)), key=when):
        days.setdefault(day.ago, day)
    lived = min(RECENT, given.history.known_days)
    full = Fraction(FULL_DAYS * lived, RECENT)
    level = Fraction(len(days)) / full if full else Fraction(0)
    evidence = [
        Evidence("days_of_use", len(days), event_ids=examples(days.values())),
        Evidence("days_looked_at", lived),
    ]
    return Level("frequency", _within_one(level), evidence)


def _trend(given: Given) -> Level:
    lived = min(BEFORE, given.history.known_days - RECENT)
    before = {doing.name: sum(RECENT <= day.ago < RECENT + BEFORE for day in doing.days) for doing in given.judged.uses}
    then = sum(before.values())
    if lived < TREND_DAYS or not then:
        return _left_out("trend", "nothing_to_compare_with")
    lately = {doing.name: len(_recent(doing)) for doing in given.judged.uses}
    evidence = [
        Evidence("uses", sum(lately.values()), _often_first(lately)),
        Evidence("uses_before", then, _often_first(before)),
        Evidence("days_before", lived),
    ]
    return Level("trend", _within_one(Fraction(sum(lately.values()) * lived, RECENT * then)), evidence)


def _breadth(given: Given) -> Level:
    used = [doing for doing in given.judged.uses if doing.events(0, RECENT)]
    full = max(1, min(FULL_NAMES, given.offered))
    evidence = [
        Evidence("names_used", len(used), sorted(doing.name for doing in used)[:SHOWN],
                 examples(doing.days[0] for doing in used)),
        Evidence("names_for_full_points", full),
    ]  # fmt: skip
    return Level("breadth", _within_one(Fraction(len(used), full)), evidence)


def _signals(given: Given) -> Level:
    judged, summary = given.judged, given.judged.shown()
    total = judged.positive + judged.negative
    if not total:
        return _left_out("signals", "no_signals")
    evidence = [Evidence("positive", item.weight, [item.name], item.event_ids) for item in summary.positive]
    evidence += [Evidence("negative", item.weight, [item.name], item.event_ids) for item in summary.negative]
    if judged.silence:
        evidence.append(Evidence("silent", judged.silence, [item.name for item in summary.silent],
                                 [item.event_ids[0] for item in summary.silent][:EXAMPLES]))  # fmt: skip
    share = min(Fraction(1), Fraction(total, FULL_SIGNALS))
    return Level("signals", Fraction(judged.positive, total), evidence, share)


def _billing(given: Given) -> Level:
    known, now = given.billing, given.history.now
    if known is None or known.status not in BILLING_LEVELS:
        return _left_out("billing", "billing_unknown")
    level = BILLING_LEVELS[known.status]
    evidence = [Evidence("status", known.status)]
    if known.past_due:
        level = min(level, BILLING_LEVELS["past_due"])
        evidence.append(Evidence("past_due", "true"))
    if known.paying_since is not None:
        days = (now - known.paying_since) // DAY_MS
        evidence.append(Evidence("days_paying", days))
        if known.status == "active" and days < SETTLED_DAYS:
            level = min(level, YOUNG)
    if known.cancel_at is not None:
        level = min(level, ENDING)
        evidence.append(Evidence("cancel_at", rfc3339(known.cancel_at)))
    ended = sum(spell.end is not None for spell in known.spells)
    if ended:
        evidence.append(Evidence("spells_ended", ended))
    return Level("billing", level, evidence)


_USAGE: Final[tuple[Callable[[Given], Level], ...]] = (_recency, _frequency, _trend, _breadth)


def _left_out(part: str, why: str) -> Level:
    return Level(part, Fraction(0), [], Fraction(0), why)


def _recent(doing: Doing) -> list[Day]:
    return [day for day in doing.days if day.ago < RECENT]


def _often_first(counts: Mapping[str, int]) -> list[str]:
    return sorted((name for name, count in counts.items() if count), key=lambda name: (-counts[name], name))[:SHOWN]


def _within_one(level: Fraction) -> Fraction:
    return max(Fraction(0), min(Fraction(1), level))
