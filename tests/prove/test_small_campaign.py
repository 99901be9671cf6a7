"""The campaign itself at its smallest: one cut of each kind, on a server under load."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from prove import model_cuts, power_cuts
from prove.frame import Context, Result
from prove.power_cuts import Episode


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    """A campaign of one cut."""
    with TemporaryDirectory(dir="/dev/shm") as memory:
        yield Context(tmp_path, Path(memory), seed=1)


def test_a_power_cut_on_a_real_ext4_loses_nothing(context: Context) -> None:
    """Everything that was acknowledged is there once, on an image of the disk that was copied under load."""
    result = Result("power cuts", power_cuts.PROMISE)
    episode = Episode(seconds=5, cuts=1, rate=60, first_cut=3, from_start=False)
    power_cuts.play(context, episode, random.Random(1), result, "one cut")
    assert result.violations == []
    assert result.total("cuts") == 1
    assert result.total("events compared") > 0


def test_only_what_was_synced_is_enough(context: Context) -> None:
    """Everything that was acknowledged is there once, on a disk that lost all that was not synced."""
    result = Result("model cuts", model_cuts.PROMISE)
    model_cuts.play(context, random.Random(3), 1, result, seconds=6)
    assert result.violations == []
    assert result.total("cuts") == 1
