"""JSONL: one JSON object on each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from tenure.errors import BadRequest
from tenure.importer.lines import MAX_LINE, Line, LineFile
from tenure.importer.row import Layout, Row
from tenure.wire import codes
from tenure.wire.json import MAX_DEPTH, parse

SAMPLE_LINES = 10_000
"""The columns are those of the first so many lines; one that comes later is taken by its name."""

_FAULTS = {
    codes.INVALID_JSON: "it is not JSON in UTF-8.",
    codes.TOO_DEEP: f"its JSON has more than {MAX_DEPTH} levels of arrays and objects.",
}


class JsonLinesFile:
    """A JSONL file. Its columns are the keys of its first `SAMPLE_LINES` lines."""

    def __init__(self, path: Path) -> None:
        sample = LineFile(path)
        try:
            self.layout = _layout(sample)
        finally:
            sample.close()
        self._file = LineFile(path)

    @property
    def fraction(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._file.fraction

    def rows(self, skip: int) -> Iterator[Row]:
        """Every row after the first `skip`. Once only: the file is read from where it stands."""
        for line in _filled(self._file.lines()):
            if skip:
                skip -= 1
            else:
                yield _row(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _layout(file: LineFile) -> Layout:
    """The keys in the order in which they come. Raises Damaged when not even the sample can be read."""
    found: dict[str, object] = {}
    first: dict[str, object] = {}
    number = 0
    for line in file.lines():
        number = line.number
        values = _row(line).values
        first = first or values
        found |= dict.fromkeys(values)
        if number == SAMPLE_LINES:
            break
    return Layout("line", list(found), complete=number < SAMPLE_LINES, sample=first)


def _filled(lines: Iterator[Line]) -> Iterator[Line]:
    return (line for line in lines if line.data and not line.data.isspace())


def _row(line: Line) -> Row:
    try:
        return Row(line.number, _object(line))
    except BadRequest as fault:
        message = _FAULTS.get(fault.code, fault.message)
        return Row(line.number, {}, BadRequest(message, code=fault.code), line.data.decode(errors="replace"))


def _object(line: Line) -> dict[str, object]:
    if not line.whole:
        raise BadRequest(f"it has more than {MAX_LINE} bytes.", code=codes.TOO_LONG)
    value = parse(line.data)
    if not isinstance(value, dict):
        raise BadRequest("it must be a JSON object.", code=codes.WRONG_TYPE)
    return cast(dict[str, object], value)
