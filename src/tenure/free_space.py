"""Keeps some space free on the disks, so that merges, erasures and the control database can go on.

Two limits, each of the file system that a directory is on:

- With less than the first under the warehouse, the loader stops. Accepted requests wait in the journal.
- With less than a quarter of it under the journal, requests are answered 503 (`disk_full`).

Both go on by themselves once a little more than the limit is free.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from tenure.settings import MEBIBYTE, Settings

log = structlog.get_logger()

LEAST: Final = 16 * MEBIBYTE
MOST: Final = 1024 * MEBIBYTE
JOURNAL_SHARE: Final = 4
"""The journal's limit is this part of the warehouse's."""
MARGIN: Final = 1.1
"""Work goes on with this many times the limit free, so that it does not stop and start all the time."""


class Disk(StrEnum):
    """A directory whose file system is watched. Each is a value of the label `disk`."""

    WAREHOUSE = "warehouse"
    JOURNAL = "journal"


class Space(NamedTuple):
    """Free space on a file system and the limit for it, in bytes."""

    free: int
    limit: int


def default_limit(size: int) -> int:
    """Bytes to keep free on a file system of `size` bytes: a tenth, 16 MiB to 1 GiB, and never more than a quarter."""
    return min(max(size // 10, LEAST), MOST, size // 4)


def measure(directory: Path, minimum_mb: int | None, disk: Disk) -> Space:
    """The free space under a directory, or where it is going to be. Raises OSError."""
    while not directory.exists():
        directory = directory.parent
    status = os.statvfs(directory)
    size, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    limit = default_limit(size) if minimum_mb is None else minimum_mb * MEBIBYTE
    return Space(free, limit // JOURNAL_SHARE if disk is Disk.JOURNAL else limit)


class SpaceGuard:
    """Watches the file system of one directory."""

    def __init__(self, disk: Disk, directory: Path, minimum_mb: int | None) -> None:
        self.disk = disk
        self.space = Space(0, 0)
        """What `look` found last."""
        self.is_low = False
        """Whether what fills this disk is to stop."""
        self._directory = directory
        self._minimum_mb = minimum_mb

    def look(self, *, quiet: bool = False) -> bool:
        """Measure now; returns `is_low`. While the file system does not answer, it stays as it was.

        Logs a change, unless `quiet`.
        """
        try:
            self.space = measure(self._directory, self._minimum_mb, self.disk)
        except OSError as error:
            log.warning("free space cannot be measured", disk=self.disk.value, error=error.strerror)
            return self.is_low
        was_low = self.is_low
        self.is_low = self.space.free < self.space.limit * (MARGIN if was_low else 1)
        if quiet or self.is_low == was_low:
            return self.is_low
        if self.is_low:
            log.error("too little free space", disk=self.disk.value, free=self.space.free, limit=self.space.limit)
        else:
            log.info("enough free space again", disk=self.disk.value, free=self.space.free, limit=self.space.limit)
        return self.is_low

    @property
    def reason(self) -> str:
        """What is wrong, in a sentence with numbers."""
        sizes = (self.space.free, self.space.limit, self.space.limit * MARGIN)
        free, limit, enough = (f"{size / MEBIBYTE:,.1f} MiB" for size in sizes)
        what = "Loading is stopped" if self.disk is Disk.WAREHOUSE else "Requests are refused"
        disk = f"the {self.disk}'s disk"
        return f"{what}: {disk} has {free} free, and {limit} are to stay free. It goes on with {enough}."


def guards(settings: Settings) -> list[SpaceGuard]:
    """A guard for each disk of this installation. A warehouse elsewhere takes care of its own disk."""
    found = [SpaceGuard(Disk.JOURNAL, settings.journal_directory, settings.min_free_mb)]
    warehouse = warehouse_guard(settings)
    return found if warehouse is None else [warehouse, *found]


def warehouse_guard(settings: Settings) -> SpaceGuard | None:
    """The guard of the embedded warehouse; None when the warehouse is elsewhere."""
    if settings.warehouse_url is not None:
        return None
    return SpaceGuard(Disk.WAREHOUSE, settings.data / "warehouse", settings.min_free_mb)
