"""The evidence of a score in words, each with the way to the events that it follows from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from tenure.health.history import BEFORE, RECENT
from tenure.health.parts import Evidence
from tenure.health.score import Health, Part
from tenure.pages.customer.asked import Asked

PARTS: Final[Mapping[str, str]] = {
    "recency": "Recency", "frequency": "Frequency", "trend": "Trend", "breadth": "Breadth", "signals": "Signals",
    "billing": "Billing",
}  # fmt: skip
LEFT_OUT: Final[Mapping[str, str]] = {
    "no_use_tracked": "no use of the product is tracked",
    "nothing_to_compare_with": "there is nothing to compare with yet",
    "no_signals": "there are no signals lately",
    "billing_unknown": "nothing is known of what they pay",
}
"""Why a part counts for nothing."""
_WORDS: Final[Mapping[str, str]] = {
    "no_use_within_days": "No use within {} days",
    "days_since_last_use": "Last use {} days ago",
    "days_of_use": "Days of use in the last 30: {}",
    "days_looked_at": "Days looked at: {}",
    "uses": "Uses in the last 30 days, each name once a day: {}",
    "uses_before": "Uses in the days before: {}",
    "days_before": "Days before that are compared with: {}",
    "names_used": "Different uses in the last 30 days: {}",
    "names_for_full_points": "Different uses for all points: {}",
    "positive": "Good sign, of weight {}",
    "negative": "Bad sign, of weight {}",
    "silent": "Fell silent, of weight {}",
    "status": "The subscription is {}",
    "past_due": "A bill is late",
    "days_paying": "Has been paying for {} days",
    "cancel_at": "Ends at {}",
    "spells_ended": "Stopped paying before: {}",
}
_OF_EVENTS: Final = frozenset({"days_of_use", "days_since_last_use"})
"""What has no name, or is of events in any case."""


class Reason(NamedTuple):
    """One thing that a part follows from; `links` lead to its events, by name."""

    words: str
    links: list[tuple[str, str]]


class Explained(NamedTuple):
    """A part of the score."""

    name: str
    part: Part
    left_out: str | None
    reasons: list[Reason]


def explained(asked: Asked, health: Health) -> list[Explained]:
    """The parts of a score, with their evidence in words."""
    return [
        Explained(
            PARTS[part.part],
            part,
            part.left_out and LEFT_OUT.get(part.left_out, part.left_out),
            [_reason(asked, one, datetime.fromisoformat(health.at)) for one in part.evidence],
        )
        for part in health.parts
    ]


def _reason(asked: Asked, evidence: Evidence, at: datetime) -> Reason:
    words = _WORDS.get(evidence.what, f"{evidence.what}: {{}}").format(evidence.value)
    since, until = _period(evidence, at.astimezone(asked.of.zone).date())
    links = [(name, asked.url("timeline", name=name, since=since, until=until)) for name in evidence.names]
    if not links and evidence.what in _OF_EVENTS:
        links = [("all events", asked.url("timeline", since=since, until=until))]
    return Reason(words, links)


def _period(evidence: Evidence, on: date) -> tuple[date | None, date | None]:
    """The days that the events of a reason are of."""
    lately, before = on - timedelta(days=RECENT), on - timedelta(days=RECENT + BEFORE)
    if evidence.what == "uses_before":
        return before, lately
    return (None, None) if evidence.what in {"silent", "days_since_last_use"} else (lately, None)
