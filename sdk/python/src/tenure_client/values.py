"""Python values as JSON: what JSON lacks becomes the nearest that it has, and the rest is an error at the call."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from tenure_client.errors import InvalidEvent

MAX_DEPTH = 60
"""Levels of arrays and objects in one field; the server takes 64 in a request."""

Json = str | int | float | bool | dict[str, "Json"] | list["Json"] | None


def rfc3339(moment: datetime) -> str:
    """In UTC with milliseconds; a time without a zone is taken as UTC."""
    zoned = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    return zoned.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def well_formed(text: str) -> str:
    """`text` with U+FFFD for unpaired surrogates, which UTF-8 does not have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _finite(number: float | Decimal) -> float | None:
    return float(number) if math.isfinite(number) else None


# Looked through in this order: a bool is an int, a datetime is a date.
PLAIN: tuple[tuple[type | tuple[type, ...], Callable[[Any], Json]], ...] = (
    ((bool, type(None)), lambda value: value),
    (str, well_formed),
    (int, int),
    ((float, Decimal), _finite),
    (datetime, rfc3339),
    (date, date.isoformat),
    (UUID, str),
)


def to_json(value: object, where: str, depth: int = 1) -> Json:
    """`value` made of what JSON has; `where` names it in errors. Raises `InvalidEvent`."""
    if isinstance(value, Enum):
        value = value.value
    for kinds, convert in PLAIN:
        if isinstance(value, kinds):
            return convert(value)
    if depth > MAX_DEPTH:
        raise InvalidEvent(f"{where} has more than {MAX_DEPTH} levels, or contains itself.")
    if isinstance(value, dict):
        return {_name(key, where): to_json(item, where, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item, where, depth + 1) for item in value]
    raise InvalidEvent(f"{where} holds a {type(value).__name__}, which has no form in JSON; convert it first.")


def _name(key: object, where: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return well_formed(key)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise InvalidEvent(f"{where} has a {type(key).__name__} as a key; keys of JSON objects are text.")
