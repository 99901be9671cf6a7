"""Reads a request's body from ASGI and inflates it, never holding more than the limit."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from tenure.errors import BadRequest, TooLarge, Unavailable, UnsupportedEncoding

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

READ_SECONDS = 30
"""How long a client may take to send a body."""

MAX_MEMBERS = 64
"""Compressed streams that may follow each other in one body: each costs a copy of what is left of it."""

MAX_LENGTH_DIGITS = 19
"""Digits of a Content-Length that is read: Python refuses to convert one of thousands."""

Receive = Callable[[], Any]
Received = TypeVar("Received")


class ClientGone(Exception):
    """The body ended before it was complete: the client closed the connection, or broke off between two chunks."""


class BodyReader:
    """Reads bodies on one event loop, and gives up on clients that take too long.

    One look at all waits a second, instead of a timer for each, since nearly every body is there at once.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._since: dict[asyncio.Task[Any] | None, float] = {}
        self._given_up: set[asyncio.Task[Any]] = set()

    async def read(self, headers: Mapping[str, str], receive: Receive, max_bytes: int) -> bytes:
        """The body, inflated.

        Raises TooLarge, UnsupportedEncoding, BadRequest (not what Content-Encoding says), Unavailable (too slow:
        a retry can succeed), ClientGone.
        """
        if _is_too_long(headers, max_bytes):
            raise _too_large(max_bytes)
        raw = await self._in_time(_receive_all(receive, max_bytes))
        inflate = _INFLATERS.get(headers.get("content-encoding", "").strip().lower())
        if inflate is None:
            message = "Content-Encoding must be gzip, deflate, zstd or identity"
            raise UnsupportedEncoding(message, field="Content-Encoding")
        return inflate(raw, max_bytes)

    async def discard(self, headers: Mapping[str, str], receive: Receive, max_bytes: int) -> None:
        """Read a body of up to the limit and keep nothing of it.

        A refusal that is sent earlier can get lost: the server closes a connection on which a body is still arriving,
        and a client that is still sending then sees a network fault. One that waits for 100 Continue has sent none, and
        must not be told to. Raises Unavailable (too slow).
        """
        if "expect" not in headers and not _is_too_long(headers, max_bytes):
            await self._in_time(_receive_none(receive, max_bytes))

    async def _in_time(self, receiving: Coroutine[Any, Any, Received]) -> Received:
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        self._since[task] = loop.time()
        try:
            return await receiving
        except asyncio.CancelledError:
            if task is None or task not in self._given_up:
                raise
            task.uncancel()
            message = f"the body did not arrive within {READ_SECONDS} s"
            raise Unavailable(message, code="slow_body") from None
        finally:
            del self._since[task]
            self._given_up.discard(task)

    def give_up_on_the_slow(self) -> None:
        """End the waits that have lasted too long; to be called about once a second."""
        if self._loop is None:
            return
        for task, since in list(self._since.items()):
            if task is not None and self._loop.time() - since > READ_SECONDS:
                self._given_up.add(task)
                task.cancel()


async def _receive_all(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


async def _receive_none(receive: Receive, max_bytes: int) -> None:
    size = 0
    while size <= max_bytes:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _is_too_long(headers: Mapping[str, str], max_bytes: int) -> bool:
    """Whether the body says of itself that it is over the limit."""
    length = headers.get("content-length", "")
    return length.isdecimal() and (len(length) > MAX_LENGTH_DIGITS or int(length) > max_bytes)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...

    @property
    def unused_data(self) -> bytes: ...


def _identity(raw: bytes, _: int) -> bytes:
    return raw


def _gzip(raw: bytes, max_bytes: int) -> bytes:
    return _inflate(raw, max_bytes, lambda _: zlib.decompressobj(wbits=31), "gzip")


def _deflate(raw: bytes, max_bytes: int) -> bytes:
    # RFC 9110 means the zlib format by "deflate"; some clients send the bare stream.
    def start(data: bytes) -> _Decompressor:
        is_zlib = len(data) >= 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
        return zlib.decompressobj(wbits=15 if is_zlib else -15)

    return _inflate(raw, max_bytes, start, "deflate")


def _zstd(raw: bytes, max_bytes: int) -> bytes:
    return _inflate(raw, max_bytes, lambda _: ZstdDecompressor(), "zstd")


def _inflate(raw: bytes, max_bytes: int, start: Callable[[bytes], _Decompressor], name: str) -> bytes:
    """All members of a compressed body, one after the other, each allowed what is left of the limit."""
    parts: list[bytes] = []
    left = max_bytes + 1
    try:
        while raw:
            if len(parts) == MAX_MEMBERS:
                raise BadRequest(f"the body has over {MAX_MEMBERS} {name} streams", code="invalid_encoding")
            stream = start(raw)
            part = stream.decompress(raw, left)
            parts.append(part)
            left -= len(part)
            if left <= 0:
                raise _too_large(max_bytes)
            if not stream.eof:
                raise BadRequest(f"the body ends in the middle of its {name} stream", code="invalid_encoding")
            raw = stream.unused_data
    except (zlib.error, ZstdError) as error:
        raise BadRequest(f"the body is not {name}, as Content-Encoding says", code="invalid_encoding") from error
    return b"".join(parts)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"the body is over the limit of {max_bytes:,} bytes; split the batch")


_INFLATERS: dict[str, Callable[[bytes, int], bytes]] = {
    "": _identity,
    "identity": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
