"""Opens a file as the kind that it is."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec

from tenure.errors import ImportInvalid
from tenure.importer.csv_file import WHITESPACE, CsvFile
from tenure.importer.json_lines import JsonLinesFile
from tenure.importer.row import Source

CSV, JSONL, PARQUET = "csv", "jsonl", "parquet"
FORMATS = (CSV, JSONL, PARQUET)
_SUFFIXES = {
    ".csv": CSV, ".tsv": CSV, ".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET, ".pq": PARQUET,
}  # fmt: skip
_TAB = ("\\t", "tab")


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of a file's form; None: what its name tells."""

    format: str | None = None
    delimiter: str | None = None
    columns: tuple[str, ...] | None = None
    """The columns of a CSV file without a header."""


def open_file(path: Path, form: Form) -> Source:
    """The file, ready to read. Raises ImportInvalid when it cannot be, or is not what it is said to be."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImportInvalid(f"{path} is not a file")
        if path.stat().st_size == 0:
            raise ImportInvalid(f"{path} is empty")
        return _open(path, form)
    except OSError as error:
        raise ImportInvalid(f"cannot read {path}: {error.strerror}") from error


def _open(path: Path, form: Form) -> Source:
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    kind = form.format or _SUFFIXES.get(suffix)
    if kind not in FORMATS:
        raise ImportInvalid(f"cannot tell what {path} is; say so with --format ({', '.join(FORMATS)})")
    if kind == CSV:
        delimiter = form.delimiter or ("\t" if suffix == ".tsv" else None)
        return CsvFile(path, delimiter=None if delimiter is None else _delimiter(delimiter), columns=form.columns)
    if form.delimiter is not None or form.columns is not None:
        raise ImportInvalid(f"--delimiter and --no-header are for CSV; {path} is {kind}")
    if kind == JSONL:
        return JsonLinesFile(path)
    from tenure.importer.parquet_file import ParquetFile  # 50 MB that only it needs

    return ParquetFile(path)


def _delimiter(given: str) -> str:
    if given in _TAB:
        return "\t"
    if given == WHITESPACE or (len(given) == 1 and given not in '"\r\n'):
        return given
    raise ImportInvalid(f"--delimiter must be one character, \\t or {WHITESPACE}")
