"""Parquet, read a small batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tenure.errors import BadRequest, ImportInvalid
from tenure.importer.row import INVALID_ROW, Damaged, Row
from tenure.importer.values import plain

BATCH_ROWS = 1_000


class ParquetFile:
    """A Parquet file."""

    unit = "row"
    numeric_text = False

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
        except (pa.ArrowException, OSError) as error:
            raise ImportInvalid(f"{path} is not a Parquet file that can be read: {error}") from error
        self._schema = pa.schema([pa.field(field.name, _microseconds(field.type)) for field in self._file.schema_arrow])
        self._read = 0
        self.columns: list[str] = self._schema.names
        doubled = {column for column in self.columns if self.columns.count(column) > 1}
        if doubled:
            raise ImportInvalid(f"{path} has more than one column {', '.join(sorted(doubled))}")

    @property
    def fraction(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        total = self._file.metadata.num_rows
        return self._read / total if total else 1.0

    def rows(self, skip: int) -> Iterator[Row]:
        """Every row after the first `skip`. Groups of rows that are skipped whole are not read."""
        groups, self._read = self._groups_after(skip)
        try:
            for batch in self._file.iter_batches(BATCH_ROWS, row_groups=groups):
                wanted = batch.slice(max(0, skip - self._read))
                first = self._read + len(batch) - len(wanted)
                self._read += len(batch)
                yield from self._rows(wanted, first)
        except (pa.ArrowException, OSError) as error:
            raise Damaged(f"{self._path} cannot be read after row {self._read}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _groups_after(self, skip: int) -> tuple[list[int], int]:
        """The groups that hold rows after the first `skip`, and how many rows come before them."""
        before, group = 0, 0
        while group < self._file.num_row_groups and before + self._file.metadata.row_group(group).num_rows <= skip:
            before += self._file.metadata.row_group(group).num_rows
            group += 1
        return list(range(group, self._file.num_row_groups)), before

    def _rows(self, batch: pa.RecordBatch, first: int) -> Iterator[Row]:
        """The rows of a batch. When one has a value that Python cannot hold, the others are read all the same."""
        try:
            found = _values(batch, self._schema)
        except (pa.ArrowException, OverflowError, ValueError) as error:
            if len(batch) == 1:
                fault = BadRequest(f"it has a value that cannot be read: {error}.", code=INVALID_ROW)
                yield Row(first + 1, {}, fault)
            else:
                for index in range(len(batch)):
                    yield from self._rows(batch.slice(index, 1), first + index)
            return
        for number, values in enumerate(found, first + 1):
            yield Row(number, values)


def _values(batch: pa.RecordBatch, schema: pa.Schema) -> list[dict[str, object]]:
    rows: list[dict[str, Any]] = pa.Table.from_batches([batch]).cast(schema, safe=False).to_pylist()
    return [{column: found for column, value in row.items() if (found := plain(value)) is not None} for row in rows]


def _microseconds(kind: pa.DataType) -> pa.DataType:
    """The same type with times no finer than Python can hold."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz) if kind.unit == "ns" else kind
    if pa.types.is_duration(kind):
        return pa.duration("us")
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _microseconds(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_microseconds(kind.value_type))
    return kind
