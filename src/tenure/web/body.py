"""The JSON body of a change."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from tenure.errors import TooLarge
from tenure.settings import MEBIBYTE
from tenure.wire import fields
from tenure.wire.json import parse

MAX_BODY = 5 * MEBIBYTE


async def json_object(request: Request) -> dict[str, object]:
    """The body, which must be one JSON object. Raises BadRequest and TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge(f"the body has more than {MAX_BODY} bytes")
    return fields.whole_object(parse(bytes(body)))


Body = Annotated[dict[str, object], Depends(json_object)]
