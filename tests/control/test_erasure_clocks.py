"""When an erasure was asked for is known by clocks that are right, however the wall clock was set meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from tenure import clock
from tenure.control.database import connect, migrate
from tenure.control.erasures import ErasedAt, Erasure, new_erasure
from tenure.control.store import Store
from tenure.identity import Identifier, identity_key
from tenure.settings import Settings

JANE = Identifier("uid", "jane")
HOUR_MS = 3_600_000


class Machine:
    """The clocks of a machine: the wall clock can be set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.uptime, self.boot = 1_800_000_000_000, 5_000_000, "first"
        self.order = self.wall * 1_000
        monkeypatch.setattr(clock, "wall_us", lambda: self.wall * 1_000)
        monkeypatch.setattr(clock, "uptime_ms", lambda: self.uptime)
        monkeypatch.setattr(clock, "boot", lambda: self.boot)
        monkeypatch.setattr(clock, "now", self._now)

    def wait(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.uptime += milliseconds

    def _now(self) -> int:
        self.order = clock.tick(self.order, self.wall * 1_000, 0)
        return self.order


@pytest.fixture
def store(new_settings: Callable[[], Settings]) -> Store:
    engine = connect(new_settings())
    migrate(engine)
    return Store(engine)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def request(store: Store) -> Erasure:
    """An erasure of Jane, asked for now."""
    asked = new_erasure(store.create_app("clocks").id, [JANE])
    store.erasures.request(asked)
    return asked


def erased_at(store: Store, asked: Erasure) -> ErasedAt:
    key = identity_key(asked.app, JANE)
    assert store.erasures.tombstones() == store.erasures.erased_at([key])
    return store.erasures.tombstones()[key]


@pytest.mark.parametrize("ahead", [24 * HOUR_MS, 0])
def test_a_clock_that_was_ahead_is_corrected_once_it_is_right(store: Store, machine: Machine, ahead: int) -> None:
    """To the millisecond; and the next start of the machine, which knows nothing of it, leaves it so."""
    right = machine.wall
    machine.wall += ahead
    asked = request(store)
    assert not store.erasures.follow_clock()
    machine.wait(60_000)
    machine.wall -= ahead
    assert store.erasures.follow_clock() is bool(ahead)
    assert erased_at(store, asked) == (asked.ordered_at, right)
    machine.boot, machine.uptime = "second", 10
    assert not store.erasures.follow_clock()
    assert erased_at(store, asked).cut_off == right


def test_a_clock_that_is_ahead_now_changes_nothing(store: Store, machine: Machine) -> None:
    """The request was made by its place in the order of receipt at the latest."""
    right = machine.wall
    asked = request(store)
    machine.wait(60_000)
    machine.wall += 24 * HOUR_MS
    assert not store.erasures.follow_clock()
    assert erased_at(store, asked).cut_off == right


def test_a_clock_that_was_behind_is_corrected_once_it_is_right(store: Store, machine: Machine) -> None:
    """As far as the order of receipt went at the request."""
    right = machine.wall
    clock.now()
    machine.wall -= HOUR_MS
    asked = request(store)
    assert erased_at(store, asked).cut_off == right - HOUR_MS
    machine.wait(60_000)
    machine.wall += HOUR_MS
    assert store.erasures.follow_clock()
    assert erased_at(store, asked).cut_off == right
    assert store.erasures.last_ordered_at() == asked.ordered_at > right * 1_000


def test_requests_of_other_machines_are_left_alone(store: Store, machine: Machine) -> None:
    """Their uptime says nothing here."""
    asked = request(store)
    other = msgspec.structs.replace(asked, id="0" * 32, keys=[bytes(16)], boot="", uptime=0)
    store.erasures.request(other)
    machine.wait(60_000)
    machine.wall -= HOUR_MS
    store.erasures.follow_clock()
    assert store.erasures.find(asked.app, other.id).cut_off == asked.cut_off
    assert store.erasures.find(asked.app, asked.id).cut_off == asked.cut_off - HOUR_MS
