"""`docs/health.md` says what the code does: names, numbers, and its example."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tenure.health.parts import BILLING_LEVELS
from tenure.health.score import BANDS, Thresholds, band, health
from tenure.health.settings import HealthSettings, Weights
from tenure.health.signals import NO_USE, NPS_PROPERTIES, RECOGNISED, Signals
from tests.health import histories

PAGE = (Path(__file__).parents[2] / "docs/health.md").read_text()
STRENGTHS = {1: "weak ", 2: "", 4: "strong "}


def test_the_table_of_names_is_that_of_the_code() -> None:
    """Each recognised name has a row with its sign, and no other has."""
    rows = re.findall(r"^\| `([\w.]+)` \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    expected = set()
    for name, signal in RECOGNISED.items():
        says = {"nps": "by its value", "neutral": "neutral"}.get(signal.sign, STRENGTHS[signal.strength] + signal.sign)
        expected.add((name, signal.source, says + (", use" if Signals({}).of(name).is_use else "")))
    assert {row for row in rows if not row[1].isdigit()} == expected


def test_the_names_that_are_no_use_are_on_the_page() -> None:
    """All of them, in order."""
    (listed,) = re.findall(r"accountDeleted`\):\n\n(.+?)\.\n\n", PAGE, re.DOTALL)
    assert re.findall(r"`([^`]+)`", listed) == list(NO_USE)


def test_weights_and_thresholds_are_on_the_page() -> None:
    """Each part's default weight is in its row, and each threshold somewhere in words."""
    for part, weight in msgspec.structs.asdict(Weights()).items():
        assert f"| `{part}` | {weight} |" in PAGE
    assert all(f"`{name}`" in PAGE for name in NPS_PROPERTIES)
    assert all(status.replace("trialing", "in trial").replace("_", " ") in PAGE for status in BILLING_LEVELS)
    text = " ".join(PAGE.split())
    for sentence in (
        "*Lately* is days 0 to {recent_days_less_one}, *before* is the {before_days} days before",
        "Nothing older than {days_looked_back} days counts",
        "known for less than {least_days_known} days",
        "fewer than {least_events} verified events",
        "all up to {fresh_days} whole days since the last use, nothing from {recent_days} on",
        "days of use lately / {full_days_of_use};",
        "of those {before_days} days less than {trend_days} known",
        "different uses lately / {full_names},",
        "With a weight of less than {full_signals}",
        f"A score of {BANDS['good']} or more is `good`, of {BANDS['fair']} or more `fair`, of less `poor`",
        "4/5 when active for less than {settled_days} days",
        "of which {counted_events_of_a_signal} count at the most",
        "in at least {silent_weeks} different weeks of the last 26, and then none for at least {silent_days} days",
        "all of them together at the most {silent_most}",
        "at least {broken_events} events of it, at least {broken_senders} of their identifiers",
        "for more than {broken_days} days and more than {broken_gaps} times the mean time",
    ):
        numbers = msgspec.structs.asdict(Thresholds())
        assert sentence.format(**numbers, recent_days_less_one=numbers["recent_days"] - 1) in text


def test_every_score_has_a_band() -> None:
    """From 0 to 100; what is no score has none."""
    found = [band(score) for score in range(101)]
    assert found == ["poor"] * BANDS["fair"] + ["fair"] * (BANDS["good"] - BANDS["fair"]) + ["good"] * 31
    assert band(None) is None


def test_the_example_is_right() -> None:
    """The customer of the example has the score and the points that the page computes by hand."""
    history = histories.history(
        {"report_opened": [10, *range(12, 118, 3)], "invoice_overdue": [20]},
        answers=[(5, "9"), (8, "3")],
        known_days=200,
    )
    others = histories.others({"report_opened": {"last": 0}, "page_viewed": {"last": 0}})
    billing = histories.billing({"status": "active", "paying_since": 300})
    found = health(history, others, HealthSettings(), billing)
    shown = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert [(part.part, str(part.points), str(part.possible)) for part in found.parts] == shown
    assert f"the score is {found.score}." in PAGE
