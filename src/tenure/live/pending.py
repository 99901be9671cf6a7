"""Requests that are in the journals: read from where one stopped, and searched before they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tenure import entry as entries
from tenure.entry import Entry
from tenure.journal import MEBIBYTE, JournalReader, Loaded, Row, readers

BURST: Final = 500
"""Requests of a journal that are read at one look at the most: of more, the last."""
SEARCHED_BYTES: Final = 64 * MEBIBYTE
"""So much of what waits to be loaded is searched in each journal."""


class _Head(msgspec.Struct, array_like=True):
    """The beginning of an entry: enough to see whose it is."""

    app: str


_head = msgspec.msgpack.Decoder(_Head)


class News(NamedTuple):
    """What came since the last look, for the apps that were asked for."""

    entries: list[Entry]
    missed: int
    """Requests, of any app, that came since and were not read: too many, or pruned before they could be."""


class Tail:
    """Follows the journals of a directory. One thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._readers: dict[Path, JournalReader] = {}
        self._positions: dict[str, int] = {}
        self._open(at_the_end=True)

    def read(self, apps: Collection[str]) -> News:
        """What came since the last call, oldest first."""
        self._open(at_the_end=False)
        found: list[Entry] = []
        missed = 0
        for reader in self._readers.values():
            newest, position = reader.newest(), self._positions.get(reader.id, 0)
            if newest <= position:
                continue
            rows = reader.read(max(position, newest - BURST), through=newest, max_bytes=4 * MEBIBYTE)
            missed += newest - position - len(rows)
            found += _of_apps(rows, apps)
            self._positions[reader.id] = newest
        found.sort(key=lambda entry: entry.received_at)
        return News(found, missed)

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers.values():
            reader.close()
        self._readers = {}

    def _open(self, *, at_the_end: bool) -> None:
        paths = set(self._directory.glob("*.sqlite"))
        if paths == set(self._readers):
            return
        known = set(self._readers)
        self.close()
        self._readers = {reader.path: reader for reader in readers(self._directory)}
        for path, reader in self._readers.items():
            if at_the_end and path not in known:
                self._positions[reader.id] = reader.newest()


def newest(directory: Path, app: str, limit: int) -> list[Entry]:
    """The last requests of an app that are in the journals still, among the last of each journal; newest first."""
    found: list[Entry] = []
    for reader in readers(directory):
        try:
            found += _of_apps(reader.read(max(0, reader.newest() - BURST), max_bytes=8 * MEBIBYTE), {app})
        finally:
            reader.close()
    return sorted(found, key=lambda entry: entry.received_at, reverse=True)[:limit]


def waiting(directory: Path, app: str) -> Iterator[Entry]:
    """The requests of an app that are not in the warehouse yet, of each journal the oldest first."""
    positions = Loaded.read(directory).positions
    for reader in readers(directory):
        try:
            yield from _after(reader, positions.get(reader.id, 0), app)
        finally:
            reader.close()


def find(directory: Path, app: str, is_meant: Callable[[Entry], bool], limit: int) -> list[Entry]:
    """Those that wait and are meant, at most so many."""
    found: list[Entry] = []
    for entry in waiting(directory, app):
        if is_meant(entry):
            found.append(entry)
            if len(found) == limit:
                break
    return found


def _after(reader: JournalReader, position: int, app: str) -> Iterator[Entry]:
    size = 0
    while size < SEARCHED_BYTES and (rows := reader.read(position, max_bytes=4 * MEBIBYTE)):
        position = rows[-1].position
        size += sum(len(row.payload) for row in rows)
        yield from _of_apps(rows, {app})


def _of_apps(rows: list[Row], apps: Collection[str]) -> list[Entry]:
    """The entries of these apps. What is damaged is the loader's to report."""
    found = []
    for row in rows:
        try:
            if row.intact and _head.decode(row.payload).app in apps:
                found.append(entries.decode(row.payload))
        except msgspec.DecodeError:
            continue
    return found
