"""Amounts in smallest units as decimal texts in units of their currency. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from tenure.subscriptions.currency import exponent

PLACES: Final = 10
"""Decimal places of the smallest unit in which MRR is stored."""


def in_units(smallest: int, currency: str) -> str:
    """So many smallest units, in units of a currency: 123 as 1.23 for USD."""
    digits = exponent(currency)
    return decimal(smallest, digits, digits)


def rounded(amount: Fraction, currency: str) -> str:
    """An amount in smallest units, in units of a currency: to whole smallest units, half to even."""
    return in_units(round(amount), currency)


def exactly(amount: Fraction, currency: str) -> str:
    """An amount in smallest units that is whole or has up to 10 places, in units of a currency, without rounding."""
    digits = exponent(currency)
    scaled = amount * 10**PLACES
    assert scaled.denominator == 1
    return decimal(scaled.numerator, digits + PLACES, digits)


def decimal(number: int, places: int, least: int) -> str:
    """`number` / 10**places, with at least so many places and no more zeros than that."""
    digits = str(abs(number)).zfill(places + 1)
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
    part = part[:least] + part[least:].rstrip("0")
    return f"{'-' if number < 0 else ''}{whole}{'.' + part if part else ''}"
