"""Where the server of a data directory is found: it says so in a file, for commands that run beside it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tenure import state_file
from tenure.data_directory import is_locked


class Served(msgspec.Struct, frozen=True):
    """Where browsers find a running `tenure serve`."""

    url: str

    def write(self, data: Path) -> None:
        """Leave it for commands."""
        _path(data).parent.mkdir(mode=0o700, exist_ok=True)
        state_file.write(_path(data), msgspec.json.encode(self), durable=False, keep_previous=False)


def forget(data: Path) -> None:
    """Nobody serves this data directory any more."""
    _path(data).unlink(missing_ok=True)


def served_at(data: Path) -> str | None:
    """Where browsers find the server that runs on a data directory; None when none does. Raises DataUnusable."""
    if not _path(data).exists() or not is_locked(data):
        return None
    found = state_file.read(_path(data), lambda body: msgspec.json.decode(body, type=Served)).value
    return None if found is None else found.url


def _path(data: Path) -> Path:
    return data / "run" / "server.json"
