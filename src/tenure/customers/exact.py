"""Values of attributes as the engine compares them: numbers exactly, texts as the search folds them.

A number is compared as a decimal with 58 digits before the point and 18 after it, so that ids of many digits do not
meet their neighbors. Where that is too narrow (a double may be greater, or nearer to 0), doubles decide between equals.
"""

from __future__ import annotations

import re
from typing import Final

MOST_DIGITS: Final = 1_024
"""Characters of a number that is asked for: as many as a value on the list has."""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_GREATEST = f"toDecimal256('{'9' * 58}', 18)"


def is_number(text: str) -> bool:
    """Whether a text is a number, as JSON writes it."""
    return len(text) <= MOST_DIGITS and _NUMBER.fullmatch(text) is not None


def decimal(text: str) -> str:
    """An expression: the JSON text that another expression gives as a decimal; null where it is no number."""
    exact, double = f"toDecimal256OrNull({text}, 18)", _double(text)
    return f"multiIf(isNull({double}), NULL, isNotNull({exact}), {exact}, {double} > 0, {_GREATEST}, -{_GREATEST})"


def remainder(text: str) -> str:
    """An expression: what tells two numbers apart that are the same decimal; null where it is no number."""
    double = _double(text)
    return f"if(abs({double}) BETWEEN 0.01 AND 1e57, 0., {double})"


def equal(text: str, other: str) -> str:
    """A condition: that two JSON texts are the same number."""
    return f"ifNull({decimal(text)} = {decimal(other)} AND {remainder(text)} = {remainder(other)}, 0)"


def beyond(text: str, sign: str, other: str) -> str:
    """A condition: that a JSON text is a number greater (`>`) or less (`<`) than the other."""
    mine, theirs = decimal(text), decimal(other)
    nearer = f"{remainder(text)} {sign} {remainder(other)}"
    return f"ifNull({mine} {sign} {theirs} OR {mine} = {theirs} AND {nearer}, 0)"


def folded(text: str) -> str:
    """An expression: a text without case, and composed, as `identity.fold` has it."""
    return f"normalizeUTF8NFC(caseFoldUTF8(normalizeUTF8NFC({text})))"


def _double(text: str) -> str:
    return f"if(match({text}, '^-?[0-9]'), toFloat64OrNull({text}), NULL)"
