"""The files in which processes share their metrics, with their space allocated before it is written.

The client library writes them through sparse memory maps. On a full disk, the first write to such a page ends the
process with SIGBUS: a worker could not start again, and a running one could die of a new label. So space is allocated
first; when there is none, the process counts in memory alone, and its counts are missing from `/metrics` until it
starts again.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import mmap_dict, values

INITIAL_BYTES = 8 * 1024
"""Small, since every process that ever ran since the start leaves its files."""
_ENTRY_BYTES = 2_048
"""More than any one value takes."""


class AllocatedDict(mmap_dict.MmapedDict):
    """A file of metrics whose every page has its space on the disk, or else is in memory."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode and not _create(filename):
            filename = f"/proc/self/fd/{os.memfd_create('metrics')}"
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + _ENTRY_BYTES > self._capacity:
            self._grow()
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self) -> None:
        """Allocate what the library is about to grow into; when that fails, go on with a copy in memory."""
        try:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        except OSError:
            memory = os.fdopen(os.memfd_create("metrics"), "r+b", buffering=0)
            memory.write(self._m[:])
            self._f = memory


def install() -> None:
    """Have the client library use `AllocatedDict`. Call it before the first metric is made."""
    if hasattr(os, "memfd_create") and hasattr(os, "posix_fallocate"):
        values.MmapedDict = AllocatedDict  # type: ignore[attr-defined]


def _create(filename: str) -> bool:
    """Create a file of metrics with its space; returns whether that could be done. One that exists stays."""
    path = Path(filename)
    try:
        with path.open("ab") as file:
            if not os.fstat(file.fileno()).st_size:
                os.posix_fallocate(file.fileno(), 0, INITIAL_BYTES)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True
