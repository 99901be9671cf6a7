"""The hybrid clock never goes back, and follows the wall clock as closely as that allows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenure import clock as clock_module
from tenure import receipt
from tenure.clock import CELLS, FILE, LATEST, LONGEST_TICK, SLOWDOWN, HybridClock, tick
from tenure.entry import Record
from tenure.journal import Journal, Loaded, restore_clock

DAY_US = 86_400_000_000
times = st.integers(0, LATEST - 1)


class Machine:
    """A wall clock that can be set, and a monotonic clock."""

    def __init__(self, wall: int) -> None:
        self.wall, self.steady = wall, 0

    def clock(self) -> HybridClock:
        return HybridClock(lambda: self.wall, lambda: self.steady)

    def wait(self, microseconds: int) -> None:
        self.wall += microseconds
        self.steady += microseconds


@given(times, times, st.integers(0, DAY_US))
def test_a_reading_is_greater_than_the_last_and_no_less_than_the_wall_clock(last: int, wall: int, elapsed: int) -> None:
    """It equals the wall clock where that is greater, and else goes on by a millisecond at most."""
    reading = tick(last, wall, elapsed)
    assert reading > last
    assert reading >= wall
    assert reading == wall or reading - last <= LONGEST_TICK


@given(st.lists(st.tuples(st.integers(-DAY_US, DAY_US), st.integers(0, 10_000_000)), min_size=1))
def test_readings_only_grow_however_the_wall_clock_is_set(steps: list[tuple[int, int]]) -> None:
    """Each step sets the wall clock and lets time pass."""
    machine = Machine(10 * 365 * DAY_US)
    clock = machine.clock()
    readings = [clock.now()]
    for shift, wait in steps:
        machine.wall = max(0, machine.wall + shift)
        machine.wait(wait)
        readings.append(clock.now())
    assert readings == sorted(set(readings))


@given(st.integers(1, DAY_US), st.lists(st.integers(0, 100_000), max_size=50))
def test_a_clock_that_was_ahead_is_caught_up_with(ahead: int, waits: list[int]) -> None:
    """While the wall clock is behind, the clock goes at an eighth of its pace, besides a microsecond a reading."""
    machine = Machine(DAY_US + ahead)
    clock = machine.clock()
    first = clock.now()
    machine.wall -= ahead
    for wait in waits:
        machine.wait(wait)
        clock.now()
    assert clock.now() <= max(machine.wall, first + sum(waits) // SLOWDOWN) + len(waits) + 1


def test_what_was_observed_is_exceeded() -> None:
    """A reading from elsewhere counts as one's own; one that cannot be is not believed."""
    machine = Machine(5)
    clock = machine.clock()
    clock.observe(1_000)
    assert clock.now() > 1_000
    clock.observe(LATEST)
    assert clock.now() < LATEST


def test_processes_agree_after_the_wall_clock_went_back(tmp_path: Path) -> None:
    """What one has read the other exceeds, a new one too, and the file is private."""
    ahead, right = Machine(2 * DAY_US), Machine(DAY_US)
    one, other = ahead.clock(), right.clock()
    one.share(tmp_path)
    first = one.now()
    os.chmod(tmp_path / FILE, 0o600)
    code = (
        "import sys; from pathlib import Path; from tenure.clock import HybridClock\n"
        f"clock = HybridClock(lambda: {DAY_US}, lambda: 0); clock.share(Path(sys.argv[1])); print(clock.now())"
    )
    told = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    second = int(told.stdout)
    other.share(tmp_path)
    assert first < second < other.now()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / FILE).stat().st_size == 8 * CELLS


def test_a_damaged_or_unreadable_file_costs_nothing_but_the_agreement(tmp_path: Path) -> None:
    """A reading after the year 2300 is ignored, and so is a file that was cut off."""
    clock = Machine(DAY_US).clock()
    clock.share(tmp_path)
    (tmp_path / FILE).write_bytes(b"\xff" * 8 * CELLS)
    assert clock.now() == DAY_US
    os.truncate(tmp_path / FILE, 3)
    assert clock.now() == DAY_US + 1


@given(times, times, st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1))
def test_receipts_sort_by_the_clock_and_tell_its_reading(one: int, other: int, random: int, more: int) -> None:
    """To the microsecond, whatever is random in them; they are UUIDs of version 7."""
    assume(one != other)
    made = [receipt.at(one, random), receipt.at(other, more)]
    assert [receipt.time_of(text) for text in made] == [one, other]
    assert (made[0] < made[1]) is (one < other)
    assert all(receipt.is_receipt(text) and text[12] == "7" and text[16] in "89ab" for text in made)


def test_a_start_goes_on_after_all_that_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits in a journal, what was loaded and pruned, and what is known elsewhere; damage keeps nobody waiting."""
    own = Machine(DAY_US).clock()
    for name in ("now", "observe", "share", "current"):
        monkeypatch.setattr(clock_module, name, getattr(own, name))
    journal = Journal.claim(tmp_path, 2**20)
    journal.append([Record(receipt.at(reading), b"x") for reading in (7 * DAY_US, 5 * DAY_US)])
    journal.close()
    (tmp_path / "1.sqlite").write_bytes(b"SQLite format 3\0 and no more")
    restore_clock(tmp_path, 2 * DAY_US)
    assert 7 * DAY_US < clock_module.now() < 7 * DAY_US + 10
    Loaded(order=9 * DAY_US).write(tmp_path)
    restore_clock(tmp_path)
    assert 9 * DAY_US < clock_module.now() < 9 * DAY_US + 10
    (tmp_path / "loaded.json").write_bytes(b"{")
    restore_clock(tmp_path, 11 * DAY_US)
    assert clock_module.now() > 11 * DAY_US
