"""Small state files: written atomically and durably, with a checksum, and with the generation before beside them.

A file `x.json` has its generation before in `x.json.previous`. Who reads gets the newest one that is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from hashlib import blake2b
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from tenure.directories import sync_directory

T = TypeVar("T")

_HEADER = b"tenure-state-1 "
_DIGEST_BYTES = 16


class Generation(Enum):
    """Which content of a state file was read."""

    CURRENT = "current"
    PREVIOUS = "previous"
    """The current one is damaged, or it is missing while the previous one is there."""
    NONE = "none"
    """There is no file yet."""
    LOST = "lost"
    """There are files, and all of them are damaged."""


class State(NamedTuple, Generic[T]):
    """What a state file says; `value` is None when nothing whole was found."""

    value: T | None
    generation: Generation

    @property
    def is_damaged(self) -> bool:
        """Whether a file was damaged or missing."""
        return self.generation in {Generation.PREVIOUS, Generation.LOST}


def write(path: Path, body: bytes, *, durable: bool = True, keep_previous: bool = True) -> None:
    """Replace a state file. At a crash either the old or the new content is there. Raises OSError.

    Without `durable` a power cut may leave an older content, or a damaged one, which is seen when it is read.
    """
    temporary, previous = path.with_name(f"{path.name}.new"), _previous(path)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(_HEADER + _digest(body) + b"\n" + body)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    if keep_previous and path.exists():  # by a second name, so that readers find one of the two at any time
        linked = path.with_name(f"{path.name}.linked")
        linked.unlink(missing_ok=True)
        os.link(path, linked)
        linked.replace(previous)
    temporary.replace(path)
    if durable:
        sync_directory(path.parent)


def read(path: Path, decode: Callable[[bytes], T]) -> State[T]:
    """Read the newest whole generation of a state file.

    `decode` raises ValueError for what it cannot read. A file without a checksum, as older versions wrote it, counts as
    whole when `decode` takes it. Raises OSError when a file that is there cannot be read.
    """
    found = False
    for attempt, generation in ((path, Generation.CURRENT), (_previous(path), Generation.PREVIOUS)):
        try:
            content = attempt.read_bytes()
        except FileNotFoundError:
            continue
        found = True
        try:
            return State(decode(_checked(content)), generation)
        except ValueError:
            continue
    return State(None, Generation.LOST if found else Generation.NONE)


def sync_file(path: Path) -> None:
    """Make the content of a file durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).hexdigest().encode()


def _checked(content: bytes) -> bytes:
    """The body of a file. Raises ValueError when it does not match its checksum."""
    if not content.startswith(_HEADER):
        return content  # of an older version, or damaged in its header: then it is no JSON
    digest, _, body = content[len(_HEADER) :].partition(b"\n")
    if digest != _digest(body):
        raise ValueError("the checksum does not match")
    return body
