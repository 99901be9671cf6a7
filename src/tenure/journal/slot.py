"""Slots: a process that writes to a journal holds the lock of its slot."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


def try_lock(directory: Path, slot: int) -> IO[bytes] | None:
    """Lock a slot; None when a live process has it."""
    file = (directory / f"{slot}.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
