"""Kaplan-Meier curves of how long spells last. Pure; the library that it is done with takes seconds and much memory to
import, so only the process of `estimator` does.

The bands are of the cumulative hazard's logarithm with Greenwood's variance (log-log), so they stay within 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec

CONFIDENCE: Final = 0.95


class Lifetimes(msgspec.Struct):
    """Spells of one group, those of equal length together; the three lists go together."""

    days: list[int]
    """How long they lasted, or were seen to last."""
    ended: list[bool]
    """Whether they ended then; else they are censored: all that is known is that they lasted so long."""
    spells: list[int]
    """How many."""


class Step(msgspec.Struct, array_like=True, frozen=True):
    """A day of a spell at which some ended or are censored."""

    day: int
    at_risk: int
    """Spells that lasted at least so long: the ended and the censored of this day are among them."""
    ended: int
    censored: int
    survival: float
    """The share of spells that last longer."""
    lower: float | None
    upper: float | None
    """Of the 95 % confidence band; null where there is none: as long as none has ended, and once all have."""


class Curve(msgspec.Struct):
    """The curve of a group. It is 1 before its first step."""

    steps: list[Step]
    median: int | None
    """The first day at which half of them at the most go on; null if it does not come to that."""


class LogRank(msgspec.Struct):
    """Whether groups differ by more than chance: the log-rank test of all of them together."""

    statistic: float
    degrees_of_freedom: int
    p: float


class Curves(msgspec.Struct):
    """A curve for each group; the test is null where there is nothing to compare."""

    curves: list[Curve]
    test: LogRank | None


def curves(groups: Sequence[Lifetimes]) -> Curves:
    """A curve for each group, none of which may be empty, and their comparison."""
    return Curves([_curve(each) for each in groups], _log_rank(groups))


def _curve(lifetimes: Lifetimes) -> Curve:
    from lifelines import KaplanMeierFitter

    fitter: Any = KaplanMeierFitter(alpha=1 - CONFIDENCE)
    fitter.fit(lifetimes.days, lifetimes.ended, weights=lifetimes.spells)
    table, band = fitter.event_table, fitter.confidence_interval_
    columns = [table.index, table["at_risk"], table["observed"], table["censored"],
               fitter.survival_function_.iloc[:, 0], band.iloc[:, 0], band.iloc[:, 1]]  # fmt: skip
    steps = [
        Step(int(day), int(at_risk), int(ended), int(censored), float(survival), *_band(survival, lower, upper))
        for day, at_risk, ended, censored, survival, lower, upper in zip(*columns, strict=True)
        if ended or censored
    ]
    median = fitter.median_survival_time_
    return Curve(steps, int(median) if math.isfinite(median) else None)


def _band(survival: float, lower: float, upper: float) -> tuple[float | None, float | None]:
    told = 0 < survival < 1 and math.isfinite(lower) and math.isfinite(upper)
    return (float(lower), float(upper)) if told else (None, None)


def _log_rank(groups: Sequence[Lifetimes]) -> LogRank | None:
    if len(groups) < 2 or not any(any(group.ended) for group in groups):
        return None
    import numpy
    from lifelines.statistics import multivariate_logrank_test

    of = [number for number, group in enumerate(groups) for _ in group.days]
    days, ended, spells = (
        numpy.array([value for group in groups for value in getattr(group, name)])
        for name in ("days", "ended", "spells")
    )
    found: Any = multivariate_logrank_test(days, of, ended, weights=spells)
    if not math.isfinite(found.p_value):
        return None
    return LogRank(float(found.test_statistic), len(groups) - 1, float(found.p_value))
