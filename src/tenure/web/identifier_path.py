"""Identifiers in paths: any text, in which a slash that is sent as `%2F` ends no segment."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_SLASH = "\udc2f"
"""Stands for `%2F` until the route is found: no text in UTF-8 holds it."""


class _Identifier(Convertor[str]):
    regex = "(?s:.*)"  # newlines too

    def convert(self, value: str) -> str:
        return value.replace(_SLASH, "/")

    def to_string(self, value: str) -> str:
        return value


class _Segment(_Identifier):
    """An id that we gave: none has a NUL, which PostgreSQL would not even be asked for."""

    regex = r"[^/\0]+"


register_url_convertor("identifier", _Identifier())
register_url_convertor("str", _Segment())  # of every parameter that names no other: none is handed on with `_SLASH`
register_url_convertor("path", _Identifier())


class KeepSlashes:
    """Finds the route by the path in which encoded slashes are told from those between segments."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application within does."""
        raw = scope.get("raw_path", b"").split(b"?")[0]
        if b"%2f" in raw.lower():
            segments = (unquote(segment).replace("/", _SLASH) for segment in raw.decode("latin-1").split("/"))
            scope = {**scope, "path": "/".join(segments)}
        await self._app(scope, receive, send)
