"""Bodies as they come over the wire to a real server: encodings, sizes, chunks."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import cache

import httpx
import pytest
from backports import zstd

from tenure.wire.dialect import MAX_BYTES
from tests.connection import Connection, request
from tests.endpoints import Endpoint, Keys, every_endpoint
from tests.harness import Server

rule = pytest.mark.rule
Encode = Callable[[bytes], bytes]

TOO_LARGE = "the body is over the limit of 5,242,880 bytes; split the batch"


def bare_deflate(data: bytes) -> bytes:
    """The deflate stream without zlib's header and checksum."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@cache
def zeros(encode: Encode, size: int) -> bytes:
    """So many zero bytes, encoded."""
    return encode(bytes(size))


def two_members(encode: Encode) -> Encode:
    """The data in two streams, one after the other."""
    return lambda data: encode(data[:7]) + encode(data[7:])


ENCODINGS: dict[str, tuple[str, Encode]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "GZIP in upper case": ("GZIP", gzip.compress),
    "gzip of two members": ("gzip", two_members(gzip.compress)),
    "deflate": ("deflate", zlib.compress),
    "deflate without its header": ("deflate", bare_deflate),
    "zstd": ("zstd", zstd.compress),
    "zstd of two frames": ("zstd", two_members(zstd.compress)),
    "identity": ("identity", bytes),
}
proving_its_encoding = pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        pytest.param(name, encode, id=title, marks=() if name == "identity" else rule(name.lower().removeprefix("x-")))
        for title, (name, encode) in ENCODINGS.items()
    ],
)
COMPRESSED: list[tuple[str, Encode]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", bare_deflate),
    ("zstd", zstd.compress),
]
every_compression = pytest.mark.parametrize(("encoding", "encode"), COMPRESSED)


def post(
    server: Server, keys: Keys, endpoint: Endpoint, content: bytes | Iterator[bytes], encoding: str = ""
) -> httpx.Response:
    headers = endpoint.headers(keys) | ({"Content-Encoding": encoding} if encoding else {})
    return server.http.post(endpoint.path, headers=headers, content=content)


def check_success(endpoint: Endpoint, answer: httpx.Response) -> None:
    assert endpoint.is_success(answer.status_code, answer.content), answer.text


def check_error(endpoint: Endpoint, answer: httpx.Response, status: int, code: str, message: str, **place: str) -> None:
    assert (answer.status_code, answer.json()) == (status, endpoint.error(code, message, **place))


@every_endpoint
@proving_its_encoding
def test_compressed_body_is_the_same_request(
    server: Server, shared_keys: Keys, endpoint: Endpoint, encoding: str, encode: Encode
) -> None:
    """Each encoding is answered as the bare body is."""
    check_success(endpoint, post(server, shared_keys, endpoint, encode(endpoint.content(shared_keys)), encoding))


@rule("body-limit")
@rule("error-body")
@every_endpoint
def test_largest_body(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Exactly 5 MiB are taken, one byte more is 413."""
    check_success(endpoint, post(server, shared_keys, endpoint, endpoint.content(shared_keys).ljust(MAX_BYTES)))
    over = post(server, shared_keys, endpoint, endpoint.content(shared_keys).ljust(MAX_BYTES + 1))
    check_error(endpoint, over, 413, "too_large", TOO_LARGE)


@rule("inflated-limit")
@every_endpoint
@every_compression
def test_largest_inflated_body(
    server: Server, shared_keys: Keys, endpoint: Endpoint, encoding: str, encode: Encode
) -> None:
    """A few kilobytes that inflate to 5 MiB are taken, to one byte more is 413."""
    largest = endpoint.content(shared_keys).ljust(MAX_BYTES)
    check_success(endpoint, post(server, shared_keys, endpoint, encode(largest), encoding))
    over = post(server, shared_keys, endpoint, encode(largest + b" "), encoding)
    check_error(endpoint, over, 413, "too_large", TOO_LARGE)


@rule("inflated-limit")
@every_endpoint
@every_compression
def test_bomb(server: Server, shared_keys: Keys, endpoint: Endpoint, encoding: str, encode: Encode) -> None:
    """100 MB of nothing in a small body, in one member or in many, is 413."""
    for bomb in (zeros(encode, 100_000_000), zeros(encode, 1_000_000) * 6):
        check_error(endpoint, post(server, shared_keys, endpoint, bomb, encoding), 413, "too_large", TOO_LARGE)


@rule("corrupt-encoding")
@rule("error-body")
@every_endpoint
@every_compression
def test_corrupt_and_truncated(
    server: Server, shared_keys: Keys, endpoint: Endpoint, encoding: str, encode: Encode
) -> None:
    """A body that is not what it says, or ends too early, is 400 and says so."""
    encoded = encode(endpoint.content(shared_keys))
    for broken in (endpoint.content(shared_keys), b"\xff" * 40, encoded + b"garbage"):
        answer = post(server, shared_keys, endpoint, broken, encoding)
        message = f"the body is not {encoding}, as Content-Encoding says"
        if "ends in the middle" in answer.text:  # garbage that began as a stream could
            message = f"the body ends in the middle of its {encoding} stream"
        check_error(endpoint, answer, 400, "invalid_encoding", message)
    answer = post(server, shared_keys, endpoint, encoded[: len(encoded) // 2], encoding)
    message = f"the body ends in the middle of its {encoding} stream"
    check_error(endpoint, answer, 400, "invalid_encoding", message)


@rule("other-encodings")
@rule("error-body")
@every_endpoint
@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip, identity", "gzip,deflate", "compress", "gzip;q=1"])
def test_other_encodings(server: Server, shared_keys: Keys, endpoint: Endpoint, encoding: str) -> None:
    """Another encoding, or several, is 415 and says which ones are taken."""
    answer = post(server, shared_keys, endpoint, gzip.compress(endpoint.content(shared_keys)), encoding)
    message = "Content-Encoding must be gzip, deflate, zstd or identity"
    check_error(endpoint, answer, 415, "unsupported_encoding", message, field="Content-Encoding")


@rule("chunked")
@every_endpoint
def test_chunked_body(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """A body in chunks is taken, byte by byte and compressed too."""
    content = endpoint.content(shared_keys)
    check_success(endpoint, post(server, shared_keys, endpoint, (content[at : at + 1] for at in range(len(content)))))
    check_success(endpoint, post(server, shared_keys, endpoint, iter([gzip.compress(content)]), "gzip"))


@rule("chunked")
@rule("body-limit")
@every_endpoint
def test_chunked_body_over_the_limit(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """A body that does not announce its length is held to the limit as well."""
    over = endpoint.content(shared_keys).ljust(MAX_BYTES + 1)
    answer = post(server, shared_keys, endpoint, (over[at : at + 65_536] for at in range(0, len(over), 65_536)))
    check_error(endpoint, answer, 413, "too_large", TOO_LARGE)


@rule("chunked")
@every_endpoint
def test_chunked_body_in_pieces_on_the_wire(server: Server, shared_keys: Keys, endpoint: Endpoint) -> None:
    """Chunk extensions and trailers are read over, and the connection serves the next request."""
    content = endpoint.content(shared_keys)
    half = len(content) // 2
    chunks = b"%x;name=value\r\n%s\r\n%X\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (
        half, content[:half], len(content) - half, content[half:],
    )  # fmt: skip
    sent = request(endpoint.path, endpoint.headers(shared_keys) | {"Transfer-Encoding": "chunked"}, None) + chunks
    with Connection(server) as connection:
        for _ in range(2):
            connection.send(sent)
            answer = connection.answer()
            assert endpoint.is_success(answer.status, answer.body), answer
