"""The lines of a text file, gzip or not, with a bound on the memory that any one of them can take."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase, BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, NamedTuple

from tenure.errors import ImportInvalid
from tenure.importer.row import Damaged

MAX_LINE = 16 * 1024 * 1024
"""Bytes of a line, or of a CSV row over several lines, that are read at the most."""
_GZIP = b"\x1f\x8b"
_LOOK_AHEAD = 64 * 1024
"""Bytes in which the kind of line ends shows."""


class Line(NamedTuple):
    """One line with its line break. `whole` is False when it is longer than MAX_LINE and was cut there."""

    number: int
    data: bytes
    whole: bool


class _LineFeeds(RawIOBase):
    """A text whose lines end with a carriage return alone, as an old Macintosh wrote them, with line feeds instead."""

    def __init__(self, text: BufferedIOBase) -> None:
        self._text = text

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._text.read1(len(buffer)).replace(b"\r", b"\n")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._text.close()
        super().close()


class LineFile:
    """A text file, open for reading from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._raw = BufferedReader(path.open("rb", buffering=0), _LOOK_AHEAD)
        start = self._raw.peek(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ImportInvalid(f"{path} is UTF-16; save it as UTF-8")
        zipped = start.startswith(_GZIP)
        self._text: gzip.GzipFile | BufferedReader[Any] = gzip.GzipFile(fileobj=self._raw) if zipped else self._raw
        try:
            beginning = self._text.peek(_LOOK_AHEAD)
        except (EOFError, OSError, zlib.error):
            return  # `lines` says where it is damaged
        if b"\n" not in beginning and b"\r" in beginning[:-1]:
            self._text = BufferedReader(_LineFeeds(self._text), _LOOK_AHEAD)

    @property
    def fraction(self) -> float:
        """How much of the file, as it is on the disk, has been read: from 0 to 1."""
        return min(1.0, self._raw.tell() / self._size) if self._size else 1.0

    def lines(self) -> Iterator[Line]:
        """Every line, without a byte order mark. Raises Damaged where no more can be read."""
        number = 0
        try:
            while data := self._text.readline(MAX_LINE):
                number += 1
                whole = len(data) < MAX_LINE or data.endswith(b"\n")
                if not whole:
                    self._skip_line()
                if number == 1:
                    data = data.removeprefix(b"\xef\xbb\xbf")
                yield Line(number, data, whole)
        except (EOFError, OSError, zlib.error) as error:
            raise Damaged(f"{self._path} cannot be read after line {number}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        self._raw.close()

    def _skip_line(self) -> None:
        while data := self._text.readline(MAX_LINE):
            if data.endswith(b"\n"):
                return
