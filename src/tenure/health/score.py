"""The health of a customer: a score from 0 to 100, each point of it with its part and evidence. Pure.

Points are exact fractions until they are shown; then parts and what they lack are rounded together, so that the
points add up to the score, and what was possible to 100.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final, Literal

import msgspec

from tenure.health import parts, silence, summary
from tenure.health.billing import Billing
from tenure.health.history import BEFORE, DAYS, RECENT, History, Others
from tenure.health.parts import Evidence, Level
from tenure.health.settings import HealthSettings, Weights
from tenure.health.summary import Summary, judge
from tenure.subscriptions.mrr import rounded
from tenure.wire.times import rfc3339

LEAST_DAYS: Final = 14
LEAST_EVENTS: Final = 5
"""Days that a customer must be known, and verified events that there must be, before there is a score."""


Band = Literal["good", "fair", "poor"]
BANDS: Final[dict[Band, int]] = {"good": 70, "fair": 40, "poor": 0}
"""What a score is called in a word, with the least score of each."""


def band(score: int | None) -> Band | None:
    """What a score is called; None without one."""
    return None if score is None else next(name for name, least in BANDS.items() if score >= least)


class Reason(msgspec.Struct):
    """Why there is no score: `code` is stable, `message` has the numbers."""

    code: str
    message: str


class Part(msgspec.Struct):
    """One part of the score. `points` of all parts are the score, `possible` of all parts is 100."""

    part: str
    weight: int
    points: int
    possible: int
    left_out: str | None
    """Why it counts for nothing, where it does: the other parts then make up the 100."""
    evidence: list[Evidence]


class Thresholds(msgspec.Struct):
    """The numbers of the rules in `docs/health.md`."""

    recent_days: int = RECENT
    before_days: int = BEFORE
    days_looked_back: int = DAYS
    least_days_known: int = LEAST_DAYS
    least_events: int = LEAST_EVENTS
    fresh_days: int = parts.FRESH_DAYS
    full_days_of_use: int = parts.FULL_DAYS
    trend_days: int = parts.TREND_DAYS
    full_names: int = parts.FULL_NAMES
    full_signals: int = parts.FULL_SIGNALS
    settled_days: int = parts.SETTLED_DAYS
    counted_events_of_a_signal: int = summary.COUNTED
    silent_weeks: int = silence.SILENT_WEEKS
    silent_days: int = silence.SILENT_DAYS
    silent_most: int = summary.SILENT_MOST
    broken_events: int = silence.BROKEN_EVENTS
    broken_senders: int = silence.BROKEN_SENDERS
    broken_days: int = silence.BROKEN_DAYS
    broken_gaps: int = silence.BROKEN_GAPS


class Health(msgspec.Struct):
    """How a customer is doing, and why. Times are RFC 3339 in UTC."""

    score: int | None
    """From 0 to 100, higher is better; null when there is too little to go by."""
    insufficient_data: list[Reason]
    """Why there is no score; empty when there is."""
    parts: list[Part]
    """Empty without a score."""
    signals: Summary
    events: int
    """Verified events ever, which the score is computed from."""
    known_since: str | None
    dated_ahead: int
    """Events dated after the moment of the question: they count once it has come."""
    cut: bool
    """Whether there are more names and days than the 20,000 that are looked at."""
    held_back: bool
    """Whether unverified events of the last 30 days count nowhere: send with a secret or trusted key."""
    weights: Weights
    thresholds: Thresholds
    at: str
    """The moment that days are counted back from."""
    as_of: str | None
    """By what had been received by then; null: by all."""


class HealthInShort(msgspec.Struct):
    """The same in a customer's view: names only."""

    score: int | None
    insufficient_data: list[str]
    points: dict[str, tuple[int, int]]
    """By part: given, of how many."""
    positive: list[str]
    negative: list[str]
    silent: list[str]
    broken_tracking: list[str]


def health(  # noqa: PLR0917 - whose, by whose settings, and what is known of them
    history: History,
    others: Others,
    settings: HealthSettings,
    billing: Billing | None,
    as_of: int | None = None,
    frequent: Container[str] | None = None,
) -> Health:
    """The health of a customer at `history.now`. `as_of`, in milliseconds since 1970 UTC, is only told. `frequent` has
    the names of the app's own that enough customers have sent, see `Signals`."""
    signals = settings.meanings(frequent)
    judged = judge(history, others, signals)
    found = parts.levels(history, judged, others, signals, billing)
    reasons = _insufficient(history, found, settings.weights)
    given = [] if reasons else _points(found, settings.weights)
    return Health(
        score=None if reasons else sum(part.points for part in given),
        insufficient_data=reasons,
        parts=given,
        signals=judged.shown(),
        events=history.events,
        known_since=None if history.known_since is None else rfc3339(history.known_since),
        dated_ahead=history.ahead,
        cut=history.cut,
        held_back=bool(judged.summary.unverified),
        weights=settings.weights,
        thresholds=Thresholds(),
        at=rfc3339(history.now),
        as_of=None if as_of is None else rfc3339(as_of),
    )


def in_short(found: Health) -> HealthInShort:
    """What the view of a customer shows."""
    return HealthInShort(
        score=found.score,
        insufficient_data=[reason.code for reason in found.insufficient_data],
        points={part.part: (part.points, part.possible) for part in found.parts if part.left_out is None},
        positive=[item.name for item in found.signals.positive],
        negative=[item.name for item in found.signals.negative],
        silent=[item.name for item in found.signals.silent],
        broken_tracking=[item.name for item in found.signals.broken_tracking],
    )


def _insufficient(history: History, found: list[Level], weights: Weights) -> list[Reason]:
    reasons = []
    if history.known_days < LEAST_DAYS:
        message = f"known for {history.known_days} days; a score needs {LEAST_DAYS}"
        reasons.append(Reason("known_too_short", message))
    if history.events < LEAST_EVENTS:
        reasons.append(Reason("too_few_events", f"{history.events} verified events; a score needs {LEAST_EVENTS}"))
    if not reasons and not any(getattr(weights, level.part) * level.share for level in found):
        reasons.append(Reason("no_part", "no part that has a weight has any data"))
    return reasons


def _points(found: list[Level], weights: Weights) -> list[Part]:
    possible = [getattr(weights, level.part) * level.share for level in found]
    whole = sum(possible)
    of_100 = [100 * weight / whole for weight in possible]
    exact = [most * level.level for most, level in zip(of_100, found, strict=True)]
    points = rounded(exact)
    lacking = rounded([most - got for most, got in zip(of_100, exact, strict=True)])
    return [
        Part(level.part, getattr(weights, level.part), got, got + lacks, level.left_out, level.evidence)
        for level, got, lacks in zip(found, points, lacking, strict=True)
    ]
