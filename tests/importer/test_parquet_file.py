"""Parquet as it is found."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.errors import ImportInvalid
from tenure.event import Event
from tests.importer.rows import outcomes, take

AT = datetime(2026, 6, 14, 12, 0, 0, 123_456, tzinfo=UTC)


def write(directory: Path, columns: dict[str, Any], **options: Any) -> Path:
    file = directory / "rows.parquet"
    rows = len(next(iter(columns.values())))
    needed = {"name": ["e"] * rows, "time": [AT] * rows, "customer": [f"c{n}" for n in range(rows)]}
    pq.write_table(pa.table({**needed, **columns}), file, **options)
    return file


def test_values_of_every_kind(tmp_path: Path) -> None:
    """Nested, decimal, binary and NaN values are properties in JSON; nulls are left out."""
    file = write(
        tmp_path,
        {
            "amount": pa.array([Decimal("12.50"), None]),
            "ratio": pa.array([float("nan"), 0.5]),
            "nested": pa.array([{"a": [1, 2], "at": AT}, None]),
            "tags": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
            "blob": pa.array([b"\xff", b"text"]),
            "day": pa.array([date(2026, 6, 14), None]),
            "count": pa.array([2**63, 1], pa.uint64()),
            "word": pa.array(["x", "x"]).dictionary_encode(),
            "null": pa.nulls(2),
        },
    )
    first, second = take(file)
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.occurred_at, first.precise) == (1_781_438_400_123, True)
    assert json.loads(first.properties) == {
        "amount": 12.5, "nested": {"a": [1, 2], "at": "2026-06-14T12:00:00.123456+00:00"}, "tags": [["k", 1]],
        "blob": "/w==", "day": "2026-06-14", "count": 2**63, "word": "x",
    }  # fmt: skip
    assert json.loads(second.properties) == {"ratio": 0.5, "blob": "text", "count": 1, "word": "x"}


@pytest.mark.parametrize(
    ("column", "ms", "precise"),
    [
        (pa.array([1_781_438_400], pa.timestamp("s")), 1_781_438_400_000, True),
        (pa.array([1_781_438_400_123_456_789], pa.timestamp("ns", "America/New_York")), 1_781_438_400_123, True),
        (pa.array([date(2026, 6, 14)]), 1_781_395_200_000, False),
        (pa.array([1_781_438_400], pa.int64()), 1_781_438_400_000, True),
        (pa.array(["2026-06-14T12:00:00Z"]), 1_781_438_400_000, True),
    ],
)
def test_times_of_every_kind(tmp_path: Path, column: Any, ms: int, precise: bool) -> None:
    """A timestamp in any unit and zone is a precise time, a date is not; numbers and texts are read as elsewhere."""
    (found,) = take(write(tmp_path, {"time": column}))
    assert isinstance(found, Event)
    assert (found.occurred_at, found.precise) == (ms, precise)


def test_ids_that_a_data_frame_made_floats(tmp_path: Path) -> None:
    """A column of whole numbers with gaps, which is float64, gives ids without `.0`."""
    found = take(write(tmp_path, {"uid": pa.array([12.0, None]), "customer": pa.array([None, 13])}))
    assert [(event.uid, event.customer_id) for event in found if isinstance(event, Event)] == [
        ("12", None),
        (None, "13"),
    ]


def test_a_value_out_of_range_costs_one_row(tmp_path: Path) -> None:
    """A timestamp that no calendar has refuses its row; the others of the same batch are taken."""
    far = pa.array([0, 2**62, 0], pa.timestamp("us"))
    found = outcomes(take(write(tmp_path, {"seen": far})))
    assert found[0::2] == ["c0", "c2"]
    assert found[1].startswith("invalid_row: row 2: it has a value that cannot be read: ")


def test_finer_than_microseconds_within_structs(tmp_path: Path) -> None:
    """Nanoseconds are cut off wherever they are."""
    kind = pa.struct([("at", pa.list_(pa.timestamp("ns")))])
    (found,) = take(write(tmp_path, {"x": pa.array([{"at": [1_781_438_400_123_456_789]}], kind)}))
    assert isinstance(found, Event)
    assert found.properties == '{"x":{"at":["2026-06-14T12:00:00.123456"]}}'


def test_skipping_across_groups(tmp_path: Path) -> None:
    """Any number of rows can be skipped, whole row groups and parts of them; rows keep their numbers."""
    file = write(tmp_path, {"time": [None if n % 10 == 9 else AT for n in range(2_500)]}, row_group_size=1_100)
    everything = outcomes(take(file))
    assert len(everything) == 2_500
    assert everything[9] == "missing_field: row 10: occurred_at is required."
    for skip in (1, 999, 1_000, 1_100, 1_101, 2_200, 2_499, 2_500, 9_999):
        assert outcomes(take(file, skip=skip)) == everything[skip:]


def test_what_is_no_parquet(tmp_path: Path) -> None:
    """A file that only has the name is refused at once; so is one that was cut off."""
    whole = write(tmp_path, {"n": [1]}).read_bytes()
    for content in (b"name,time\n", whole[:-10]):
        (tmp_path / "rows.parquet").write_bytes(content)
        with pytest.raises(ImportInvalid, match="is not a Parquet file that can be read"):
            take(tmp_path / "rows.parquet")


@pytest.mark.parametrize("zone", ["tzutc()", "Nowhere/Atlantis", "pytz.FixedOffset(60)"])
def test_a_zone_that_nobody_knows(tmp_path: Path, zone: str) -> None:
    """The time is read all the same: Parquet keeps it in UTC."""
    at = pa.array([1_781_438_400_000_000], pa.timestamp("us", zone))
    (found,) = take(write(tmp_path, {"time": at, "seen": at}))
    assert isinstance(found, Event)
    assert found.occurred_at == 1_781_438_400_000
    assert found.properties == '{"seen":"2026-06-14T12:00:00+00:00"}'


MEBIBYTE = 1024 * 1024
REPEATED = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), ["x" * MEBIBYTE])
BOMBS = {
    "a text that repeats": REPEATED,
    "a text that repeats in a struct": pa.StructArray.from_arrays([REPEATED], ["a"]),
    "a text that repeats in a list": pa.ListArray.from_arrays(pa.array(range(1_001), pa.int32()), REPEATED),
    "a text that repeats in a map": pa.MapArray.from_arrays(
        pa.array(range(1_001), pa.int32()), pa.array(["k"] * 1_000), REPEATED
    ),
    "a list that repeats a number": pa.array([[0] * 10_000_000]),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_of_large_rows_is_read_in_little_memory(tmp_path: Path, kind: str) -> None:
    """Texts and lists that repeat stand in a file once, and come out of it a few rows at a time."""
    file = write(tmp_path, {"note": BOMBS[kind]}, compression="zstd", store_schema=False)
    assert file.stat().st_size < 1_000_000
    reader = (
        "import sys; from pathlib import Path; from tests.importer.rows import reading\n"
        "source, mapping = reading().open(Path(sys.argv[1]))\n"
        "import resource; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "rows = sum(1 for row in source.rows(0))\n"
        "print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", reader, str(file)], stdout=subprocess.PIPE, text=True, check=True)
    rows, mebibytes = map(int, done.stdout.split())
    assert rows == len(BOMBS[kind])
    assert mebibytes < 600


def test_a_file_that_would_unpack_to_far_more_is_refused(tmp_path: Path) -> None:
    """Pages of zeros compress a thousandfold; they are refused before they are read."""
    blank = {"note": pa.array(["x" * MEBIBYTE * 100])}
    with pytest.raises(ImportInvalid, match=r"column note of row group 1 has 104,857,6\d\d bytes"):
        take(write(tmp_path, blank, compression="zstd", use_dictionary=False))
    numbers = pa.array(memoryview(bytes(40_000_000)), pa.uint8())
    lists = {"note": pa.ListArray.from_arrays(pa.array([0, len(numbers)], pa.int32()), numbers)}
    with pytest.raises(ImportInvalid, match="has 40,000,000 values"):
        take(write(tmp_path, lists, compression="zstd"))
