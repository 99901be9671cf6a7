"""What a disk holds after a power cut, computed from a log of every change to a file system. Pure.

Two models. `only_synced`: nothing survives but the content of files at their last fsync, and the names in directories
at the directory's last fsync. `ordered`: ext4's ordered mode with write-back after 30 seconds: names change in order
up to a commit of the journal, data that was synced or is old survive, younger data are there in part or not at all.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

ROOT = 0
SECOND = 1_000_000_000
COMMIT_NANOSECONDS = 5 * SECOND
"""ext4 commits its journal at least so often."""
WRITE_BACK_NANOSECONDS = 35 * SECOND
"""Linux writes dirty data back after 30 seconds, and looks every 5."""

Kind = Literal["directory", "file", "symlink", "link", "unlink", "rename", "write", "truncate", "sync"]


@dataclass(frozen=True, slots=True)
class Record:
    """One change. Nodes are numbered and never used again; 0 is the root."""

    time: int
    """Nanoseconds of the monotonic clock."""
    kind: Kind
    node: int
    """The file or directory that is made, named, written or synced."""
    parent: int = ROOT
    name: str = ""
    to_parent: int = ROOT
    to_name: str = ""
    offset: int = 0
    """Where a write begins; the size to which a file is truncated."""
    data: bytes = b""
    """What is written; where a symbolic link leads."""


@dataclass
class Tree:
    """The files below one directory."""

    directories: dict[str, Tree] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Make the files in an existing empty directory."""
        for name, content in self.files.items():
            (path / name).write_bytes(content)
        for name, target in self.links.items():
            (path / name).symlink_to(target)
        for name, tree in self.directories.items():
            (path / name).mkdir(mode=0o700)
            tree.write(path / name)


@dataclass
class _Names:
    """The directories, as the records up to some point leave them."""

    entries: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    targets: dict[int, str] = field(default_factory=dict)

    def apply(self, record: Record) -> None:
        """Change the names as a record says; other records change nothing."""
        if record.kind in ("directory", "file", "symlink", "link"):
            self.entries[record.parent][record.name] = record.node
            if record.kind == "directory":
                self.entries[record.node] = {}
            elif record.kind == "symlink":
                self.targets[record.node] = record.data.decode()
        elif record.kind == "unlink":
            del self.entries[record.parent][record.name]
        elif record.kind == "rename":
            self.entries[record.to_parent][record.to_name] = self.entries[record.parent].pop(record.name)

    def tree(self, contents: dict[int, bytes], node: int = ROOT) -> Tree:
        """Return the files below a directory."""
        found = Tree()
        for name, below in self.entries.get(node, {}).items():
            if below in self.entries:
                found.directories[name] = self.tree(contents, below)
            elif below in self.targets:
                found.links[name] = self.targets[below]
            else:
                found.files[name] = contents.get(below, b"")
        return found


def change(content: bytearray, record: Record) -> None:
    """Write to a file's content, or cut it, as a record says."""
    if record.kind == "truncate":
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
    elif record.kind == "write":
        content.extend(bytes(max(0, record.offset - len(content))))
        content[record.offset : record.offset + len(record.data)] = record.data


def only_synced(log: Iterable[Record]) -> Tree:
    """Return the disk after the records of the log, when only what was synced survives."""
    now, durable = _Names(), _Names()
    contents: dict[int, bytearray] = {}
    synced: dict[int, bytes] = {}
    for record in log:
        now.apply(record)
        if record.kind in ("write", "truncate"):
            change(contents.setdefault(record.node, bytearray()), record)
        elif record.kind == "sync" and record.node in now.entries:
            durable.entries[record.node] = dict(now.entries[record.node])
        elif record.kind == "sync":
            synced[record.node] = bytes(contents.get(record.node, b""))
    durable.targets = now.targets
    for node in now.entries:
        durable.entries.setdefault(node, {})
    return durable.tree(synced)


def ordered(log: list[Record], moment: int, chance: random.Random) -> Tree:
    """Return one of the disks that ext4's ordered mode may leave when the power fails at a moment, after the log."""
    committed = chance.randint(first_commit(log, moment), len(log))
    names = _Names()
    for record in log[:committed]:
        names.apply(record)
    last_sync = {record.node: number for number, record in enumerate(log) if record.kind == "sync"}
    written_back: dict[int, int] = {}
    contents: dict[int, bytearray] = {}
    for number, record in enumerate(log):
        if record.kind not in ("write", "truncate"):
            continue
        if record.node not in written_back:
            # The kernel may have written some of the young data back already.
            written_back[record.node] = chance.choice((0, 0, chance.randint(0, len(log)), len(log)))
        durable = (
            number <= last_sync.get(record.node, -1)
            or record.time <= moment - WRITE_BACK_NANOSECONDS
            or (number < committed if record.kind == "truncate" else number < written_back[record.node])
        )
        if durable:
            change(contents.setdefault(record.node, bytearray()), record)
    return names.tree({node: bytes(content) for node, content in contents.items()})


def first_commit(log: list[Record], moment: int) -> int:
    """Return how many records the journal holds at least: all until the last sync, and all that are old enough."""
    for number in range(len(log), 0, -1):
        record = log[number - 1]
        if record.kind == "sync" or record.time <= moment - COMMIT_NANOSECONDS:
            return number
    return 0


def append(file: BinaryIO, record: Record) -> None:
    """Append a record to a log file."""
    fields = tuple(getattr(record, name) for name in Record.__slots__)
    pickle.dump(fields, file, protocol=pickle.HIGHEST_PROTOCOL)


def read(path: Path) -> Iterator[Record]:
    """Read a log file; a record that is not written to its end is left out."""
    with path.open("rb") as file:
        while True:
            try:
                yield Record(*pickle.load(file))
            except (EOFError, pickle.UnpicklingError):
                return
