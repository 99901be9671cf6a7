"""The values of a row as JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.importer.values import number_or_text, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("42", 42),
        ("-7", -7),
        ("12.50", 12.5),
        ("-0.25", -0.25),
        ("999999999999999", 999999999999999),
        ("007", "007"),
        ("00.5", "00.5"),
        ("+1", "+1"),
        ("-0", "-0"),
        ("1e5", "1e5"),
        ("1.", "1."),
        (".5", ".5"),
        ("1_000", "1_000"),
        ("٣", "٣"),
        (" 1", " 1"),
        ("1\n", "1\n"),
        ("NaN", "NaN"),
        ("1234567890123456", "1234567890123456"),
        ("0.1000000000000001", "0.1000000000000001"),
        ("true", "true"),
    ],
)
def test_a_cell_is_a_number_only_when_nothing_is_lost(text: str, value: object) -> None:
    """Plain decimal notation of up to 15 digits is a number; everything else stays as it stands."""
    found = number_or_text(text)
    assert found == value
    assert type(found) is type(value)


@given(st.one_of(st.text("0123456789.-+e", max_size=20), st.decimals(allow_nan=False, allow_infinity=False).map(str)))
def test_a_number_has_the_value_that_was_written(text: str) -> None:
    """Whatever becomes a number is written back, by the shortest text that a reader would take, as equal."""
    found = number_or_text(text)
    if not isinstance(found, str):
        assert Decimal(repr(found)) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (1.5, 1.5),
        (True, True),
        (2**63, 2**63),
        (Decimal("12.00"), 12.0),
        (Decimal("12345678901234567.89"), "12345678901234567.89"),
        (datetime(2026, 6, 14, 12, tzinfo=UTC), "2026-06-14T12:00:00+00:00"),
        (date(2026, 6, 14), "2026-06-14"),
        (time(12, 30), "12:30:00"),
        (timedelta(minutes=2), 120.0),
        (b"text", "text"),
        (b"\xff\x00", "/wA="),
        ({"a": [float("nan"), {"b": Decimal(1)}]}, {"a": [None, {"b": 1}]}),
        ([("key", 1)], [["key", 1]]),
    ],
)
def test_what_parquet_holds_becomes_json(value: object, expected: object) -> None:
    """Every kind of value has one JSON form, nested ones too; what JSON cannot say is null or text."""
    assert plain(value) == expected
