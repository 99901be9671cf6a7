"""Statements and rates as they are shown: rounded so that what is shown adds up. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from tenure.subscriptions.amount import decimal

RATE_PLACES: Final = 12


def adding_up(opening: Fraction, steps: Sequence[Fraction], closing: Fraction) -> tuple[int, list[int], int]:
    """Opening, steps and closing, where opening + steps = closing, as whole smallest units of which that holds too.

    Opening and closing are rounded half to even, so that a closing is shown as the opening after it; of the steps those
    nearest to the next unit are rounded up. What is nothing stays nothing, none changes its sign or is two units off.
    """
    first, last = round(opening), round(closing)
    found = [step.__floor__() for step in steps]
    missing = last - first - sum(found)
    by_remainder = sorted((found[place] - step, place) for place, step in enumerate(steps) if step)
    for _, place in by_remainder[: abs(missing)]:
        found[place] += 1 if missing > 0 else -1
    return first, found, last


def rate(value: Fraction) -> str:
    """A rate, to 12 places, half to even."""
    return decimal(round(value * 10**RATE_PLACES), RATE_PLACES, 0)
