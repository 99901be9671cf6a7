"""A subscription that goes on only because nothing is heard of it is marked; a period is complete when it is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Literal

import pytest

from tenure.metrics.answers import mrr_row
from tenure.subscriptions.account import SILENCE_MS, account, next_change, standing
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.metrics import Row, periods
from tenure.subscriptions.movements import KINDS
from tenure.subscriptions.rules import Rules
from tests.subscriptions.histories import DAY, active, at, fact

END = {"period_start": "2024-01-01", "period_end": "2024-02-01"}


def silent(now: int, *found: Fact) -> int:
    here = standing(account(found, Rules()), now, Rules())
    assert here is not None
    return here.silent


def test_an_active_subscription_of_which_nothing_is_heard_is_marked() -> None:
    """Its period ended 600 days ago; it counts on, and is marked from 31 days after, which is foretold."""
    found = [active("2024-01-01", **END)]
    over = at("2024-02-01") + SILENCE_MS
    assert [silent(now, *found) for now in (over - 1, over, over + 600 * DAY)] == [0, 1, 1]
    told = next_change(account(found, Rules()), over - DAY)
    assert told is not None
    assert told <= over
    here = standing(account(found, Rules()), over, Rules())
    assert here is not None
    assert here.mrr[""] == {"USD": 3000}


@pytest.mark.parametrize(
    "word",
    [
        {"status": "active"},
        {"period_end": "2025-03-01"},
        {"status": "canceled", "ended_at": "2024-02-01"},
        {"status": "paused"},
    ],
)
def test_a_word_since_is_enough(word: dict[str, Any]) -> None:
    """A renewal, an end, a pause, or anything; and a subscription that never named a period is none of these."""
    found = active("2024-01-01", **END), fact("2025-02-01", **word)
    assert silent(at("2025-02-20"), *found) == 0
    assert silent(at("2027-01-01"), active("2024-01-01")) == 0


@pytest.mark.parametrize("period", ["day", "week", "month"])
@pytest.mark.parametrize("days_ago", [0, 1, 40])
def test_a_period_is_complete_when_it_is_over(period: Literal["day", "week", "month"], days_ago: int) -> None:
    """The day, week and month that today is in are not, whatever day it is."""
    today = datetime.now(UTC).date()
    day = today - timedelta(days=days_ago)
    ((start, end),) = periods(period, day, day)
    none = dict.fromkeys(KINDS, Fraction(0))
    row = Row(start, min(end, today + timedelta(days=1)), "USD", None, Fraction(0), none, Fraction(0))
    assert mrr_row(row, period).complete is (end <= today)
    cut = row._replace(end=start + timedelta(days=1))
    assert mrr_row(cut, period).complete is (period == "day" and start < today)
    assert isinstance(start, date)
