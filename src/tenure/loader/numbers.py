"""Sums of JSON numbers, exact: what increments come to, for the list of customers and for their attributes alike."""

from __future__ import annotations

from decimal import Context, Decimal

_EXACT = Context(prec=10_000)
"""Digits of any sum of JSON numbers: a double has up to 309 before and 324 after the point, an integer up to 4,300."""


def is_number(value: str) -> bool:
    """Whether a JSON text is a number."""
    return value[0] in "-0123456789"


def add(value: str, increment: str) -> str:
    """The sum of two JSON numbers: in full, without zeros at the end of a fraction."""
    text = format(_EXACT.add(Decimal(value), Decimal(increment)), "f")
    if "." in text:
        text = text.rstrip("0").removesuffix(".")
    return "0" if text == "-0" else text
