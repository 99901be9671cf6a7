"""Kaplan-Meier curves against numbers by hand and out of the literature."""

from __future__ import annotations

from math import exp, log, sqrt

import msgspec
import pytest

from tenure.metrics.curves import Curves, Lifetimes, Step, curves
from tenure.metrics.lasting import CurveRow, _rows


def lifetimes(*told: str) -> Lifetimes:
    """Spells as in the literature: `6+` is one that was censored on day 6; `6x3` are three that ended then."""
    found = Lifetimes([], [], [])
    for each in told:
        days, _, times = each.partition("x")
        found.days.append(int(days.rstrip("+")))
        found.ended.append(not days.endswith("+"))
        found.spells.append(int(times or 1))
    return found


MERCAPTOPURINE = lifetimes("6x3", "6+", "7", "9+", "10", "10+", "11+", "13", "16", "17+", "19+", "20+", "22", "23",
                           "25+", "32+x2", "34+", "35+")  # fmt: skip
PLACEBO = lifetimes("1x2", "2x2", "3", "4x2", "5x2", "8x4", "11x2", "12x2", "15", "17", "22", "23")


def test_a_curve_by_hand() -> None:
    """Of 4 spells one ends on day 2, one is censored on day 3 and one ends on day 5: 3/4, then half of that."""
    (curve,) = curves([lifetimes("2", "3+", "5", "5+")]).curves
    assert [(step.day, step.at_risk, step.ended, step.censored) for step in curve.steps] == [
        (2, 4, 1, 0), (3, 3, 0, 1), (5, 2, 1, 1),
    ]  # fmt: skip
    assert [step.survival for step in curve.steps] == pytest.approx([0.75, 0.75, 0.375])
    assert curve.median == 5
    # Greenwood: Var = 1/(4*3) of log S; on the log-log scale the deviation is sqrt(Var) / |log S|
    theta = 1.959964 * sqrt(1 / 12) / abs(log(0.75))
    assert (curve.steps[0].lower, curve.steps[0].upper) == pytest.approx(
        (0.75 ** exp(theta), 0.75 ** exp(-theta)), abs=1e-6
    )


def test_the_curve_of_a_published_trial() -> None:
    """Remission of leukemia under 6-mercaptopurine and placebo (Freireich et al., Blood 21, 1963), as Stata, SAS and R
    print it with log-log bands; the log-rank statistic is 16.79."""
    found = curves([MERCAPTOPURINE, PLACEBO])
    drug, placebo = found.curves
    ended = [step for step in drug.steps if step.ended]
    assert [(step.day, step.at_risk, step.ended) for step in ended] == [
        (6, 21, 3), (7, 17, 1), (10, 15, 1), (13, 12, 1), (16, 11, 1), (22, 7, 1), (23, 6, 1),
    ]  # fmt: skip
    assert [round(step.survival, 4) for step in ended] == [0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482]
    assert [(round(step.lower or 0, 4), round(step.upper or 0, 4)) for step in ended] == [
        (0.6197, 0.9516), (0.5631, 0.9228), (0.5032, 0.8894), (0.4316, 0.8491), (0.3675, 0.8049), (0.2678, 0.7468),
        (0.1881, 0.6801),
    ]  # fmt: skip
    assert (drug.median, placebo.median) == (23, 8)
    assert found.test is not None
    assert (round(found.test.statistic, 2), found.test.degrees_of_freedom) == (16.79, 1)
    assert found.test.p == pytest.approx(4.17e-5, rel=0.01)


def test_spells_of_equal_length_count_as_often_as_they_are() -> None:
    """A thousand times the spells is the same curve with a narrower band."""
    one = lifetimes("2", "3+", "5", "5+")
    many = Lifetimes(one.days, one.ended, [1000] * 4)
    found, wider = (curves([each]).curves[0] for each in (many, one))
    assert [step.survival for step in found.steps] == pytest.approx([step.survival for step in wider.steps])
    assert found.steps[0].at_risk == 4000
    assert (found.steps[0].lower or 0) > (wider.steps[0].lower or 1)


@pytest.mark.parametrize(
    ("told", "median"), [(lifetimes("0+", "4+"), None), (lifetimes("0+"), None), (lifetimes("3x2"), 3)]
)
def test_there_is_no_band_where_there_is_nothing_to_tell(told: Lifetimes, median: int | None) -> None:
    """As long as none has ended, and once all have; nor is there anything to compare."""
    (curve,) = (found := curves([told])).curves
    assert [(step.lower, step.upper) for step in curve.steps] == [(None, None)] * len(curve.steps)
    assert (curve.median, found.test) == (median, None)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Curves) == found


def test_a_curve_is_read_off_at_intervals() -> None:
    """Each interval says who came so far, and what became of them in it; one without events keeps the curve."""
    steps = [Step(2, 4, 1, 0, 0.75, 0.1, 0.9), Step(3, 3, 0, 1, 0.75, 0.1, 0.9), Step(9, 2, 1, 1, 0.375, None, None)]
    assert list(_rows(4, steps, 3)) == [
        CurveRow(0, 3, 4, 1, 0, 0.75, 0.1, 0.9),
        CurveRow(3, 6, 3, 0, 1, 0.75, 0.1, 0.9),
        CurveRow(6, 9, 2, 0, 0, 0.75, 0.1, 0.9),
        CurveRow(9, 12, 2, 1, 1, 0.375, None, None),
    ]
    assert list(_rows(0, [], 3)) == []
