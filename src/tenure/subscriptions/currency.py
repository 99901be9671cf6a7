"""Currencies: how many of its smallest units one unit has, and rates between them.

The exponents are those of ISO 4217. A source whose API counts otherwise converts before it makes a fact.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from tenure.errors import BadRequest

UNKNOWN: Final = "XXX"
"""ISO 4217's code for no currency: of a subscription whose currency nobody said."""

_EXPONENTS: Final = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
    "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0, "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3,
    "OMR": 3, "TND": 3, "CLF": 4, "UYW": 4,
}  # fmt: skip


_CODE: Final = re.compile(r"[A-Za-z]{3}")


def exponent(currency: str) -> int:
    """Decimal digits of a currency's smallest unit: 2 for USD, 0 for JPY, 3 for KWD."""
    return _EXPONENTS.get(currency, 2)


def code(text: str) -> str | None:
    """A currency's code in capitals, from either case; None when it is not three letters."""
    return text.upper() if _CODE.fullmatch(text) else None


def check_decimal(name: str, number: Decimal, low: int, high: int) -> None:
    """Raise ValueError (which msgspec reports as ValidationError) unless low <= number <= high, of 12 places at most.

    Places are limited because a Fraction of 1E-999999999 has a billion digits.
    """
    if not number.is_finite() or not low <= number <= high or int(number.as_tuple().exponent) < -12:
        raise ValueError(f"{name} must be from {low} to {high} and have at most 12 decimal places")


class Rate(msgspec.Struct, frozen=True):
    """What one unit of a currency is worth, in units of the currency to report in, from a day on."""

    day: date
    rate: Decimal

    def __post_init__(self) -> None:
        check_decimal("rate", self.rate, 0, 10**12)


class Rates(msgspec.Struct, frozen=True):
    """The operator's rates: to report in `base`, those of each other currency in any order."""

    base: str
    of: Mapping[str, tuple[Rate, ...]]
    """By day, once they are here."""

    def __post_init__(self) -> None:
        by_day = {code: tuple(sorted(rates, key=lambda rate: (rate.day, rate.rate))) for code, rates in self.of.items()}
        msgspec.structs.force_setattr(self, "of", by_day)

    def convert(self, amount: Fraction, currency: str, day: date) -> Fraction:
        """An amount in smallest units of a currency, in those of `base`, at the last rate of or before a day.

        Raises BadRequest where the operator gave no such rate: a number without some of its money is none.
        """
        if currency == self.base:
            return amount
        dated = self.of.get(currency, ())
        known = bisect_right(dated, day, key=lambda rate: rate.day)
        if not known:
            raise BadRequest(
                f"There is no rate from {currency} to {self.base} for {day}. Give one of that day or before.",
                code="no_rate",
                field="rates",
            )
        digits = exponent(self.base) - exponent(currency)
        return amount * Fraction(dated[known - 1].rate) * Fraction(10) ** digits
