"""How the read API answers: JSON that no cache keeps, and one shape of error."""

from __future__ import annotations

import msgspec
from fastapi import Response

from tenure.customers.customer import Customer, spelled
from tenure.errors import Ambiguous, Refused


def json_response(value: msgspec.Struct) -> Response:
    """200 with a struct as JSON."""
    return _response(msgspec.json.encode(value))


def about(customer: Customer, value: msgspec.Struct) -> Response:
    """The same about one customer. Where others have the id that was asked for, `also` names it for each of them."""
    body = msgspec.json.encode(value)
    if customer.also:
        also = msgspec.json.encode([spelled(other) for other in customer.also])
        body = body[:-1] + (b"," if len(body) > 2 else b"") + b'"also":' + also + b"}"
    return _response(body)


def _response(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def error_response(error: Refused) -> Response:
    """`{"error", "message"}`, the details that it has and the `field` where it is known, with the headers that belong
    to the status."""
    body: dict[str, object] = {"error": error.code, "message": error.message, **error.details}
    if error.field is not None:
        body["field"] = error.field
    if isinstance(error, Ambiguous):
        body["customers"] = error.customers
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), error.status, headers, "application/json")
