"""A wall clock that a test moves while a server runs: see `wall_clock.c`."""

from __future__ import annotations

import struct
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_suffix(".c")
HOUR, DAY = 3_600, 86_400


@cache
def library() -> Path:
    """The compiled library, for as long as the tests run."""
    built = Path(tempfile.mkdtemp(prefix="tenure-clock-")) / "wall_clock.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(built), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return built


class WallClock:
    """The wall clock of all processes that are started with `environment`. The test's own clock stays right."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "shift"
        self._file.write_bytes(struct.pack("q", 0))
        self.seconds = 0

    @property
    def environment(self) -> dict[str, str]:
        """Variables that bind a process to this clock."""
        return {"LD_PRELOAD": str(library()), "WALL_CLOCK_SHIFT": str(self._file)}

    def shift(self, seconds: int) -> None:
        """Set the clock to so many seconds ahead of the right time; a negative number is behind."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))
        self.seconds = seconds

    def now(self) -> float:
        """What the clock shows, in seconds since 1970."""
        return time.time() + self.seconds
