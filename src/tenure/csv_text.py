"""Rows as CSV that no spreadsheet runs. Pure; everything of ours that is CSV is written here.

`static/charts.js` does the same for a chart's table, by the same rule; `tests/pages/test_csv_text.py` holds them
together.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"
"""By it a spreadsheet knows that the file is UTF-8."""
_FORMULAS: Final = "=+-@"
_BREAKS: Final = ("\t", "\r", "\n")


class Ours(str):
    """Text that we made: an amount, a day. It is written as it is."""

    __slots__ = ()


def line(row: Sequence[object]) -> str:
    """One row. Text gets an apostrophe where a spreadsheet may take it for a formula; numbers and times are ours."""
    text = io.StringIO()
    csv.writer(text).writerow([_cell(value) for value in row])
    return text.getvalue()


def lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Rows, one by one."""
    return map(line, rows)


def safe(text: str) -> str:
    """Text that no spreadsheet runs: with an apostrophe before what looks like a formula."""
    return f"'{text}" if text.startswith(_BREAKS) or _begins_a_formula(text) else text


def _begins_a_formula(text: str) -> bool:
    """By its first character that is seen, full width and small forms too."""
    for character in text:
        if not (character.isspace() or unicodedata.category(character) in {"Cc", "Cf"}):
            return unicodedata.normalize("NFKC", character)[:1] in _FORMULAS
    return False


def _cell(value: object) -> object:
    if isinstance(value, Ours):
        return str(value)
    if isinstance(value, str):
        return safe(value)
    return str(value).lower() if isinstance(value, bool) else value
