"""CSV, and columns separated by spaces.

A quote that is never closed would swallow all rows after it. So when a row that spans several lines turns
out to be wrong, only its first line is refused, and reading goes on at its second.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from tenure.errors import BadRequest, ImportInvalid
from tenure.importer.lines import MAX_LINE, Line, LineFile
from tenure.importer.row import INVALID_ENCODING, INVALID_ROW, Damaged, Row
from tenure.wire import codes

WHITESPACE = "whitespace"
"""The delimiter that stands for any number of spaces and tabs; there are no quotes then."""


class CsvFile:
    """A CSV file. Its first row names the columns, unless `columns` does."""

    unit = "line"
    numeric_text = True

    def __init__(self, path: Path, *, delimiter: str = ",", columns: Sequence[str] | None = None) -> None:
        self._path = path
        self._file = LineFile(path)
        self._lines = _RowLines(self._file.lines())
        self._cells = _cells(self._lines, delimiter)
        self.columns = columns if columns is not None else self._header()
        doubled = {column for column in self.columns if self.columns.count(column) > 1}
        if doubled:
            raise ImportInvalid(f"{path} has more than one column {', '.join(sorted(doubled))}")

    @property
    def fraction(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._file.fraction

    def rows(self, skip: int) -> Iterator[Row]:
        """Every row after the first `skip`. Once only: the file is read from where it stands."""
        while (row := self._row()) is not None:
            if skip:
                skip -= 1
            else:
                yield row

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _header(self) -> list[str]:
        try:
            cells = self._next_cells()
        except (BadRequest, Damaged) as error:
            raise ImportInvalid(f"{self._path} has no header that can be read: {error}") from error
        if cells is None:
            raise ImportInvalid(f"{self._path} is empty: there is not even a header")
        return [cell.strip() or f"column_{number}" for number, cell in enumerate(cells, 1)]

    def _row(self) -> Row | None:
        columns = self.columns
        try:
            cells = self._next_cells()
            if cells is None:
                return None
            if len(cells) != len(columns):
                message = f"it has {len(cells)} cells, and there are {len(columns)} columns."
                raise BadRequest(message, code=INVALID_ROW)
        except BadRequest as fault:
            self._lines.give_back()
            first = self._lines.taken[0]
            return Row(first.number, {}, fault, first.data.decode(errors="replace"))
        values: dict[str, object] = {column: cell for column, cell in zip(columns, cells, strict=True) if cell}
        return Row(self._lines.taken[0].number, values)

    def _next_cells(self) -> list[str] | None:
        """The cells of the next row that is not blank; None at the end. Raises BadRequest and Damaged."""
        cells: list[str] = []
        while not cells:
            self._lines.begin_row()
            try:
                cells = next(self._cells)
            except StopIteration:
                return None
            except csv.Error as error:
                raise BadRequest(f"it is not CSV: {error}.", code=INVALID_ROW) from None
        if not self._lines.decoded:
            raise BadRequest("it is not UTF-8.", code=INVALID_ENCODING)
        return cells


def _cells(lines: _RowLines, delimiter: str) -> Iterator[list[str]]:
    if delimiter == WHITESPACE:
        return map(str.split, lines)
    csv.field_size_limit(MAX_LINE)
    return csv.reader(lines, delimiter=delimiter, strict=True)


class _RowLines:
    """Hands out lines, and remembers those of the present row so that they can be given back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()
        self._size = 0
        self.taken: list[Line] = []
        self.decoded = True

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self.taken.clear()
        self._size = 0
        self.decoded = True

    def give_back(self) -> None:
        """Let the lines after the first of this row be read again, as rows of their own."""
        self._again.extendleft(reversed(self.taken[1:]))

    def __iter__(self) -> _RowLines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        self._size += len(line.data)
        if self._size > MAX_LINE or not line.whole:
            raise BadRequest(f"it has more than {MAX_LINE} bytes.", code=codes.TOO_LONG)
        try:
            return line.data.decode()
        except UnicodeDecodeError:
            self.decoded = False
            return line.data.decode(errors="replace")
