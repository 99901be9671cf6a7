"""How values, payloads and volumes of an event are put into words and columns."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from tenure.customers.event import Volumes
from tenure.customers.properties import Value
from tenure.pages.event import LONGEST_PAYLOAD, label, payload, volume_chart


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ('"pro"', "pro"), ('"1"', '"1"'), ("1", "1"), ('"true"', '"true"'), ("true", "true"), ('""', '""'),
        ('" "', '" "'), ("null", "null"), ('"[1]"', '"[1]"'), ("[1,2]", "[1,2]"), ('"a\\"b"', 'a"b'), ('"<b>"', "<b>"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_nothing_else_is(raw: str, shown: str) -> None:
    """A text stands as it is, but in quotes where it could be a number, a list or nothing."""
    assert label(Value(msgspec.Raw(raw.encode()), False, 1)) == shown


def test_long_values_are_not_told_apart() -> None:
    """They count together under one label."""
    assert label(Value(msgspec.Raw(b"null"), True, 1)) == "longer values"


def test_a_payload_is_laid_out_and_cut() -> None:
    """Numbers stay exact; an empty object is nothing; a huge one is cut."""
    assert payload(b'{"n":123456789012345678901234567890,"a":[1]}').splitlines()[1].strip() == (
        '"n": 123456789012345678901234567890,'
    )
    assert payload(b"{}") == ""
    assert len(payload(b'{"a":"%s"}' % (b"x" * 2 * LONGEST_PAYLOAD))) < LONGEST_PAYLOAD + 20
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert payload(deep).startswith('{"a":[[[')


def test_weeks_end_today() -> None:
    """A year has 52 whole weeks, and the first odd day is left out; days are as they were counted."""
    found = Volumes(date(2025, 11, 22), [*range(365)], {"native": [*range(365)]})
    weekly, days = volume_chart(found, weekly=True), volume_chart(found, weekly=False)
    assert (weekly.x[0], weekly.x[-1], len(weekly.x)) == ("2025-11-23", "2026-11-15", 52)
    assert weekly.series[0].values[-1] == sum(range(358, 365))
    assert list(days.series[0].values) == [*range(365)]


def test_several_sources_stand_on_one_another() -> None:
    """A column for each; one source alone is just events."""
    found = Volumes(date(2026, 1, 1), [3, 4], {"native": [1, 2], "stripe": [2, 2]})
    assert [(series.name, series.draw) for series in volume_chart(found, weekly=False).series] == [
        ("native", "stack"), ("stripe", "stack"),
    ]  # fmt: skip
    assert [series.name for series in volume_chart(Volumes(date(2026, 1, 1), [0], {}), weekly=False).series] == [
        "Events"
    ]
