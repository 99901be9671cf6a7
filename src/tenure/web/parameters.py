"""Query parameters that several questions share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from tenure.errors import BadRequest
from tenure.wire import times

AsOf = Annotated[
    str | None, Query(description="Answer from what had been received by the end of this millisecond (ISO 8601)")
]


def moment(field: str, text: str | None) -> int | None:
    """A time in milliseconds since 1970 UTC. Raises BadRequest."""
    if text is None:
        return None
    try:
        return times.parse(text).ms
    except times.TimeInvalid as error:
        raise BadRequest(f"{field} {error}", field=field, code="invalid_parameter") from None
