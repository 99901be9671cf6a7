"""A spike is more than twice the busiest of the 28 days before, and never of a young name or of a few events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.health.spike import LEAST, LOOKED_AT, USUAL_DAYS, Spike, find_spike

OLD = 1_000


def daily(*last: int, usual: int = 100) -> list[int]:
    """35 days, the last as given."""
    return [usual] * (USUAL_DAYS + LOOKED_AT - len(last)) + list(last)


@pytest.mark.parametrize(
    ("counts", "known_days", "expected"),
    [
        (daily(201), OLD, Spike(0, 201, 100)),
        (daily(200), OLD, None),
        (daily(500, 100, 100), OLD, Spike(2, 500, 100)),
        (daily(500, 0, 1_001), OLD, Spike(0, 1_001, 500)),  # the latest of two
        (daily(500, 0, 1_000), OLD, Spike(2, 500, 100)),
        (daily(500, *[100] * LOOKED_AT), OLD, None),  # too long ago
        (daily(LEAST, usual=0), OLD, Spike(0, LEAST, 0)),
        (daily(LEAST - 1, usual=0), OLD, None),
        (daily(500), USUAL_DAYS, Spike(0, 500, 100)),
        (daily(500), USUAL_DAYS - 1, None),  # a young name
        (daily(500, 0), USUAL_DAYS, None),
        (daily(500)[-USUAL_DAYS:], OLD, None),
        ([], OLD, None),
    ],
)
def test_the_formula(counts: list[int], known_days: int, expected: Spike | None) -> None:
    """As docs/pages/events.md has it."""
    assert find_spike(counts, known_days) == expected


@given(st.lists(st.integers(0, 500), min_size=7, max_size=7), st.integers(0, 6))
def test_what_comes_every_week_is_no_spike(week: list[int], shift: int) -> None:
    """However uneven the days of a week are."""
    counts = (week * 6)[shift:][: USUAL_DAYS + LOOKED_AT]
    assert find_spike(counts, OLD) is None
