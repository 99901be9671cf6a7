"""Directories whose names survive a power cut."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def make_directory(path: Path) -> None:
    """Make a directory for its owner alone, and those above it that are missing; their names are durable afterwards.

    The name of one that is there is synced, too: a crash may have come after it was made. Raises OSError.
    """
    missing = [above for above in (path, *path.parents) if not above.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_directory(made.parent)
    if not missing:
        with suppress(OSError):  # what is above may be nothing that this user may open
            sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable, new ones and renamed ones. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
