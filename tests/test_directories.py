"""A directory is made for its owner alone, and its name is synced, after those above it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tenure.directories import make_directory


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories that were synced, in turn."""
    found: list[Path] = []
    sync = os.fsync

    def recording(descriptor: int) -> None:
        found.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    return found


def test_every_directory_that_is_made_has_its_name_synced(tmp_path: Path, synced: list[Path]) -> None:
    """Those above it first: a name is worth nothing without them."""
    make_directory(tmp_path / "a" / "b" / "c")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert stat.S_IMODE((tmp_path / "a" / "b" / "c").stat().st_mode) == 0o700


def test_a_directory_that_is_there_has_its_name_synced(tmp_path: Path, synced: list[Path]) -> None:
    """Whoever made it may have been killed before."""
    make_directory(tmp_path)
    assert synced == [tmp_path.parent]
