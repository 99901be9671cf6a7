"""Looks for texts in every byte under a data directory, in what ClickHouse has compressed too."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import lz4.block

from tests.harness import Server

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LZ4, _ZSTD = 0x82, 0x90
_CHECKSUM, _HEADER = 16, 9


def holders(server: Server, texts: Iterable[str]) -> dict[str, set[str]]:
    """By text: the files that hold it, those included that are deleted and that a process still has open."""
    wanted = {text: text.encode() for text in texts}
    found: dict[str, set[str]] = {}
    for name, content in [*_files(server.data), *_deleted(server)]:
        plain = content + b"".join(_decompressed(content))
        for text, sought in wanted.items():
            if sought in plain:
                found.setdefault(text, set()).add(name)
    return found


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    walked = os.walk(data)  # unlike `rglob` it goes on when a directory is removed meanwhile
    for path in sorted(Path(directory, name) for directory, _, names in walked for name in names):
        try:
            if path.is_file():
                yield str(path.relative_to(data)), path.read_bytes()
        except FileNotFoundError:
            continue  # removed meanwhile


def _deleted(server: Server) -> Iterator[tuple[str, bytes]]:
    for role, pid in (server.roles() if server.process is not None else {}).items():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
                if target.startswith(str(server.data)) and target.endswith(" (deleted)"):
                    yield f"{role}: {target}", descriptor.read_bytes()
            except OSError:
                continue  # closed meanwhile


def _decompressed(content: bytes) -> Iterator[bytes]:
    """The blocks of a file of ClickHouse: checksum, method, size, size of the content, compressed content."""
    at = 0
    while at + _CHECKSUM + _HEADER <= len(content):
        method = content[at + _CHECKSUM]
        sizes = content[at + _CHECKSUM + 1 : at + _CHECKSUM + _HEADER]
        size, plain_size = int.from_bytes(sizes[:4], "little"), int.from_bytes(sizes[4:], "little")
        if method not in (_LZ4, _ZSTD, 0x91, 0x02) or size < _HEADER or at + _CHECKSUM + size > len(content):
            return
        block = content[at + _CHECKSUM + _HEADER : at + _CHECKSUM + size]
        if method == _ZSTD:
            yield zstd.decompress(block)
        elif method == _LZ4:
            yield lz4.block.decompress(block, uncompressed_size=plain_size)
        at += _CHECKSUM + size
