"""How far the loader has come."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tenure import state_file
from tenure.state_file import State

NAME = "loaded.json"


class Loaded(msgspec.Struct):
    """How far the loader has come: written by the loader alone, read by all.

    `positions[journal id]` is the last position that is in the warehouse durably. `plan` holds the ranges
    (after, through) of the block being inserted, so that a loader that starts after a crash inserts the very
    same block again under the same deduplication token.
    """

    positions: dict[str, int] = {}
    plan: dict[str, tuple[int, int]] = {}
    erasures: int = 0
    """How many erasures there were when the plan was made: with more, the block may not be the same."""
    scrub: int = 0
    """Grows when writers are to free their files of what is pruned (see `Journal.scrub`)."""
    order: int = 0
    """The last reading of the hybrid clock among the entries that are loaded."""

    @classmethod
    def read(cls, directory: Path) -> Loaded:
        """Read what was last written; nothing is loaded when there is no file yet."""
        return cls.state(directory).value or cls()

    @classmethod
    def state(cls, directory: Path) -> State[Loaded]:
        """Read what was last written, and whether the file was damaged.

        When all of it is lost, a loader begins with the oldest entry of each journal: what is loaded already changes
        nothing when it is loaded again.
        """
        return state_file.read(directory / NAME, _decode)

    def write(self, directory: Path) -> None:
        """Replace the file atomically and durably."""
        state_file.write(directory / NAME, msgspec.json.encode(self))


def _decode(body: bytes) -> Loaded:
    return msgspec.json.decode(body, type=Loaded)
