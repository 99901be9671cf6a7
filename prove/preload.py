"""Moves the clocks of a running server and makes its writes fail, by a small library in its processes."""

from __future__ import annotations

import mmap
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("preload.c")
FAULTS = {"none": 0, "EIO": 1, "ENOSPC": 2, "EROFS": 3, "short writes": 4}
FORMAT = "qq8s"


class Preload:
    """The library, and the file by which it is steered."""

    def __init__(self, directory: Path, data: Path) -> None:
        library, control = directory / "preload.so", directory / "preload.control"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
        control.write_bytes(bytes(struct.calcsize(FORMAT)))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 0)
        self._seconds, self._fault, self._role = 0, 0, b""
        self.environment = {
            "LD_PRELOAD": str(library),
            "PROVE_CONTROL": str(control),
            "PROVE_DATA": f"{data.resolve()}/",
        }
        """What the server is started with."""

    def shift(self, seconds: int) -> None:
        """Move the wall clock of all processes; the monotonic clock stays."""
        self._seconds = seconds
        self._write()

    def fault(self, kind: str, role: str = "") -> None:
        """Let writes of one role to the data directory fail, until another kind is set."""
        self._fault, self._role = FAULTS[kind], role.encode()[:8]
        self._write()

    def _write(self) -> None:
        self._control[:] = struct.pack(FORMAT, self._seconds, self._fault, self._role)
