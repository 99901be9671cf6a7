"""The values of a row as JSON: what a CSV cell or a Parquet value becomes."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from datetime import date, time, timedelta
from decimal import Decimal

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,14}")
_BLANK = re.compile(r"\s")
_ZONE_APART = re.compile(
    r"(?P<time>.*[0-9])[ \t]+(?:UTC|GMT|(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?))", re.IGNORECASE
)
_FRACTION = re.compile(r"-?(?=[0-9.]{3,16}\Z)(?:0|[1-9][0-9]*)\.[0-9]+")


def number_or_text(text: str) -> int | float | str:
    """A number when no digit is lost by it: plain decimal notation of at most 15 digits, no zeros in front.

    So `007`, `+1`, `1e5` and long numbers stay text; `12.50` is the number 12.5.
    """
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FRACTION.fullmatch(text) else text


def time_text(value: object) -> object:
    """A time as text without blanks around it or before its zone, as BigQuery and spreadsheets write it."""
    if not isinstance(value, str) or not _BLANK.search(value):
        return value
    text = value.strip()
    found = _ZONE_APART.fullmatch(text)
    return text if found is None else found["time"] + (found["zone"] or "Z")


def plain(value: object) -> object:
    """Any value that Parquet holds, as JSON: times in ISO 8601, NaN as null, bytes as text or base64."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return _scalar(value)


def _scalar(value: object) -> object:
    if isinstance(value, Decimal):
        return number_or_text(format(value, "f"))
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return b64encode(value).decode()
    return str(value)
