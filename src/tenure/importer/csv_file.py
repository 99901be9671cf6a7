"""CSV, and columns separated by spaces.

A quote that is never closed would swallow all rows after it. So when a row that spans several lines turns
out to be wrong, only its first line is refused, and reading goes on at its second.

Where nobody says what separates the cells, a first line `sep=;`, as Excel writes it, does; otherwise the character of
`SEPARATORS` that the header has most of. Blanks after a separator, and empty cells after the last column, are nothing.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from tenure.errors import BadRequest, ImportInvalid
from tenure.importer.lines import MAX_LINE, Line, LineFile
from tenure.importer.row import INVALID_ENCODING, INVALID_ROW, Damaged, Layout, Row
from tenure.wire import codes

WHITESPACE = "whitespace"
"""The delimiter that stands for any number of spaces and tabs; there are no quotes then."""
SEPARATORS = ",;\t|"
"""What separates cells by itself, likeliest first."""

_SAID = re.compile(rb'"?sep=(.)"?\s*', re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r'"[^"]*"')


class CsvFile:
    """A CSV file. Its first row names the columns, unless `columns` does."""

    def __init__(self, path: Path, *, delimiter: str | None = None, columns: Sequence[str] | None = None) -> None:
        self._path = path
        self._file = LineFile(path)
        try:
            said, lines = _separator(self._file.lines(), sniffed=columns is None)
        except Damaged as error:
            raise _without_header(path, error) from error
        self._lines = _RowLines(lines)
        self._cells = _cells(self._lines, delimiter or said)
        self._named = 0
        """Columns up to the last one that has a name: a row may lack the cells of the others."""
        self.columns = columns if columns is not None else self._header()
        self._named = self._named or len(self.columns)
        doubled = {column for column in self.columns if self.columns.count(column) > 1}
        if doubled:
            raise ImportInvalid(f"{path} has more than one column {', '.join(sorted(doubled))}")

    @property
    def layout(self) -> Layout:
        """Its columns; all cells are text."""
        return Layout("line", self.columns, numeric_text=True)

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
            raise _without_header(self._path, error) from error
        if cells is None:
            raise ImportInvalid(f"{self._path} is empty: there is not even a header")
        names = [cell.strip() for cell in cells]
        self._named = max((number for number, name in enumerate(names, 1) if name), default=0)
        return [name or f"column_{number}" for number, name in enumerate(names, 1)]

    def _row(self) -> Row | None:
        columns = self.columns
        try:
            cells = self._next_cells()
            if cells is None:
                return None
            if not self._named <= len(cells) <= len(columns) and not _is_filled_up(cells, len(columns)):
                message = f"it has {len(cells)} cells, and there are {len(columns)} columns."
                raise BadRequest(message, code=INVALID_ROW)
        except BadRequest as fault:
            self._lines.give_back()
            first = self._lines.taken[0]
            return Row(first.number, {}, fault, first.data.decode(errors="replace"))
        values: dict[str, object] = {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
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


def _without_header(path: Path, error: Exception) -> ImportInvalid:
    return ImportInvalid(f"{path} has no header that can be read: {error}")


def _is_filled_up(cells: list[str], columns: int) -> bool:
    """Whether a row has a cell for each column, and then empty ones, as spreadsheets write them."""
    return len(cells) > columns and not any(cells[columns:])


def _separator(lines: Iterator[Line], *, sniffed: bool) -> tuple[str, Iterator[Line]]:
    """What separates the cells as far as the file tells, and the lines that hold rows. Raises Damaged."""
    first = next(lines, None)
    if first is None:
        return SEPARATORS[0], iter(())
    if said := _SAID.fullmatch(first.data):
        return said[1].decode(errors="replace"), lines
    unquoted = _QUOTED.sub("", first.data.decode(errors="replace")) if sniffed else ""
    return max(SEPARATORS, key=unquoted.count), chain([first], lines)


def _cells(lines: _RowLines, delimiter: str) -> Iterator[list[str]]:
    if delimiter == WHITESPACE:
        return map(str.split, lines)
    csv.field_size_limit(MAX_LINE)
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=delimiter != " ")


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
