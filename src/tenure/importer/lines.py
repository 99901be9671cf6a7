"""The lines of a text file, gzip or not, with a bound on the memory that any one of them can take."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

from tenure.errors import ImportInvalid
from tenure.importer.row import Damaged

MAX_LINE = 16 * 1024 * 1024
"""Bytes of a line, or of a CSV row over several lines, that are read at the most."""
_GZIP = b"\x1f\x8b"


class Line(NamedTuple):
    """One line with its line break. `whole` is False when it is longer than MAX_LINE and was cut there."""

    number: int
    data: bytes
    whole: bool


class LineFile:
    """A text file, open for reading from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._raw = path.open("rb")
        start = self._raw.peek(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ImportInvalid(f"{path} is UTF-16; save it as UTF-8")
        zipped = start.startswith(_GZIP)
        self._text: BufferedIOBase = gzip.GzipFile(fileobj=self._raw) if zipped else self._raw

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
