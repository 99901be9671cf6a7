"""What waits to be loaded, and since when, as an http worker measures it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from uuid_utils import UUID

from tenure.backlog import SAMPLES, Backlog, Waiting
from tenure.entry import Record
from tenure.journal import COUNTED, Journal, Loaded

NOON = 1_800_000_000.0


class Clocks:
    """A monotonic and a wall clock that a test moves."""

    def __init__(self) -> None:
        self.monotonic = 500.0
        self.wall = NOON

    def wait(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    claimed = Journal.claim(tmp_path, 2**30)
    yield claimed
    claimed.close()


def measuring(directory: Path, clocks: Clocks) -> Backlog:
    return Backlog(directory, monotonic=lambda: clocks.monotonic, wall=lambda: clocks.wall)


def receipt(seconds: float) -> str:
    """A receipt that was made at this time."""
    return UUID(int=(int(seconds * 1_000) << 80) | (7 << 76)).hex


def test_nothing_waits_when_all_is_loaded(tmp_path: Path, journal: Journal, clocks: Clocks) -> None:
    """A journal that is loaded, pruned or not, is no backlog."""
    backlog = measuring(tmp_path, clocks)
    assert backlog.look() == Waiting(0, 0, 0.0)
    journal.append([Record(receipt(NOON), b"one"), Record(receipt(NOON), b"two")])
    Loaded({journal.id: 2}).write(tmp_path)
    clocks.wait(30)
    assert backlog.look() == Waiting(0, 0, 0.0)
    journal.prune()
    assert backlog.look() == Waiting(0, 0, 0.0)


def test_the_lag_is_the_age_of_the_oldest_request_that_is_not_loaded(
    tmp_path: Path, journal: Journal, clocks: Clocks
) -> None:
    """It grows while nothing is loaded, and falls to the age of the next request when the oldest is loaded."""
    backlog = measuring(tmp_path, clocks)
    backlog.look()
    journal.append([Record(receipt(NOON), b"first")])
    backlog.look()
    clocks.wait(20)
    journal.append([Record(receipt(NOON + 20), b"second")])
    assert backlog.look() == Waiting(2, 11, 20.0)
    clocks.wait(10)
    assert backlog.look() == Waiting(2, 11, 30.0)
    Loaded({journal.id: 1}).write(tmp_path)
    assert backlog.look() == Waiting(1, 6, 10.0)


@pytest.mark.parametrize("step", [-86_400, 86_400])
def test_a_clock_that_is_set_changes_no_age(tmp_path: Path, journal: Journal, clocks: Clocks, step: int) -> None:
    """Only the age that a request had when the process began to look comes from the wall clock."""
    journal.append([Record(receipt(NOON - 7), b"before the process")])
    backlog = measuring(tmp_path, clocks)
    assert backlog.look().lag_seconds == pytest.approx(7)
    clocks.wall += step
    clocks.wait(3)
    assert backlog.look().lag_seconds == pytest.approx(10)
    journal.append([Record(receipt(clocks.wall), b"after the step")])
    backlog.look()
    clocks.wait(4)
    Loaded({journal.id: 1}).write(tmp_path)
    assert backlog.look().lag_seconds == 4.0


def test_a_clock_that_was_ahead_makes_no_negative_age(tmp_path: Path, journal: Journal, clocks: Clocks) -> None:
    """A receipt of tomorrow is as old as the process has seen it."""
    journal.append([Record(receipt(NOON + 86_400), b"x")])
    backlog = measuring(tmp_path, clocks)
    assert backlog.look().lag_seconds == 0.0
    clocks.wait(5)
    assert backlog.look().lag_seconds == 5.0


def test_many_looks_are_remembered_in_bounded_memory(tmp_path: Path, journal: Journal, clocks: Clocks) -> None:
    """While loading is stopped for hours, the oldest age stays exact and others are never too small."""
    backlog = measuring(tmp_path, clocks)
    backlog.look()
    looks = SAMPLES + 100
    for _ in range(looks):
        clocks.wait(1)
        journal.append([Record(receipt(NOON), b"x")])
        backlog.look()
    assert backlog.look().lag_seconds == looks - 1
    Loaded({journal.id: 10}).write(tmp_path)
    assert looks - 11 <= backlog.look().lag_seconds <= looks - 9


def test_a_large_backlog_is_measured_by_the_file(tmp_path: Path, journal: Journal, clocks: Clocks) -> None:
    """Of more than `COUNTED` requests the number is exact, and the bytes are what they take in the file."""
    backlog = measuring(tmp_path, clocks)
    for _ in range(2):
        journal.append([Record(receipt(NOON), b"x" * 1_000) for _ in range(COUNTED)])
    Loaded({journal.id: 500}).write(tmp_path)
    seen = backlog.look()
    assert seen.requests == 2 * COUNTED - 500
    assert seen.requests * 1_000 < seen.bytes < seen.requests * 1_500
