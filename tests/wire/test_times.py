"""Reading the times that clients write."""

from __future__ import annotations

import pytest

from tenure.wire import times
from tenure.wire.times import Moment, TimeInvalid

NOON = 1_781_438_400_000
"""2026-06-14T12:00:00.000Z."""

READ = [
    ("2026-06-14T12:00:00.000Z", NOON, True),
    ("2026-06-14T12:00:00Z", NOON, True),
    ("2026-06-14t12:00:00z", NOON, True),
    ("2026-06-14T12:00:00", NOON, True),
    ("2026-06-14 12:00:00", NOON, True),
    ("2026-06-14 12:00:00.5", NOON + 500, True),
    ("2026-06-14T12:00:00,5Z", NOON + 500, True),
    ("2026-06-14T14:00:00+02:00", NOON, True),
    ("2026-06-14T14:00:00+0200", NOON, True),
    ("2026-06-14T14:00:00+02", NOON, True),
    ("2026-06-14T06:30:00-05:30", NOON, True),
    ("2026-06-14T12:00:00-00:00", NOON, True),
    ("2026-06-14T12:00:00.1239Z", NOON + 123, True),
    ("2026-06-14T12:00:00.999999999Z", NOON + 999, True),
    ("1969-12-31T23:59:59.9999Z", -1, True),
    ("2026-06-14T12:00Z", NOON, False),
    ("2026-06-14", NOON - 43_200_000, False),
    ("2024-02-29", 1_709_164_800_000, False),
    ("2016-12-31T23:59:60Z", 1_483_228_800_000, True),
    ("2016-12-31T23:59:60.250Z", 1_483_228_800_250, True),
    ("2017-01-01T00:59:60+01:00", 1_483_228_800_000, True),
    ("1900-01-01", times.EARLIEST, False),
    ("2299-12-31T23:59:59.999Z", times.LATEST, True),
    (1_781_438_400, NOON, True),
    (1_781_438_400_000, NOON, True),
    ("1781438400", NOON, True),
    ("1781438400000", NOON, True),
    ("1781438400.5", NOON + 500, True),
    (1_781_438_400.789, NOON + 789, True),
    (1_781_438_400_000.9, NOON, True),
    (1_712_123_456.789, 1_712_123_456_789, True),
    (100_000_000, 100_000_000_000, True),
    (-100_000_000.0005, -100_000_000_001, True),
    ("-864000000", -864_000_000_000, True),
    (20261001, 1_790_812_800_000, False),
    (20261001.0, 1_790_812_800_000, False),
    ("20261001", 1_790_812_800_000, False),
    (20261001120000, 1_790_856_000_000, True),
    (times.SECONDS_BELOW, times.SECONDS_BELOW, True),
    (-times.SECONDS_BELOW, -times.SECONDS_BELOW, True),
    (10_413_791_999, 10_413_791_999_000, True),
]

NOT_TIMES = [
    "",
    " ",
    "yesterday",
    "2026-6-14",
    "2026-06-14T",
    "2026-06-14T12",
    "2026-06-14T12:00:00 Z",
    "2026-06-14T12:00:00.Z",
    "2026-06-14T24:00:00Z",
    "2026-06-14T12:60:00Z",
    "2026-06-14T12:00:61Z",
    "2026-06-14T12:00:60Z",
    "2026-06-14T23:59:60+01:00",
    "2026-06-14T12:00:00+24:00",
    "2026-W24-7",
    "2026-02-30",
    "2026-13-01",
    "0000-01-01",
    "0001-01-01",
    "1899-12-31T23:59:59.999Z",
    "2300-01-01",
    "2299-12-31T23:59:59.999-00:01",
    "9999-12-31T23:59:60Z",
    "\uff12\uff10\uff12\uff16-06-14",
    "\u0661\u0667\u0668\u0661\u0664\u0663\u0668\u0664\u0660\u0660",
    "1e9",
    0,
    -1,
    "0",
    "46296",
    46296.5,
    20261301,
    99_999_999,
    -86_400,
    "1_781_438_400",
    "9" * 5000,
    10**30,
    -(10**11) + 1,
    99_999_999_999,
    1e308,
    float("inf"),
    float("nan"),
    True,
    False,
    None,
    [],
    {},
    [1_781_438_400],
]


@pytest.mark.parametrize(("value", "ms", "precise"), READ)
def test_reads_every_form_of_time(value: object, ms: int, precise: bool) -> None:
    """Each form gives its milliseconds, and whether it had a second's precision."""
    assert times.parse(value) == Moment(ms, precise)


@pytest.mark.parametrize("value", NOT_TIMES, ids=lambda value: repr(value)[:40])
def test_refuses_what_is_not_a_time(value: object) -> None:
    """Anything else is an error that does not hold the value."""
    with pytest.raises(TimeInvalid) as fault:
        times.parse(value)
    assert not (isinstance(value, str) and len(value) > 3) or value not in str(fault.value)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-06-14T12:00:00.000Z", NOON),
        ("2026-06-14T12:00:00Z", NOON),
        ("2026-06-14t12:00:00z", NOON),
        ("2026-06-14T14:00:00.000+02:00", NOON),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ],
)
def test_reads_full_rfc3339(text: str, ms: int) -> None:
    """RFC 3339 with seconds and any zone is read."""
    assert times.parse_rfc3339(text) == ms


@pytest.mark.parametrize(
    "value", ["2026-06-14", "2026-06-14T12:00:00", "2026-06-14T12:00Z", "1781438400", NOON, NOON / 1000, True, None]
)
def test_strict_reading_refuses_other_forms(value: object) -> None:
    """What lacks seconds or a zone, or is a number, is not RFC 3339."""
    with pytest.raises(TimeInvalid):
        times.parse_rfc3339(value)
