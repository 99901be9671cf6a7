"""Versions never go back, and a clock that was set back is noticed."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from tenure.loader.jumps import TOLERANCE_US, Jumps
from tenure.loader.versions import STEP, Versions
from tenure.warehouse.client import Warehouse

DAY_US = 86_400_000_000


def warehouse(latest: int) -> Warehouse:
    """A warehouse whose greatest version is this; it is asked once."""
    answers = iter([SimpleNamespace(result_rows=[(latest,)])])
    client = SimpleNamespace(query=lambda _: next(answers))
    return cast(Warehouse, SimpleNamespace(client=client))


@given(st.integers(0, DAY_US), st.integers(0, DAY_US), st.lists(st.integers(0, DAY_US), min_size=2))
def test_versions_exceed_all_that_are_in_use(stored: int, known: int, walls: list[int]) -> None:
    """Those of the warehouse, those that a file knows, and each other; with room between them."""
    times = iter(walls)
    versions = Versions(warehouse(stored), known, lambda: next(times))
    made = [versions.next() for _ in walls]
    assert made[0] >= max(stored, known) + STEP
    assert all(after - before >= STEP for before, after in itertools.pairwise(made))
    assert all(version >= wall for version, wall in zip(made, walls, strict=True))


def test_a_clock_that_is_set_back_is_noticed_once() -> None:
    """Not one that is set forward or corrected by less than a minute; also when it was set back before the start."""
    now: dict[str, Any] = {"wall": DAY_US, "uptime": 0}
    jumps = Jumps(DAY_US + 2 * TOLERANCE_US, lambda: now["wall"], lambda: now["uptime"])
    assert jumps.went_back()
    for seconds, shift, went_back in ((5, 0, False), (5, DAY_US, False), (5, -TOLERANCE_US, False), (5, -DAY_US, True)):
        now["wall"] += seconds * 1_000_000 + shift
        now["uptime"] += seconds * 1_000
        assert jumps.went_back() is went_back
        assert not jumps.went_back()
