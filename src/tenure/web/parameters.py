"""Query parameters that several questions share."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from fastapi import Query
from pydantic import StringConstraints

from tenure.errors import BadRequest
from tenure.wire import times

AsOf = Annotated[
    str | None, Query(description="Answer from what had been received by the end of this millisecond (ISO 8601)")
]

CurrencyCode = Annotated[str, StringConstraints(to_upper=True, pattern="^[A-Za-z]{3}$")]
"""A currency, in either case."""


def moment(field: str, text: str | None) -> int | None:
    """A time in milliseconds since 1970 UTC. Raises BadRequest."""
    if text is None:
        return None
    try:
        return times.parse(text).ms
    except times.TimeInvalid as error:
        raise BadRequest(f"{field} {error}", field=field, code="invalid_parameter") from None


_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def day(field: str, text: str | None) -> date | None:
    """A day of the calendar from 1970 on. Raises BadRequest."""
    if text is None:
        return None
    try:
        found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None or found.year < 1970:
        raise BadRequest(
            f"{field} must be a day from 1970 on, such as 2026-01-31", field=field, code="invalid_parameter"
        )
    return found
