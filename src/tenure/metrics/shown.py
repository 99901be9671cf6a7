"""Amounts and rates as they are shown: decimal texts, rounded so that what is shown adds up. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from tenure.subscriptions.currency import exponent

STORED_PLACES: Final = 10
"""Decimal places of the smallest unit in which `ledger` keeps a level."""
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


def in_units(smallest: int, currency: str) -> str:
    """So many smallest units, in units of a currency: 123 as 1.23 for USD."""
    digits = exponent(currency)
    return _decimal(smallest, digits, digits)


def exactly(amount: Fraction, currency: str) -> str:
    """An amount in smallest units that is whole or has up to 10 places, in units of a currency, without rounding."""
    digits = exponent(currency)
    scaled = amount * 10**STORED_PLACES
    assert scaled.denominator == 1
    return _decimal(scaled.numerator, digits + STORED_PLACES, digits)


def rate(value: Fraction) -> str:
    """A rate, to 12 places, half to even."""
    return _decimal(round(value * 10**RATE_PLACES), RATE_PLACES, 0)


def _decimal(number: int, places: int, least: int) -> str:
    """`number` / 10**places, with at least so many places and no more zeros than that."""
    digits = str(abs(number)).zfill(places + 1)
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
    part = part[:least] + part[least:].rstrip("0")
    return f"{'-' if number < 0 else ''}{whole}{'.' + part if part else ''}"
