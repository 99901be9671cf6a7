"""What questions and changes are given: times in the query, and a JSON body."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from tenure.errors import BadRequest, TooLarge
from tenure.settings import MEBIBYTE
from tenure.wire import fields, times
from tenure.wire.json import parse

MAX_BODY = 5 * MEBIBYTE

AsOf = Annotated[str | None, Query(description="As known at this time (ISO 8601), by what had been received")]


def time_of(field: str, text: str | None) -> int | None:
    """Milliseconds since 1970 UTC of a parameter, None when it is absent. Raises BadRequest."""
    if text is None:
        return None
    try:
        return times.parse(text).ms
    except times.TimeInvalid as error:
        raise BadRequest(f"{field} {error}", field=field, code="invalid_parameter") from None


async def json_object(request: Request) -> dict[str, object]:
    """The body, which must be one JSON object. Raises BadRequest and TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge(f"the body has more than {MAX_BODY} bytes")
    return fields.whole_object(parse(bytes(body)))


Body = Annotated[dict[str, object], Depends(json_object)]
