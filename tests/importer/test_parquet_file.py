"""Parquet as it is found."""

from __future__ import annotations

import json
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
