"""CSV as it is found."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tenure.errors import ImportInvalid
from tenure.event import Event
from tenure.importer import csv_file
from tenure.importer.open_file import Form
from tenure.importer.row import Damaged, Row
from tests.importer.rows import HEADER, outcomes, reading, take


def write(directory: Path, *lines: str | bytes, name: str = "rows.csv") -> Path:
    file = directory / name
    file.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return file


def test_the_ordinary_case(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, quotes, commas and line breaks in cells, blank lines: all read."""
    file = tmp_path / "rows.csv"
    file.write_bytes(
        b"\xef\xbb\xbfname,occurred_at,customer_id,note\r\n"
        b'login,2026-01-01,a,"one, ""two""\r\nthree"\r\n'
        b"\r\n"
        b"login,2026-01-02,b,\r\n"
    )
    first, second = take(file)
    assert isinstance(first, Event)
    assert first.properties == '{"note":"one, \\"two\\"\\r\\nthree"}'
    assert isinstance(second, Event)
    assert (second.customer_id, second.properties) == ("b", "{}")


def test_bad_quoting_costs_one_row(tmp_path: Path) -> None:
    """A quote that is never closed does not swallow the rows after it, nor does text after a quote."""
    file = write(
        tmp_path, HEADER, "e,2026-01-01,a", 'e,2026-01-01,"b', "e,2026-01-01,c", 'e,"2026"x,d', "e,2026-01-01,e"
    )
    found = outcomes(take(file))
    assert [found[0], found[2], found[4]] == ["a", "c", "e"]
    assert found[1].startswith("invalid_row: line 3: it is not CSV: ")
    assert found[3].startswith("invalid_row: line 5: it is not CSV: ")


def test_two_open_quotes_do_not_make_one_row(tmp_path: Path) -> None:
    """Lines between two stray quotes are rows of their own: together they have the wrong number of cells."""
    file = write(tmp_path, HEADER, 'e,2026-01-01,"a', "e,2026-01-01,b", '",2026-01-01,c', "e,2026-01-01,d")
    found = outcomes(take(file))
    assert [line.split(":")[0] for line in found] == ["invalid_row", "b", "invalid_row", "d"]


def test_the_wrong_number_of_cells_is_refused(tmp_path: Path) -> None:
    """A row that is too short or too long is refused with its line."""
    file = write(tmp_path, HEADER, "e,2026-01-01", "e,2026-01-01,a,b", "e,2026-01-01,c")
    assert outcomes(take(file)) == [
        "invalid_row: line 2: it has 2 cells, and there are 3 columns.",
        "invalid_row: line 3: it has 4 cells, and there are 3 columns.",
        "c",
    ]


def test_invalid_utf8_is_refused(tmp_path: Path) -> None:
    """A row that is not UTF-8 is refused, also where the fault is within a cell of several lines."""
    file = write(
        tmp_path,
        HEADER,
        b"e,2026-01-01,caf\xe9",
        b'"e',
        b"\xff",
        b'e",2026-01-01,b',
        "e,2026-01-01,c",
        "é,2026-01-01,d",
    )
    found = outcomes(take(file))
    assert found[0] == "invalid_encoding: line 2: it is not UTF-8."
    assert found[1] == "invalid_encoding: line 3: it is not UTF-8."
    assert found[-2:] == ["c", "d"]


def test_a_cell_of_ten_megabytes(tmp_path: Path) -> None:
    """A row that is too large for an event is refused by itself."""
    file = write(tmp_path, HEADER + ",note", "e,2026-01-01,a,", "e,2026-01-01,b," + "x" * 10_000_000, "e,2026-01-01,c,")
    assert [found.split(":")[0] for found in outcomes(take(file))] == ["a", "too_long", "c"]


def test_a_line_without_end(tmp_path: Path) -> None:
    """A line that is longer than what is held in memory is refused, and the line after it is read."""
    file = write(tmp_path, HEADER, "e,2026-01-01,a", "x" * 40_000_000, "e,2026-01-01,c")
    assert [found.split(":")[0] for found in outcomes(take(file))] == ["a", "too_long", "c"]


def test_a_quote_before_much_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a quote that is never closed more than is held in memory is read again, row by row."""
    monkeypatch.setattr(csv_file, "MAX_LINE", 10_000)
    rows = ["e,2026-01-01,a"] * 2_000
    file = write(tmp_path, HEADER, 'e,2026-01-01,"b', *rows)
    found = outcomes(take(file))
    assert found[0].startswith("too_long: line 2: ")
    assert found[1:] == ["a"] * len(rows)


def test_gzip_is_found_by_its_content(tmp_path: Path) -> None:
    """A compressed file is read whatever it is called."""
    plain = write(tmp_path, HEADER, "e,2026-01-01,a")
    for name in ("rows.csv.gz", "renamed.csv"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
        assert outcomes(take(tmp_path / name)) == ["a"]


def test_a_truncated_gzip_gives_what_is_whole(tmp_path: Path) -> None:
    """The rows before the fault are read; then it is said after which line nothing can be."""
    file = tmp_path / "rows.csv.gz"
    text = "\n".join([HEADER, *(f"e,2026-01-01,customer_{number * 7919 % 9973}" for number in range(5_000))])
    file.write_bytes(gzip.compress(text.encode())[:-2_000])
    rows = reading().open(file)[0].rows(0)
    found: list[Row] = []
    with pytest.raises(Damaged, match="cannot be read after line"):
        found.extend(rows)
    assert 1_000 < len(found) < 5_000
    assert not any(row.fault for row in found)


def test_other_delimiters(tmp_path: Path) -> None:
    """Tabs by the file's name or by option, semicolons, and any run of spaces."""
    assert outcomes(take(write(tmp_path, "name\ttime\tuid\tcustomer", "e\t2026-01-01\t1\ta", name="a.tsv"))) == ["a"]
    tabs = write(tmp_path, "name\ttime\tcustomer", "e\t2026-01-01\ta")
    assert outcomes(take(tabs, Form(delimiter="\\t"))) == ["a"]
    semicolons = write(tmp_path, "name;time;customer", "e;2026-01-01;a")
    assert outcomes(take(semicolons, Form(delimiter=";"))) == ["a"]
    spaces = write(tmp_path, " name   time customer", ' e 2026-01-01   "a ')
    assert outcomes(take(spaces, Form(delimiter="whitespace"))) == ['"a']


