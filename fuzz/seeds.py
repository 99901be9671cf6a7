"""Where fuzzing starts: the golden bodies, and the words that they are made of."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

from tests.wire.mutation import INTERESTING, field_names, golden

from fuzz.targets import ENCODINGS, OPERATIONS
from tenure.wire import registry

SMALL = 8_192
"""Bytes of the largest seed: what is in a larger one is in these too."""


def seeds(target: str) -> list[bytes]:
    """Inputs of a target that reach what it is about."""
    bodies = [(path, headers, body) for path, headers, body, _ in golden() if len(body) <= SMALL]
    if target in OPERATIONS:
        return [
            bytes([OPERATIONS[target].index(operation), at % 256]) + body
            for at, (path, headers, body) in enumerate(bodies)
            if (operation := _of(path, headers)) in OPERATIONS[target]
        ]
    if target == "times":
        return [value.encode() for value in INTERESTING if isinstance(value, str) and value.isascii()] + [
            json.dumps(value).encode() for value in INTERESTING if isinstance(value, int | float)
        ]
    if target == "bodies":
        packed = [(1, gzip.compress(b"{}") * 2), (3, zlib.compress(b"[]")), (3, b"\x03\x00"), (0, b"{}"),
                  (0, b"9" * 5_000), (4, bytes.fromhex("28b52ffd0402110000 7b7d".replace(" ", "")))]  # fmt: skip
        return [bytes([at % len(ENCODINGS), 7]) + raw for at, raw in packed]
    if target == "paths":
        return [path.encode() + b"\0" + body for path, _, body in bodies]
    if target == "signatures":
        return [b"sk_live_abc\nuser_1\n" + b"0123456789abcdef" * 4]
    return [body for _, _, body in bodies]


def write_seeds(target: str, directory: Path) -> None:
    """The seeds as files, as libFuzzer takes them."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        directory.joinpath(f"seed-{number:03d}").write_bytes(seed)


def write_dictionary(file: Path) -> None:
    """Field names, values and path segments as tokens for the mutations."""
    values = [json.dumps(value) for value in INTERESTING if len(str(value)) <= 64]
    words = [json.dumps(name) for name in field_names()] + values + list(registry.ALL_PATHS)
    words += ["NaN", "-Infinity", "1e400", r"\ud800", "\ufeff", "23:59:60"]
    lines = {'"' + "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "replace")) + '"' for word in words}
    file.write_text("\n".join(sorted(lines)) + "\n")


def _of(path: str, headers: dict[str, str]) -> object:
    """The operation at a path as it stands in the registry, which `find` may have bound to the path."""
    found = registry.find(path, headers)
    assert found is not None
    return next(operation for operation in registry.ALL if (operation.path, operation.dialect) == (
        found.path, found.dialect))  # fmt: skip
