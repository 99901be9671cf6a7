"""The data directory at a start: whether it can be used, and that one server has it.

What the file system refuses becomes one sentence that says what is wrong and what to do (`DataUnusable`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tenure.directories import make_directory
from tenure.errors import AlreadyRunning, DataUnusable

PARTS = (".", "journal", "run", "warehouse")
"""Directories in which the roles write, `.` for the data directory itself. Those that are missing are made later."""


def lock_data(data: Path) -> IO[bytes]:
    """Take the data directory for this process, and make sure that it can be written.

    Raises AlreadyRunning when another process has it, and DataUnusable.
    """
    with explained(data):
        make_directory(data)
        file = (data / "serve.lock").open("ab")
    try:
        _lock(file, data)
        _check_writable(data)
    except BaseException:
        file.close()
        raise
    return file


def is_locked(data: Path) -> bool:
    """Whether another process has the data directory, such as a `tenure serve`. Raises DataUnusable."""
    try:
        lock_data(data).close()
    except AlreadyRunning:
        return True
    return False


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses in the body, on `path` or below, into DataUnusable."""
    try:
        yield
    except OSError as error:
        raise DataUnusable(_sentence(error, path)) from error


def _lock(file: IO[bytes], data: Path) -> None:
    with explained(data):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"another `tenure serve` is running on {data}; stop it, or choose another --data"
            ) from None


def _check_writable(data: Path) -> None:
    """Write to a file in each directory: what fails later fails in a role, where nobody is told at once."""
    for part in PARTS:
        directory = data / part
        with explained(directory):
            if not directory.exists():
                continue
            with tempfile.TemporaryFile(dir=directory) as probe:
                probe.write(b"probe")
                probe.flush()


def _sentence(error: OSError, path: Path) -> str:
    return f"cannot use {path}: {os.strerror(error.errno or errno.EIO)}; {_advice(error, path)}"


def _advice(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.EROFS:
            return "its file system is read-only: mount it for writing, or choose another --data"
        case errno.EACCES | errno.EPERM:
            return f"this user (uid {os.geteuid()}) may not write there{_owner(path)}, or choose another --data"
        case errno.ENOSPC | errno.EDQUOT:
            return "the disk is full: free some space, then start again"
        case errno.ENOTDIR | errno.EEXIST:
            return "there is a file where a directory has to be: move it away, or choose another --data"
        case errno.EIO:
            return "the disk fails: look at the system's log, and restore a backup to another disk"
        case _:
            return "choose another --data, or mend it"


def _owner(path: Path) -> str:
    """What to do about who owns the nearest directory that can be seen."""
    for candidate in (path, *path.resolve().parents):
        try:
            owner = candidate.stat().st_uid
        except OSError:
            continue
        return f": run as its owner (uid {owner}), or give it to this user with chown and chmod"
    return ""
