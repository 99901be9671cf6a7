"""Receipt ids: UUIDv7 (RFC 9562) as 32 hex digits, so that they are unique and sort by the hybrid clock."""

from __future__ import annotations

import re
import secrets

from tenure import clock

PATTERN = re.compile(r"[0-9a-f]{32}")

_RANDOM_BITS, _FRACTION_BITS = 62, 12


def new() -> str:
    """A fresh receipt id."""
    return at(clock.current(), secrets.randbits(_RANDOM_BITS))


def in_order() -> str:
    """A fresh id of this form that sorts after all that were made so before."""
    return at(clock.now(), secrets.randbits(_RANDOM_BITS))


def at(microseconds: int, random: int = 0) -> str:
    """The receipt id of a reading of the hybrid clock; its 12 bits after the version hold the part of a millisecond."""
    milliseconds, rest = divmod(microseconds, 1_000)
    fraction = -(-(rest << _FRACTION_BITS) // 1_000)
    return f"{milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random:032x}"


def time_of(receipt: str) -> int:
    """The reading of the hybrid clock at which a receipt id was made, in microseconds."""
    number = int(receipt, 16)
    fraction = number >> 64 & (1 << _FRACTION_BITS) - 1
    return (number >> 80) * 1_000 + (fraction * 1_000 >> _FRACTION_BITS)


def is_receipt(text: str) -> bool:
    """Whether a text has the form of a receipt id."""
    return PATTERN.fullmatch(text) is not None


def seconds(text: str) -> float:
    """When a receipt was made, in seconds since 1970 UTC, to the millisecond."""
    return int(text[:12], 16) / 1_000
