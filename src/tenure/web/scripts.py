"""The browser scripts: `/tenure.js`, `/churnkey.js` and their types, joined and compressed once."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import FastAPI, Request, Response

from tenure import __version__

SOURCES = resources.files("tenure.web").joinpath("static", "browser")
CACHE_SECONDS = 3_600

_JAVASCRIPT = "text/javascript; charset=utf-8"
_TYPESCRIPT = "application/typescript; charset=utf-8"
_COMMENT_STARTS = ("//", "/*", "*")


@dataclass(frozen=True)
class File:
    """A file as it is served: plain and gzipped bytes, media type and entity tag."""

    plain: bytes
    gzipped: bytes
    media_type: str
    etag: str

    @classmethod
    def of(cls, text: str, media_type: str) -> File:
        """The file with this text."""
        plain = text.encode()
        # Weak, because both encodings have the same tag.
        etag = f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"'
        return cls(plain, gzip.compress(plain, 9, mtime=0), media_type, etag)


def add(api: FastAPI) -> None:
    """Add the routes, for GET and HEAD."""
    _add(api, "/tenure.js", File.of(joined("queue.js", "tenure.js"), _JAVASCRIPT))
    _add(api, "/churnkey.js", File.of(joined("queue.js", "churnkey.js"), _JAVASCRIPT))
    _add(api, "/tenure.d.ts", File.of(_read("tenure.d.ts"), _TYPESCRIPT))


def joined(*names: str) -> str:
    """The sources in one function that runs at once, without comments and indentation.

    A line that begins with `//`, `/*` or `*` is a comment in the sources, and none ends within a string.
    """
    lines = [line.strip() for name in names for line in _read(name).splitlines()]
    code = [line for line in lines if line and not line.startswith(_COMMENT_STARTS)]
    head = f"/* Tenure {__version__}, Apache-2.0 */"
    return "\n".join([head, "(function () {", "'use strict';", *code, "})();", ""])


def _read(name: str) -> str:
    return SOURCES.joinpath(name).read_text(encoding="utf-8")


def _add(api: FastAPI, path: str, file: File) -> None:
    headers = {
        "Access-Control-Allow-Origin": "*",
        "Cache-Control": f"public, max-age={CACHE_SECONDS}",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
    }

    async def serve(request: Request) -> Response:
        if _has(request, file.etag):
            return Response(status_code=304, headers=headers)
        if _takes_gzip(request):
            return Response(file.gzipped, headers={**headers, "Content-Encoding": "gzip"}, media_type=file.media_type)
        return Response(file.plain, headers=headers, media_type=file.media_type)

    api.add_route(path, serve, methods=["GET", "HEAD"], include_in_schema=False)


def _has(request: Request, etag: str) -> bool:
    """Whether the sender has this version. Proxies that compress may have changed the tag's weakness."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _takes_gzip(request: Request) -> bool:
    for offer in request.headers.get("Accept-Encoding", "").lower().split(","):
        coding, _, weight = offer.replace(" ", "").partition(";q=")
        if coding in ("gzip", "*"):
            return weight.strip("0.") != "" or weight == ""
    return False
