"""Parquet, read a small batch at a time.

A few kilobytes of Parquet can stand for gigabytes: pages that compress well, and values or lists that repeat. So sizes
are looked at before anything is read, texts stay in their dictionary until a row needs them, and no batch becomes
Python objects that is larger than `BATCH_BYTES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.errors import BadRequest, ImportInvalid
from tenure.importer.lines import MAX_LINE
from tenure.importer.row import INVALID_ROW, Damaged, Layout, Row
from tenure.importer.values import plain
from tenure.wire import codes

BATCH_ROWS = 1_000
BATCH_BYTES = 64 * 1024 * 1024
"""Bytes of a batch that become Python objects together."""
MAX_RATIO = 200
"""How much larger a column of a row group may be than in the file, from `BATCH_BYTES` on."""
MAX_VALUES = 32_000_000
"""Values of one column within lists or structs, in one row group."""


class ParquetFile:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            texts = _texts(pq.read_metadata(path).schema)
            self._file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us", read_dictionary=texts)
        except (pa.ArrowException, OSError) as error:
            raise ImportInvalid(f"{path} is not a Parquet file that can be read: {error}") from error
        _check_sizes(path, self._file.metadata)
        self._schema = pa.schema([pa.field(field.name, _readable(field.type)) for field in self._file.schema_arrow])
        self._read = 0
        self.columns: list[str] = self._schema.names
        doubled = {column for column in self.columns if self.columns.count(column) > 1}
        if doubled:
            raise ImportInvalid(f"{path} has more than one column {', '.join(sorted(doubled))}")

    @property
    def layout(self) -> Layout:
        """Its columns, with their values in the first row."""
        first = next(self.rows(0), None)
        self._read = 0
        return Layout("row", self.columns, sample={} if first is None else first.values)

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
        if (size := _size(batch)) > BATCH_BYTES and len(batch) > 1:
            middle = len(batch) // 2
            yield from self._rows(batch.slice(0, middle), first)
            yield from self._rows(batch.slice(middle), first + middle)
            return
        if len(batch) == 1 and size > MAX_LINE:
            yield Row(first + 1, {}, BadRequest(f"it has more than {MAX_LINE} bytes.", code=codes.TOO_LONG))
            return
        try:
            found = _values(batch, self._schema)
        except (pa.ArrowException, LookupError, OverflowError, ValueError) as error:
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


def _texts(schema: pq.ParquetSchema) -> list[str]:
    """The paths of columns with texts and bytes, also of those within lists and structs."""
    columns = [schema.column(number) for number in range(len(schema))]
    return [
        column.path
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.logical_type.type != "DECIMAL"
    ]


def _check_sizes(path: Path, metadata: pq.FileMetaData) -> None:
    """Refuse what would take far more memory than the file suggests. Raises ImportInvalid."""
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            _check_size(path, group, metadata.row_group(group).column(index))


def _check_size(path: Path, group: int, column: pq.ColumnChunkMetaData) -> None:
    size, in_file = column.total_uncompressed_size, max(1, column.total_compressed_size)
    where = f"column {column.path_in_schema} of row group {group + 1}"
    if size > BATCH_BYTES and size > MAX_RATIO * in_file:
        message = f"{where} has {size:,} bytes that are {in_file:,} in the file"
        raise ImportInvalid(f"{path} would take too much memory: {message}; write it with smaller pages")
    if "." in column.path_in_schema and column.num_values > MAX_VALUES:
        message = f"{where} has {column.num_values:,} values, and {MAX_VALUES:,} are read at most"
        raise ImportInvalid(f"{path} would take too much memory: {message}; write smaller row groups")


def _size(batch: pa.RecordBatch) -> int:
    """Bytes of a batch once its texts are out of their dictionaries."""
    return sum(_column_size(column) for column in batch.columns)


def _column_size(column: pa.Array) -> int:
    kind = column.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(column.dictionary).take(column.indices) if _is_text(kind.value_type) else None
        return int(column.nbytes if lengths is None else pc.sum(lengths).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(_column_size(field) for field in column.flatten())
    if pa.types.is_map(kind):
        start, end = column.offsets[0].as_py(), column.offsets[-1].as_py()
        return sum(_column_size(part.slice(start, end - start)) for part in (column.keys, column.items))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _column_size(column.flatten())
    return int(column.nbytes)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _readable(kind: pa.DataType) -> pa.DataType:
    """The same type with times no finer than Python can hold, in zones that it knows."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us" if kind.unit == "ns" else kind.unit, _known_zone(kind.tz))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _readable(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_readable(kind.value_type))
    if pa.types.is_duration(kind):
        return pa.duration("us")
    return pa.time64("us") if pa.types.is_time64(kind) else kind


def _known_zone(zone: str | None) -> str | None:
    """The name of a zone; UTC, in which Parquet keeps all of these, where Python knows none by this name."""
    if zone is None:
        return None
    try:
        pa.lib.string_to_tzinfo(zone)
    except (pa.ArrowException, LookupError, ValueError):
        return "UTC"
    return zone
