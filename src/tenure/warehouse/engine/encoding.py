"""Content-Encoding of request and response bodies: gzip, lz4 (frames) and zstd."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from typing import IO, Protocol, cast

import lz4.frame  # type: ignore[import-untyped]  # has no type information

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# In the order in which an encoding is picked for a response: on loopback the cheapest is the best.
ENCODINGS = ("lz4", "zstd", "gzip")


class Encoder(Protocol):
    """Feeds on a response, a chunk at a time."""

    def compress(self, data: bytes, /) -> bytes:
        """The next bytes of the encoded form; may be empty."""

    def flush(self) -> bytes:
        """The last bytes of the encoded form."""


class _Lz4Encoder:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameCompressor()
        self._header: bytes = self._frame.begin()

    def compress(self, data: bytes, /) -> bytes:
        header, self._header = self._header, b""
        return header + cast(bytes, self._frame.compress(data))

    def flush(self) -> bytes:
        return self._header + cast(bytes, self._frame.flush())


def encoder(encoding: str) -> Encoder:
    """An encoder for one of `ENCODINGS`."""
    if encoding == "lz4":
        return _Lz4Encoder()
    if encoding == "zstd":
        return zstd.ZstdCompressor(level=1)
    return zlib.compressobj(level=1, wbits=31)


def accepted(accept_encoding: str) -> str | None:
    """The encoding to answer with, given an Accept-Encoding header; None for as it is."""
    offered = {offer.split(";")[0].strip().lower() for offer in accept_encoding.split(",")}
    return next((encoding for encoding in ENCODINGS if encoding in offered), None)


def decoded(body: IO[bytes], encoding: str) -> IO[bytes]:
    """`body` without its encoding (one of `ENCODINGS`); reads a bounded amount at a time.

    Reading raises one of `DECODING_ERRORS` when the body is not what it says it is.
    """
    if encoding == "lz4":
        return cast(IO[bytes], lz4.frame.open(body, "rb"))
    if encoding == "zstd":
        return cast(IO[bytes], zstd.ZstdFile(body, "rb"))
    return cast(IO[bytes], gzip.GzipFile(fileobj=body, mode="rb"))


DECODING_ERRORS = (OSError, EOFError, RuntimeError, ValueError, zlib.error, zstd.ZstdError)


def encoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """`chunks` in `encoding`, one of `ENCODINGS`."""
    encode = encoder(encoding)
    for chunk in chunks:
        yield encode.compress(chunk)
    yield encode.flush()
