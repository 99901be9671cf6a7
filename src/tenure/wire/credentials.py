"""Reading keys out of a request's headers. Header names are in lower case here."""

from __future__ import annotations

from collections.abc import Mapping

from tenure.errors import Unauthenticated
from tenure.wire.dialect import Credentials


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The header's text without surrounding spaces; None when absent or blank."""
    return headers.get(name, "").strip() or None


def api_key_or_bearer(headers: Mapping[str, str]) -> Credentials:
    """The key in `X-API-Key`, or else in `Authorization: Bearer`; `Unauthenticated` when neither has one."""
    key = header(headers, "x-api-key")
    if key is not None:
        return Credentials(key)
    authorization = header(headers, "authorization")
    if authorization is None:
        raise Unauthenticated("No API key: set the header X-API-Key, or Authorization to Bearer and the key.")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The header Authorization must be the word Bearer, a space and the API key.")
    return Credentials(token.strip())
