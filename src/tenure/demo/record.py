"""What `tenure demo` remembers in the data directory: which history it made, and whether all of it is loaded.

It is written before anything else is done. So a run that was broken off is taken up with the same end time,
and sends the same requests again: the same receipts, the same event ids, nothing twice.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tenure.directories import sync_directory
from tenure.errors import TenureError


class Record(msgspec.Struct):
    """`demo.json`. The first four decide the history; `end` is in milliseconds since 1970 UTC."""

    customers: int
    days: int
    seed: int
    end: int
    loaded_for: str | None = None
    """The app that has the whole history; None while it is not complete."""
    events: int = 0
    """How many events the whole history has, each counted once."""

    @classmethod
    def read(cls, data: Path) -> Record | None:
        """What was remembered; None when this data directory has no demo. Raises TenureError when unreadable."""
        try:
            return msgspec.json.decode(_path(data).read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise TenureError(f"{_path(data)} cannot be read: {error}; choose another --data") from error

    def write(self, data: Path) -> None:
        """Replace the file atomically and durably."""
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = _path(data).with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(self))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(_path(data))
        sync_directory(data)


def _path(data: Path) -> Path:
    return data / "demo.json"
