"""What is fuzzed: functions of bytes that raise when something does not hold that must."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hmac
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.wire import invariants
from tests.wire.mutation import planted

from tenure.control.signing import signing_state, verifies
from tenure.errors import BadRequest, Refused, TooLarge
from tenure.ingest.body import BodyReader
from tenure.wire import registry, times
from tenure.wire.dialect import Operation
from tenure.wire.json import canonical, parse

Target = Callable[[bytes], None]

MARKER = "qZ7marker"
"""Planted into values; no message may hold it."""
LIMIT = 4_096
"""Bytes that a body may inflate to here: small, so that bombs are found quickly."""
ENCODINGS = ("", "gzip", "x-gzip", "deflate", "zstd", "identity", "br")

OPERATIONS: dict[str, list[Operation]] = {}
for _operation in registry.ALL:
    OPERATIONS.setdefault(_operation.dialect, []).append(_operation)


def dialect(operations: list[Operation]) -> Target:
    """Bodies of a dialect. Byte 0 chooses the operation, byte 1 the value that the marker is planted into."""

    def target(data: bytes) -> None:
        if len(data) < 2:
            return
        operation, body = operations[data[0] % len(operations)], data[2:]
        invariants.outcome(operation, body)
        try:
            value = parse(body)
        except Refused:
            return
        if MARKER.encode() not in body and planted(value, data[1], MARKER):
            invariants.outcome(operation, canonical(value).encode(), marker=MARKER)

    return target


def json_values(data: bytes) -> None:
    """What is read has one text, which reads back as the same value and as Python reads it."""
    try:
        value = parse(data)
    except BadRequest as refused:
        invariants.check_message(refused.message, refused.field, None)
        assert not _is_plain_json(data)
        return
    text = canonical(value)
    assert canonical(parse(text.encode())) == text
    assert _same(json.loads(text), value)
    if _is_plain_json(data):
        assert _same(json.loads(data), value)


def _is_plain_json(data: bytes) -> bool:
    """Whether Python reads it, and nothing in it is read otherwise here on purpose."""
    try:
        text = data.decode()
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_finite)
        canonical(value).encode()
    except (ValueError, RecursionError):
        return False
    return not re.search(r"\\u[dD][89a-fA-F]", text) and _depth(value) <= 64


def _refuse(_: str) -> None:
    raise ValueError


def _finite(literal: str) -> float:
    if len(literal) > 4_000 or math.isinf(float(literal)):
        raise ValueError
    return float(literal)


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        level = [child for node in level for child in (node.values() if isinstance(node, dict) else node)]
    return depth


def _same(one: Any, other: Any) -> bool:
    """Equal, and of equal types: to Python 1 is 1.0 and True."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other and str(one) == str(other)


def moments(data: bytes) -> None:
    """A time is read into its range and to the millisecond that it names, or refused with a sentence."""
    text = data.decode("utf-8", "replace")
    candidates: list[object] = [text]
    with contextlib.suppress(ValueError, RecursionError):
        candidates.append(json.loads(text))
    for value in candidates:
        try:
            moment = times.parse(value)
        except times.TimeInvalid as fault:
            assert isinstance(fault.args[0], str)
            _expect_no_strict_time(value)
            continue
        assert times.EARLIEST <= moment.ms <= times.LATEST
        assert times.parse(times.rfc3339(moment.ms)).ms == moment.ms
        assert times.parse_rfc3339(times.rfc3339(moment.ms)) == moment.ms
        if isinstance(value, str) and ":60" not in value and "-" in value[1:]:
            at = datetime.fromisoformat(value.upper())
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            assert (at - datetime(1970, 1, 1, tzinfo=UTC)) // times._MILLISECOND == moment.ms


def _expect_no_strict_time(value: object) -> None:
    try:
        times.parse_rfc3339(value)
    except times.TimeInvalid:
        return
    raise AssertionError("what is no time at all is one in the strict form")


def bodies(data: bytes) -> None:
    """A body of any bytes, in any encoding and any chunks, is inflated within the limit or refused.

    Byte 0 chooses the encoding, byte 1 the size of chunks; the bytes are taken as they are, and compressed.
    """
    if len(data) < 2:
        return
    encoding, size, raw = ENCODINGS[data[0] % len(ENCODINGS)], data[1] + 1, data[2:]
    try:
        inflated = _read({"content-encoding": encoding}, raw, size)
    except (TooLarge, Refused):
        pass
    else:
        assert len(inflated) <= LIMIT
        assert encoding or inflated == raw
    for name, packed in (("gzip", gzip.compress(raw)), ("deflate", zlib.compress(raw)), ("deflate", _bare(raw))):
        try:
            assert _read({"content-encoding": name}, packed, size) == raw
        except TooLarge:
            assert len(raw) > LIMIT or len(packed) > LIMIT
    with contextlib.suppress(TooLarge):
        _read({"content-length": raw.decode("latin-1")}, b"{}", size)


def _bare(raw: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(raw) + deflate.flush()


def _read(headers: dict[str, str], raw: bytes, size: int) -> bytes:
    """Reads a body through the reader, in chunks; drives the coroutine without a loop's overhead of its own."""
    chunks = iter([raw[at : at + size] for at in range(0, len(raw), size)] or [b""])

    async def receive() -> dict[str, Any]:
        chunk = next(chunks, None)
        return {"type": "http.disconnect"} if chunk is None else _message(chunk, chunks)

    return _LOOP.run_until_complete(BodyReader().read(headers, receive, LIMIT))


def _message(chunk: bytes, chunks: Iterator[bytes]) -> dict[str, Any]:
    return {"type": "http.request", "body": chunk, "more_body": chunks.__length_hint__() > 0}  # type: ignore[attr-defined]


_LOOP = asyncio.new_event_loop()


def paths(data: bytes) -> None:
    """Any path finds an operation or none, with or without a slash; what is in the path harms no body.

    The path ends at the first NUL byte, and a body follows.
    """
    raw, _, body = data.partition(b"\0")
    path = raw.decode("utf-8", "surrogateescape")
    found = registry.find(path, {})
    if found is None:
        return
    assert found.path in registry.ALL_PATHS
    slashed = registry.find(path.removesuffix("/") + "/", {"x-ck-api-key": ""})
    assert slashed is not None
    assert slashed.path == found.path
    invariants.outcome(found, body)


def signatures(data: bytes) -> None:
    """A text verifies exactly when it is the standard library's HMAC. Key, message and hash are lines of the data."""
    key, message, claimed = [*data.decode("utf-8", "surrogatepass" if data.isascii() else "replace").split("\n", 2),
                             "", "", ""][:3]  # fmt: skip
    right = hmac.new(key.encode(), message.encode(), "sha256").hexdigest()
    state = signing_state(key)
    assert verifies([state], message, right)
    assert verifies([state], message, claimed) is (claimed.lower() == right)
    assert not verifies([], message, right)


TARGETS: dict[str, Target] = {
    **{name: dialect(operations) for name, operations in OPERATIONS.items()},
    "json": json_values,
    "times": moments,
    "bodies": bodies,
    "paths": paths,
    "signatures": signatures,
}
