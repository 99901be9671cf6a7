"""What the last check of every byte found, kept in a file for whoever shows it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tenure import state_file
from tenure.settings import MEBIBYTE
from tenure.wire.times import rfc3339


class DeepResult(msgspec.Struct):
    """What a check of every byte found. Times: milliseconds since 1970 UTC."""

    started_at: int
    ended_at: int = 0
    bytes: int = 0
    parts: int = 0
    repaired: list[str] = []
    """Small files that were put right."""
    damaged: list[str] = []
    """What cannot be read, in sentences."""
    differences: list[str] = []
    """Tables that do not agree, in sentences."""

    @classmethod
    def path(cls, data: Path) -> Path:
        """The file that holds the last result."""
        return data / "deep-check.json"

    @classmethod
    def read(cls, data: Path) -> DeepResult | None:
        """The last result; None when there is none."""
        return state_file.read(cls.path(data), lambda body: msgspec.json.decode(body, type=cls)).value

    def write(self, data: Path) -> None:
        """Replace the last result."""
        state_file.write(self.path(data), msgspec.json.encode(self))

    @property
    def holds(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged and not self.differences

    @property
    def in_words(self) -> str:
        """When, how much, and what was found."""
        read = f"{rfc3339(self.ended_at)}: {self.bytes / MEBIBYTE:,.1f} MiB in {self.parts:,} parts read"
        found = [*self.damaged, *self.differences] or ["nothing is damaged"]
        put_right = f"; {len(self.repaired)} small files put right" if self.repaired else ""
        return f"{read}; {'; '.join(found)}{put_right}"
