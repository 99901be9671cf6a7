"""A clock that most clients contradict is told from clients that are wrong, late or few."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.control.database import connect, migrate
from tenure.control.incidents import Incidents
from tenure.control.store import Store
from tenure.entry import Entry
from tenure.event import Event
from tenure.ingest.skew import FEWEST, MOST, WINDOW_SECONDS, ClockWatch, Skew
from tenure.settings import Settings

APP = "app_0123456789abcdef"
DAY = 86_400.0


class Machine:
    """The clocks of a server whose wall clock can be set; `right` is what it should show."""

    def __init__(self) -> None:
        self.steady, self.ahead = 1_000.0, 0.0

    @property
    def right(self) -> float:
        return 1_800_000_000.0 + self.steady

    def skew(self) -> Skew:
        return Skew(lambda: self.right + self.ahead, lambda: self.steady)

    def request(self, number: int, late: float = 0.0, *, verified: bool = True, precise: bool = True) -> Entry:
        """A request with an older and a fresh event of one of five customers."""
        self.steady += 1
        times = (round((self.right - late - age) * 1_000) for age in (500, 0))
        events = [
            Event(index=index, name="a", uid=f"user {number % 5}", precise=precise, occurred_at=at)
            for index, at in enumerate(times)
        ]
        return Entry(app=APP, receipt="0" * 32, received_at=0, dialect="native", verified=verified, key_prefix="",
                     events=events)  # fmt: skip


@pytest.mark.parametrize("ahead", [DAY, -3_600.0, 0.0])
def test_most_clients_tell_by_how_much_the_clock_is_wrong(ahead: float) -> None:
    """Though some clients' clocks are wrong and some send what waited for hours."""
    machine = Machine()
    machine.ahead = ahead
    skew = machine.skew()
    for number in range(40):
        skew.note(machine.request(number, late=number * 1_000 if number % 3 == 0 else 0))
    assert skew.seconds() == pytest.approx(ahead)


@given(st.lists(st.floats(600, 10 * DAY), min_size=FEWEST, max_size=60))
def test_late_events_alone_say_nothing_of_the_clock(lateness: list[float]) -> None:
    """A queue that is emptied, or a nightly job, looks like a clock that is ahead, unless it is spread out."""
    machine = Machine()
    skew = machine.skew()
    for number, late in enumerate(lateness):
        skew.note(machine.request(number, late=late * (number + 1)))
    middle = sorted(late * (number + 1) for number, late in enumerate(lateness))[len(lateness) // 2]
    near = sum(abs(late * (number + 1) - middle) <= 120 for number, late in enumerate(lateness))
    if near * 2 <= len(lateness):
        assert skew.seconds() is None


def test_little_says_nothing() -> None:
    """Few requests, one customer, old requests, unverified ones, and times that are no more than a date."""
    machine = Machine()
    machine.ahead = DAY
    few, one, old, loose = (machine.skew() for _ in range(4))
    for number in range(FEWEST - 1):
        few.note(machine.request(number))
    for _ in range(3 * FEWEST):
        one.note(machine.request(0))
        old.note(machine.request(_))
        loose.note(machine.request(_, verified=False))
        loose.note(machine.request(_, precise=False))
    assert old.seconds() == pytest.approx(DAY)
    machine.steady += WINDOW_SECONDS + 1
    assert [skew.seconds() for skew in (few, one, old, loose)] == [None] * 4


def test_what_is_remembered_is_bounded() -> None:
    """However many requests come; those that come at once are not all looked at."""
    machine = Machine()
    skew = machine.skew()
    for number in range(MOST + 50):
        entry = machine.request(number)
        machine.steady -= 0.8
        skew.note(entry)
        skew.note(entry)
    assert len(skew._requests) == MOST


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    return Store(engine).incidents


def test_an_incident_is_open_while_the_clock_is_wrong(incidents: Incidents) -> None:
    """It says by how much; it ends when the clock is set or clients agree with it, also after a restart."""
    machine = Machine()

    def look_after(requests: Callable[[], int], watch: ClockWatch, skew: Skew) -> list[str]:
        for number in range(requests()):
            skew.note(machine.request(number))
        watch.look()
        return [incident.text for incident in incidents.open()]

    skew = machine.skew()
    watch = ClockWatch(skew, incidents)
    assert look_after(lambda: 20, watch, skew) == []
    machine.ahead = DAY + 600
    (text,) = look_after(lambda: 20, watch, skew) or look_after(lambda: 20, watch, skew)
    assert "24 hours and 10 minutes ahead of theirs" in text
    machine.ahead = 0.0
    assert look_after(lambda: 0, watch, skew) == []
    machine.ahead = -1_200.0
    look_after(lambda: 0, watch, skew)
    (text,) = look_after(lambda: 20, watch, skew)
    assert "20 minutes behind theirs" in text
    machine.ahead = 0.0
    skew = machine.skew()
    watch = ClockWatch(skew, incidents)
    assert look_after(lambda: 0, watch, skew) != []
    assert look_after(lambda: 20, watch, skew) == []
