"""Makes the names in the engine's directories durable: of tables, parts and files.

The engine syncs the files and the directory of a part, but not the directory that the part's name is in; and it syncs
none of the directories that it makes for a table. A name that is not synced may be gone after a power cut, and what is
below it with it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SAME_TICK_SECONDS = 0.1
"""A directory that changed so lately may change again without another time of change."""


class DirectorySync:
    """Syncs the directories below one that changed since they were last synced. Thread-safe."""

    def __init__(self, root: Path) -> None:
        """`root` is the engine's directory."""
        self._root = root
        self._synced: dict[str, int] = {}
        self._lock = threading.Lock()

    def sync(self) -> None:
        """Return when all names are durable that are there now. Raises OSError."""
        with self._lock:
            for path in self._directories():
                self._sync_changed(path)

    def _directories(self) -> Iterator[str]:
        """From the data directory down to the tables: a name is worth nothing before the names above it.

        Parts are not among them: the engine syncs these.
        """
        yield str(self._root.parent.parent)
        yield str(self._root.parent)
        yield str(self._root)
        for name in ("metadata", "data"):
            yield str(self._root / name)
        store = str(self._root / "store")
        yield store
        for prefix in _subdirectories(store):
            yield prefix
            yield from _subdirectories(prefix)

    def _sync_changed(self, path: str) -> None:
        try:
            changed = os.stat(path).st_mtime_ns
            if self._synced.get(path) == changed:
                return
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if abs(time.time() - changed / 1e9) > SAME_TICK_SECONDS:
            self._synced[path] = changed


def _subdirectories(path: str) -> list[str]:
    try:
        with os.scandir(path) as found:
            return [item.path for item in found if item.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
