"""Times in the cells of a file, in the form that `--time-format` says or in any that `times` reads. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Final

from tenure.errors import ImportInvalid
from tenure.importer.values import time_text
from tenure.wire import times


def parse_time(value: object) -> times.Moment:
    """The time in a cell, in any form of `times`. Raises TimeInvalid."""
    return times.parse(time_text(value))


COUNTED: Final = {"seconds": (0, 1_000), "milliseconds": (0, 1), "excel": (-25_569, times.DAY_MS)}
"""What `--time-format` may say of numbers: the number that 1970 has, negated, and the milliseconds of one."""


def time_parser(time_format: str | None) -> Callable[[object], times.Moment]:
    """What reads a cell; it raises TimeInvalid. Raises ImportInvalid for a form that is none."""
    if time_format is None:
        return parse_time
    if time_format in COUNTED:
        return partial(_parse_counted, *COUNTED[time_format])
    try:
        datetime.strptime(datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC).strftime(time_format), time_format)
    except ValueError as error:
        raise ImportInvalid(f"--time-format: {error}") from None
    precise = any(directive in time_format for directive in ("%S", "%X", "%c"))
    parse = lru_cache(maxsize=10_000)(partial(_parse_format, time_format, precise))
    return lambda value: parse(str(value) if isinstance(value, (str, int, float)) else "")


def _parse_counted(since: int, milliseconds: int, value: object) -> times.Moment:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise times.TimeInvalid("must be a number")
    try:
        ms = round((Decimal(str(value).strip()) + since) * milliseconds)
        return times.Moment(times.parse(times.rfc3339(ms)).ms, True)
    except (ArithmeticError, ValueError):
        raise times.TimeInvalid("is not a number that counts to a time from 1900 to 2299") from None


def _parse_format(time_format: str, precise: bool, text: str) -> times.Moment:
    try:
        at = datetime.strptime(text, time_format)
    except ValueError:
        raise times.TimeInvalid(f"is not a time in the form {time_format}") from None
    return times.Moment(times.parse(at.isoformat()).ms, precise)
