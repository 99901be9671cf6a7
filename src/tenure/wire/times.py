"""Times as clients write them, read into milliseconds since 1970 UTC.

- ISO 8601 and RFC 3339, `YYYY-MM-DD HH:MM:SS`: a time without a zone is UTC. What is finer than a
  millisecond is cut off. A leap second (23:59:60 UTC) is the first second of the next day.
- The basic forms of ISO 8601, without separators: `20260614T120000Z`, `20260614T1200+0200`. 8 digits that are a day
  from 1900 to 2299, or 14 that are a day and a time, are that, as text or number: `20260614`, `20260614120000`.
- A bare date is its first millisecond in UTC, and not precise.
- Any other number, or text of digits, is seconds since 1970 when it is nearer to 0 than 100,000,000,000 (the year
  5138), otherwise milliseconds (from March 1973 on). No client sends milliseconds of before then.
- A number nearer to 0 than 100,000,000 is refused: it may be seconds, a serial of a spreadsheet, or a day gone wrong.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

EARLIEST = -2_208_988_800_000
"""1900-01-01T00:00:00.000Z, the first time that the warehouse can hold, in milliseconds."""
LATEST = 10_413_791_999_999
"""2299-12-31T23:59:59.999Z, the last one."""
SECONDS_BELOW = 100_000_000_000
"""A number nearer to 0 than this counts seconds."""
SECONDS_FROM = 100_000_000
"""A number nearer to 0 than this is no time: days as YYYYMMDD and serials of spreadsheets are such numbers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_WITHOUT_ZONE = _EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)
DAY_MS = 86_400_000

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[Tt ](?:[01][0-9]|2[0-3]):[0-9]{2}"
_SECONDS = r":[0-9]{2}(?:[.,][0-9]{1,30})?"
_ISO_8601 = re.compile(rf"{_DATE}(?:{_CLOCK}(?:{_SECONDS})?(?:[Zz]|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?")
_RFC_3339 = re.compile(rf"{_DATE}{_CLOCK}{_SECONDS}(?:[Zz]|[+-][0-9]{{2}}:[0-9]{{2}})")
_BASIC = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})"
    r"(?:[Tt ]((?:[01][0-9]|2[0-3])):?([0-9]{2})(?::?([0-9]{2}(?:[.,][0-9]{1,30})?))?"
    r"([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_COMPACT = re.compile(
    r"((?:19|2[0-2])[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])(?:([01][0-9]|2[0-3])([0-9]{2})([0-9]{2}))?"
)
_DIGITS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,30})?")


class Moment(NamedTuple):
    """A time that a client gave."""

    ms: int
    """Milliseconds since 1970 UTC."""
    precise: bool
    """It has a time of day with seconds, or is a number."""


class TimeInvalid(ValueError):
    """Not a time; the text says what is wrong and continues a sentence that begins with the field's name."""


def parse(value: object) -> Moment:
    """The time that `value` gives in any of the forms above; `TimeInvalid` when it is none of them."""
    if isinstance(value, str):
        if _ISO_8601.fullmatch(value) is None and (extended := _extended(value)) is not None:
            value = extended
        if _ISO_8601.fullmatch(value):
            return Moment(_within_range(_instant(value)), len(value) > 16 and value[16] == ":")
        if _DIGITS.fullmatch(value):
            return _of_number(Decimal(value))
    elif isinstance(value, float) and math.isfinite(value):
        return _of_number(Decimal(repr(value)))
    elif isinstance(value, int) and not isinstance(value, bool):
        return _of_number(value)
    raise TimeInvalid("must be a time: ISO 8601 text, or seconds or milliseconds since 1970")


def _extended(text: str) -> str | None:
    """A time in a basic form of ISO 8601 (`20260614T120000Z`) in the extended one; None when it is in none."""
    if text.isdecimal():
        found = _COMPACT.fullmatch(text)
        if found is None or not _is_day(*found.groups()[:3]):
            return None
    else:
        found = _BASIC.fullmatch(text)
    if found is None:
        return None
    year, month, day, hours, minutes, seconds, *zone = found.groups()
    date = f"{year}-{month}-{day}"
    if hours is None:
        return date
    return f"{date}T{hours}:{minutes}" + (f":{seconds}" if seconds else "") + (zone[0] or "" if zone else "")


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        datetime(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def parse_rfc3339(value: object) -> int:
    """The ms since 1970 of a full RFC 3339 text, which has seconds and a zone. Otherwise `TimeInvalid`."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return _within_range(_instant(value))
    raise TimeInvalid("must be an RFC 3339 time such as 2026-06-14T12:00:00.000Z")


def _instant(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return _instant_in_rare_form(text.upper())
    return _since_1970(at)


def _instant_in_rare_form(text: str) -> int:
    """A lower-case zone, or a leap second: the standard library reads neither."""
    leap = text[16:19] == ":60"
    try:
        at = datetime.fromisoformat(text[:16] + ":59" + text[19:] if leap else text)
    except ValueError:
        raise TimeInvalid("is not a time that exists") from None
    ms = _since_1970(at)
    if not leap:
        return ms
    if (ms // 1000 + 1) * 1000 % DAY_MS:
        raise TimeInvalid("has a 60th second, which only the last minute of a day in UTC can have")
    return ms + 1000


def _since_1970(at: datetime) -> int:
    return (at - (_EPOCH if at.tzinfo is not None else _EPOCH_WITHOUT_ZONE)) // _MILLISECOND


def counted(number: int | float | Decimal) -> int:
    """The ms since 1970 of a number that is known to count seconds or milliseconds, however small. `TimeInvalid`."""
    if isinstance(number, float):
        if not math.isfinite(number):
            raise TimeInvalid("is not a number that counts to a time")
        number = Decimal(repr(number))
    return _from_number(number)


def _of_number(number: int | Decimal) -> Moment:
    if number == int(number) and (day := _extended(str(int(number)))) is not None:
        return Moment(_within_range(_instant(day)), len(day) > 10)
    if -SECONDS_FROM < number < SECONDS_FROM:
        raise TimeInvalid(
            "is a number that may be a day, a serial of a spreadsheet or seconds since 1970: give ISO 8601 text such "
            f"as 2026-06-14T12:00:00Z, or seconds since 1970 from {SECONDS_FROM:,} (March 1973) on"
        )
    return Moment(_from_number(number), True)


def _from_number(number: int | Decimal) -> int:
    if -SECONDS_BELOW < number < SECONDS_BELOW:
        number *= 1000
    return _within_range(math.floor(number))


def _within_range(ms: int) -> int:
    if EARLIEST <= ms <= LATEST:
        return ms
    raise TimeInvalid("is before the year 1900 or after the year 2299")


def rfc3339(ms: int) -> str:
    """A time as text, with milliseconds and a Z."""
    return (_EPOCH_WITHOUT_ZONE + ms * _MILLISECOND).isoformat(timespec="milliseconds") + "Z"