def test_without_a_header(tmp_path: Path) -> None:
    """The first line is a row when the columns are named on the command line."""
    file = write(tmp_path, "e,2026-01-01,a", "e,2026-01-01,b")
    assert outcomes(take(file, Form(columns=("name", "time", "customer")))) == ["a", "b"]


def test_rows_are_skipped_by_number(tmp_path: Path) -> None:
    """Skipping counts rows as reading does, refused ones included and blank lines not."""
    file = write(tmp_path, HEADER, "e,2026-01-01,a", "", "short", 'e,2026-01-01,"b\nb"', "e,2026-01-01,c")
    everything = outcomes(take(file))
    assert len(everything) == 4
    for skip in range(6):
        assert outcomes(take(file, skip=skip)) == everything[skip:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"name,name,time,uid\n", "more than one column name"),
        (b'"name', "no header that can be read"),
        (b"\xff\xfen\x00a\x00", "is UTF-16"),
        (b"caf\xe9,b\n", "no header that can be read"),
        (b"\x1f\x8b\x08\x00broken", "no header that can be read"),
    ],
)
def test_a_file_that_is_no_csv(tmp_path: Path, content: bytes, message: str) -> None:
    """What cannot be an import is refused at once, in words."""
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(ImportInvalid, match=message):
        take(tmp_path / "rows.csv")


def test_a_column_without_a_name_has_a_number(tmp_path: Path) -> None:
    """The index that a data frame writes first becomes a property."""
    (found,) = take(write(tmp_path, "," + HEADER, "0,e,2026-01-01,a"))
    assert isinstance(found, Event)
    assert found.properties == '{"column_1":0}'


@pytest.mark.parametrize("name", ["rows", "rows.txt", "rows.xlsx"])
def test_a_file_of_unknown_kind_needs_a_format(tmp_path: Path, name: str) -> None:
    """The kind is never guessed: `--format` says it where the name does not."""
    file = write(tmp_path, HEADER, "e,2026-01-01,a", name=name)
    with pytest.raises(ImportInvalid, match="--format"):
        take(file)
    assert outcomes(take(file, Form(format="csv"))) == ["a"]


def test_what_is_not_a_file(tmp_path: Path) -> None:
    """A directory and a path that does not exist are named."""
    with pytest.raises(ImportInvalid, match="is not a file"):
        take(tmp_path, Form(format="csv"))
    with pytest.raises(ImportInvalid, match=r"cannot read .*: No such file"):
        take(tmp_path / "none.csv")
    with pytest.raises(ImportInvalid, match="--delimiter must be"):
        take(write(tmp_path, HEADER), Form(delimiter="::"))


@pytest.mark.parametrize(
    "lines",
    [
        ["name;occurred_at;customer_id", "e;2026-01-01;a"],
        ["sep=;", "name;occurred_at;customer_id", "e;2026-01-01;a"],
        ['"sep=|"', "name|occurred_at|customer_id", "e|2026-01-01|a"],
        ["name\toccurred_at\tcustomer_id", "e\t2026-01-01\ta"],
        ['"name, or title;";occurred_at;customer_id', "e;2026-01-01;a"],
        ["name, occurred_at, customer_id", 'e, "2026-01-01", a'],
        ["name,occurred_at,customer_id", "e,2026-01-01,a,,,"],
        ["name,occurred_at,customer_id,,", "e,2026-01-01,a"],
        ["name,occurred_at,customer_id,,", "e,2026-01-01,a,,,,"],
        ["name,occurred_at,customer_id", "e,2026-01-01 00:00:00 UTC,a"],
        ["name,occurred_at,customer_id", "e,2026-01-01 02:00:00 +02:00,a"],
        ["name,occurred_at,customer_id", "e,2026-01-01 00:00:00.000 Z,a"],
        ["name,occurred_at,customer_id", "e, 2026-01-01 ,a"],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_as_spreadsheets_and_warehouses_write_it(tmp_path: Path, lines: list[str], end: str) -> None:
    """Other separators, blanks after them, empty cells at the end, zones after a blank, and any line ends."""
    for name, opened in (("rows.csv", open), ("rows.csv.gz", gzip.open)):
        file = tmp_path / name
        with opened(file, "wb") as out:
            out.write("".join(line + end for line in lines).encode())
        (found,) = take(file, **({"columns": {"name": "name, or title;"}} if "title" in lines[0] else {}))
        assert isinstance(found, Event)
        assert (found.name, found.occurred_at, found.customer_id) == ("e", 1_767_225_600_000, "a")
        assert found.properties == "{}"


def test_a_separator_that_is_given_counts(tmp_path: Path) -> None:
    """Not the one that the header has most of, nor what Excel wrote before it."""
    file = write(tmp_path, "sep=;", "name,occurred_at,customer_id,a;b;c;d;e", "e,2026-01-01,a,1")
    (found,) = take(file, Form(delimiter=","))
    assert isinstance(found, Event)
    assert found.properties == '{"a;b;c;d;e":1}'
