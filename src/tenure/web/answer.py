"""How the read API answers: JSON that no cache keeps, and one shape of error."""

from __future__ import annotations

import msgspec
from fastapi import Response

from tenure.errors import Refused


def json_response(value: msgspec.Struct) -> Response:
    """200 with a struct as JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json", headers={"Cache-Control": "no-store"})


def error_response(error: Refused) -> Response:
    """`{"error", "message"}` and the `field` where it is known, with the headers that belong to the status."""
    body: dict[str, str] = {"error": error.code, "message": error.message}
    if error.field is not None:
        body["field"] = error.field
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), error.status, headers, "application/json")
