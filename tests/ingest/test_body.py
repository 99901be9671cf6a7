"""Bodies are read and inflated within their limit, whatever a client sends."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from backports import zstd

from tenure.errors import BadRequest, TooLarge, Unavailable, UnsupportedEncoding
from tenure.ingest import body as module
from tenure.ingest.body import BodyReader, ClientGone

LIMIT = 10_000


def receiver(*chunks: bytes, disconnect: bool = False) -> Callable[[], Awaitable[Any]]:
    messages: list[Any] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if disconnect:
        messages.append({"type": "http.disconnect"})
    else:
        messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return messages.pop(0)

    return receive


def read(*chunks: bytes, encoding: str = "", length: str = "", disconnect: bool = False) -> bytes:
    headers = {"content-encoding": encoding, "content-length": length}
    return asyncio.run(BodyReader().read(headers, receiver(*chunks, disconnect=disconnect), LIMIT))


def bare_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_every_encoding_is_inflated(encoding: str) -> None:
    """gzip, deflate and zstd give the body that the client had; case and space do not matter."""
    assert read(ENCODERS[encoding](b"hello " * 20), encoding=encoding) == b"hello " * 20


def test_deflate_without_its_zlib_header_is_read() -> None:
    """Some clients send the bare stream by the name of deflate."""
    assert read(bare_deflate(b"hello"), encoding="deflate") == b"hello"


def test_chunks_and_members_are_joined() -> None:
    """A body may come in pieces, and a gzip body in several members."""
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    assert read(body[:5], body[5:], encoding="gzip") == b"one two"


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "zstd"])
def test_limit_holds_while_inflating(encoding: str) -> None:
    """A small body that inflates to much is refused without inflating all of it."""
    assert len(read(ENCODERS[encoding](b"x" * LIMIT), encoding=encoding)) == LIMIT
    with pytest.raises(TooLarge):
        read(ENCODERS[encoding](b"x" * (LIMIT + 1)), encoding=encoding)


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 5_000], ids=["by one", "by far"])
def test_announced_length_over_the_limit_is_refused_before_reading(length: str) -> None:
    """Nothing of a body that says itself too long is read."""
    with pytest.raises(TooLarge):
        read(disconnect=True, length=length)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_what_is_not_what_it_says_is_a_bad_request(encoding: str) -> None:
    """Garbage and truncated streams are the client's error, told as such."""
    with pytest.raises(BadRequest):
        read(b"{}", encoding=encoding)
    with pytest.raises(BadRequest):
        read(ENCODERS[encoding](b"hello " * 20)[:-6], encoding=encoding)


def test_many_tiny_members_are_refused() -> None:
    """A body of thousands of empty streams cannot keep the server busy."""
    with pytest.raises(BadRequest):
        read(gzip.compress(b"") * 40, gzip.compress(b"") * 40, encoding="gzip")


def test_unknown_encoding_is_named() -> None:
    """415 only for what no retry can mend."""
    with pytest.raises(UnsupportedEncoding):
        read(b"{}", encoding="br")


def test_client_that_goes_away_is_noticed() -> None:
    """An incomplete body is never decoded."""
    with pytest.raises(ClientGone):
        read(b"{", disconnect=True)


def test_client_that_sends_nothing_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come ends in a retryable refusal; one that is still within its time is left alone."""

    async def scenario() -> None:
        reader = BodyReader()

        async def never() -> Any:
            await asyncio.sleep(3_600)

        waiting = asyncio.create_task(reader.read({}, never, LIMIT))
        await asyncio.sleep(0)
        reader.give_up_on_the_slow()
        await asyncio.sleep(0)
        assert not waiting.done()
        monkeypatch.setattr(module, "READ_SECONDS", -1)
        reader.give_up_on_the_slow()
        with pytest.raises(Unavailable):
            await waiting

    asyncio.run(scenario())


def test_cancelling_a_read_from_outside_is_not_swallowed() -> None:
    """A server that stops can end its requests."""

    async def scenario() -> None:
        waiting = asyncio.create_task(BodyReader().read({}, lambda: asyncio.sleep(3_600), LIMIT))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(scenario())
