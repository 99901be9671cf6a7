"""One row of a file, and what a file gives its rows through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from tenure.errors import BadRequest, ImportInvalid

INVALID_ROW: Final = "invalid_row"
INVALID_ENCODING: Final = "invalid_encoding"
AMOUNT_NOT_EXACT: Final = "amount_not_exact"

SENTENCES: Final[dict[str, str]] = {
    INVALID_ROW: "A row of a file does not have the form of its kind, such as a quote that is never closed.",
    INVALID_ENCODING: "A row of a file is not UTF-8.",
    AMOUNT_NOT_EXACT: "An amount in units of a currency has more decimals than the currency.",
}
"""The reasons that only a file can give, beside those of `tenure.wire.codes`."""


class Row(NamedTuple):
    """One row: its values by column, those that are absent left out; or why it could not be read."""

    place: int
    """Number of its (first) line, or of the row where a file has no lines; from 1."""
    values: dict[str, object]
    fault: BadRequest | None = None
    text: str = ""
    """What stood there, when it could not be read."""


class Layout(NamedTuple):
    """What can be told of a file before its rows are read."""

    unit: str
    """What `Row.place` counts: `line` or `row`."""
    columns: Sequence[str]
    numeric_text: bool = False
    """Its values are all text, in which numbers are to be found."""
    complete: bool = True
    """No row has a column beside `columns`."""
    sample: Mapping[str, object] = {}
    """The values of the first row, where they help to tell what the file is."""


class Source(Protocol):
    """An open file of rows. `rows` raises `Damaged` at a point after which nothing can be read."""

    @property
    def layout(self) -> Layout:
        """What its rows are like."""

    @property
    def fraction(self) -> float:
        """How much of the file has been read, from 0 to 1."""

    def rows(self, skip: int) -> Iterator[Row]:
        """Every row after the first `skip`, in order; the same ones each time."""

    def close(self) -> None:
        """Close the file."""


class Damaged(ImportInvalid):
    """The rest of a file cannot be read. What came before has been taken."""
