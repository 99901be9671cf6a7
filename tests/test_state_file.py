"""Small state files survive bit flips, and never say what nobody wrote."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tenure import state_file
from tenure.journal import Loaded
from tenure.state_file import Generation

BEFORE = Loaded({"a" * 32: 7, "b" * 32: 3}, {"a" * 32: (7, 9)}, erasures=2, scrub=1)
AFTER = Loaded({"a" * 32: 9, "b" * 32: 3}, scrub=1)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A state file with a generation before the current one."""
    BEFORE.write(tmp_path)
    AFTER.write(tmp_path)
    return tmp_path / "loaded.json"


def flips(content: bytes) -> list[bytes]:
    """The content with each of its bits flipped."""
    return [
        content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        for at in range(len(content))
        for bit in range(8)
    ]


def test_every_bit_flip_of_what_is_loaded_is_harmless(written: Path) -> None:
    """With any bit of the current file flipped, the generation before is read, from which loading goes on."""
    directory = written.parent
    assert Loaded.state(directory) == (AFTER, Generation.CURRENT)
    for flipped in flips(written.read_bytes()):
        written.write_bytes(flipped)
        assert Loaded.state(directory) == (BEFORE, Generation.PREVIOUS)


def test_when_both_generations_are_damaged_nothing_counts_as_loaded(written: Path) -> None:
    """The loader then begins with the oldest entries, and skips none that was acknowledged."""
    previous = written.with_name("loaded.json.previous")
    current = written.read_bytes()
    written.write_bytes(current[:-1])
    for flipped in flips(previous.read_bytes()):
        previous.write_bytes(flipped)
        assert Loaded.state(written.parent).generation is Generation.LOST
        assert Loaded.read(written.parent) == Loaded()


def test_a_missing_current_file_is_read_from_the_generation_before(written: Path) -> None:
    """Somebody deleted it: that is said, and no other state is taken for it."""
    written.unlink()
    assert Loaded.state(written.parent) == (BEFORE, Generation.PREVIOUS)
    written.with_name("loaded.json.previous").unlink()
    assert Loaded.state(written.parent) == (None, Generation.NONE)


def test_a_file_of_an_older_version_is_accepted(tmp_path: Path) -> None:
    """It has no checksum; the next write adds one."""
    (tmp_path / "loaded.json").write_bytes(msgspec.json.encode(BEFORE))
    assert Loaded.state(tmp_path) == (BEFORE, Generation.CURRENT)
    AFTER.write(tmp_path)
    assert (tmp_path / "loaded.json").read_bytes().startswith(b"tenure-state-1 ")


def test_no_truncation_is_taken_for_whole(written: Path) -> None:
    """A file that ends anywhere before its end is damaged."""
    content = written.read_bytes()
    for end in range(len(content)):
        written.write_bytes(content[:end])
        assert Loaded.state(written.parent) == (BEFORE, Generation.PREVIOUS)


def test_a_state_file_is_readable_at_any_time(tmp_path: Path) -> None:
    """Whatever a crash leaves behind of a write, a whole generation is there."""
    path = tmp_path / "state.json"
    for number in range(5):
        for leftover in ("new", "linked"):
            path.with_name(f"{path.name}.{leftover}").write_bytes(b"left behind")
        state_file.write(path, b"%d" % number)
        assert state_file.read(path, int) == (number, Generation.CURRENT)
