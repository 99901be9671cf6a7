"""JSONL as it is found."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tenure.errors import ImportInvalid
from tenure.event import Event
from tenure.importer.open_file import Form
from tests.importer.rows import outcomes, take

GOOD = b'{"name": "e", "time": "2026-01-01T00:00:00Z", "customer": "%s"}'


def write(directory: Path, *lines: bytes) -> Path:
    file = directory / "rows.jsonl"
    file.write_bytes(b"\n".join(lines))
    return file


def test_each_line_by_itself(tmp_path: Path) -> None:
    """A line that is not one JSON object is refused with its number; the lines beside it are taken."""
    file = write(
        tmp_path, GOOD % b"a", b"[1, 2]", b"", b"{", b'"text"', b"null", b"\xff", b"[" * 70 + b"]" * 70, GOOD % b"b"
    )
    assert outcomes(take(file)) == [
        "a",
        "wrong_type: line 2: it must be a JSON object.",
        "invalid_json: line 4: it is not JSON in UTF-8.",
        "wrong_type: line 5: it must be a JSON object.",
        "wrong_type: line 6: it must be a JSON object.",
        "invalid_json: line 7: it is not JSON in UTF-8.",
        "too_deep: line 8: its JSON has more than 64 levels of arrays and objects.",
        "b",
    ]


def test_values_are_kept_as_they_are(tmp_path: Path) -> None:
    """Nested values, numbers and texts of digits are properties unchanged; faults of writers are tolerated."""
    (found,) = take(
        write(
            tmp_path, b'\xef\xbb\xbf{"name":"e","ts":0,"time":1767225600,"uid":7,"z":"5","a":[{"b":NaN}],"t":true}\r\n'
        )
    )
    assert isinstance(found, Event)
    assert (found.uid, found.occurred_at) == ("7", 1_767_225_600_000)
    assert found.properties == '{"a":[{"b":null}],"t":true,"ts":0,"z":"5"}'


def test_columns_are_those_of_many_lines(tmp_path: Path) -> None:
    """A column that the first line does not have is found, and one that no line has is named as missing."""
    file = write(tmp_path, GOOD % b"a", b'{"name": "e", "time": 1767225600, "mail": "a@b.example"}')
    first, second = take(file, columns={"email": "mail"})
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.email, second.email) == (None, "a@b.example")
    with pytest.raises(ImportInvalid, match="no column 'post'; the columns are name, time, customer, mail"):
        take(file, columns={"email": "post"})


def test_gzip_and_skipping(tmp_path: Path) -> None:
    """Compressed lines are read, and skipped ones are not looked at."""
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(b"\n".join([GOOD % b"a", b"{", b"", GOOD % b"c"])))
    assert outcomes(take(file, skip=1)) == ["invalid_json: line 2: it is not JSON in UTF-8.", "c"]
    assert outcomes(take(file, skip=2)) == ["c"]


def test_options_for_csv_are_refused(tmp_path: Path) -> None:
    """An option that would have no effect is an error."""
    with pytest.raises(ImportInvalid, match="are for CSV"):
        take(write(tmp_path, GOOD % b"a"), Form(delimiter=","))
