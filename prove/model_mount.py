"""A file system in memory, mounted by FUSE, that logs every change: `python -m prove.model_mount MOUNT LOG`.

Changes are logged in the order in which programs see them, each before the program goes on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mfusepy

from prove.model_disk import ROOT, Kind, Record, append, change

NO_REPLACE = 1
"""renameat2's flag by which an existing name is not replaced; its other flags are refused."""
BLOCKS = 1 << 20
"""The size that the file system claims, in blocks of 4 KiB; nothing enforces it."""


@dataclass
class Node:
    """A file, directory or symbolic link."""

    id: int
    mode: int
    content: bytearray = field(default_factory=bytearray)
    entries: dict[str, Node] = field(default_factory=dict)
    links: int = 1
    changed: int = field(default_factory=time.time_ns)
    owner: tuple[int, int] = (0, 0)


def fail(number: int) -> OSError:
    """Return the error that the program is told."""
    return OSError(number, os.strerror(number))


class LoggingFiles(mfusepy.Operations):  # type: ignore[misc]
    """The operations of the file system. The mount runs in one thread, so nothing is locked."""

    use_ns = True

    def __init__(self, log: Path) -> None:
        self._log = log.open("wb", buffering=0)
        self._root = Node(ROOT, stat.S_IFDIR | 0o700, links=2)
        self._next = ROOT + 1
        self._open: dict[int, Node] = {}
        self._handles = 0

    def _note(self, kind: Kind, node: Node, **fields: Any) -> None:
        append(self._log, Record(time.monotonic_ns(), kind, node.id, **fields))
        node.changed = time.time_ns()

    def _find(self, path: str) -> Node:
        node = self._root
        for name in path.split("/"):
            if name:
                if name not in node.entries:
                    raise fail(errno.ENOENT)
                node = node.entries[name]
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        directory, _, name = path.rpartition("/")
        return self._find(directory), name

    def _add(self, path: str, mode: int, kind: Kind, content: bytes = b"") -> Node:
        parent, name = self._parent(path)
        if name in parent.entries:
            raise fail(errno.EEXIST)
        node = Node(self._next, mode, bytearray(content))
        self._next += 1
        self._note(kind, node, parent=parent.id, name=name, data=content)
        parent.entries[name] = node
        return node

    def _handle(self, node: Node) -> int:
        self._handles += 1
        self._open[self._handles] = node
        return self._handles

    def init_with_config(self, _: Any, config: Any) -> None:
        """Remove open files at once, and let the kernel keep what it knows: nobody else changes the files."""
        config.hard_remove = 1
        config.nullpath_ok = 0
        config.use_ino = 1
        config.attr_timeout = config.entry_timeout = 3600.0

    def getattr(self, path: str | None, fh: int | None = None) -> dict[str, Any]:
        """Return a file's attributes."""
        node = self._open[fh] if fh else self._find(path or "/")
        return {
            "st_mode": node.mode,
            "st_ino": node.id + 1,
            "st_nlink": node.links,
            "st_size": len(node.content),
            "st_blocks": (len(node.content) + 511) // 512,
            "st_uid": node.owner[0],
            "st_gid": node.owner[1],
            "st_atime": node.changed,
            "st_mtime": node.changed,
            "st_ctime": node.changed,
        }

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        """List a directory."""
        directory = self._find(path)
        nodes = {".": directory, "..": directory} | directory.entries
        return [(name, {"st_ino": node.id + 1, "st_mode": node.mode}, 0) for name, node in nodes.items()]

    def mkdir(self, path: str, mode: int) -> int:
        """Make a directory."""
        self._add(path, stat.S_IFDIR | mode, "directory").links = 2
        return 0

    def create(self, path: str, mode: int, fi: int | None = None) -> int:
        """Make a file and open it."""
        return self._handle(self._add(path, stat.S_IFREG | mode, "file"))

    def open(self, path: str, flags: int) -> int:
        """Open a file."""
        node = self._find(path)
        if flags & os.O_TRUNC and node.content:
            self._cut(node, 0)
        return self._handle(node)

    def opendir(self, path: str) -> int:
        """Open a directory, so that it can be synced."""
        return self._handle(self._find(path))

    def release(self, path: str | None, fh: int) -> int:
        """Close a file."""
        self._open.pop(fh, None)
        return 0

    releasedir = release

    def symlink(self, target: str, source: str) -> int:
        """Make a symbolic link, whose path comes first."""
        self._add(target, stat.S_IFLNK | 0o777, "symlink", os.fsencode(source))
        return 0

    def readlink(self, path: str) -> str:
        """Return where a symbolic link leads."""
        return os.fsdecode(bytes(self._find(path).content))

    def link(self, target: str, source: str) -> int:
        """Give a file another name, which comes first."""
        node = self._find(source)
        parent, name = self._parent(target)
        if name in parent.entries:
            raise fail(errno.EEXIST)
        self._note("link", node, parent=parent.id, name=name)
        parent.entries[name] = node
        node.links += 1
        return 0

    def unlink(self, path: str) -> int:
        """Remove a name."""
        parent, name = self._parent(path)
        node = self._find(path)
        self._note("unlink", node, parent=parent.id, name=name)
        del parent.entries[name]
        node.links -= 1
        return 0

    def rmdir(self, path: str) -> int:
        """Remove an empty directory."""
        if self._find(path).entries:
            raise fail(errno.ENOTEMPTY)
        return self.unlink(path)

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        """Rename a file, with the flags of renameat2."""
        if flags & ~NO_REPLACE:
            raise fail(errno.EINVAL)
        (parent, name), (to_parent, to_name) = self._parent(old), self._parent(new)
        node, replaced = self._find(old), to_parent.entries.get(to_name)
        if replaced is not None and flags & NO_REPLACE:
            raise fail(errno.EEXIST)
        if replaced is not None and replaced.entries:
            raise fail(errno.ENOTEMPTY)
        if replaced is node:
            return 0
        self._note("rename", node, parent=parent.id, name=name, to_parent=to_parent.id, to_name=to_name)
        to_parent.entries[to_name] = parent.entries.pop(name)
        if replaced is not None:
            replaced.links -= 1
        return 0

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        """Return content."""
        return bytes(memoryview(self._open[fh].content)[offset : offset + size])

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        """Write content."""
        node = self._open[fh]
        self._note("write", node, offset=offset, data=data)
        change(node.content, Record(0, "write", node.id, offset=offset, data=data))
        return len(data)

    def _cut(self, node: Node, length: int) -> None:
        self._note("truncate", node, offset=length)
        change(node.content, Record(0, "truncate", node.id, offset=length))

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        """Set a file's size."""
        self._cut(self._open[fh] if fh else self._find(path or "/"), length)
        return 0

    def fsync(self, path: str | None, datasync: int, fh: int) -> int:
        """Log that a file or directory was synced."""
        self._note("sync", self._open[fh])
        return 0

    fsyncdir = fsync

    def flush(self, path: str | None, fh: int) -> int:
        """Closing syncs nothing."""
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """Change the mode; it is not logged, since all copies are made for root."""
        node = self._find(path)
        node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Change the owner."""
        self._find(path).owner = (uid, gid)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """Set the time of change."""
        self._find(path).changed = times[1] if times else time.time_ns()
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        """Claim a size."""
        sizes = dict.fromkeys(("f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail"), BLOCKS)
        return {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255} | sizes


class Mount(mfusepy.FUSE):  # type: ignore[misc]
    """The bindings, which leave out the flags of renameat2."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        """Hand on the flags."""
        result: int = self.operations.rename(os.fsdecode(old), os.fsdecode(new), ctypes.c_uint(flags).value)
        return result


def main() -> None:
    """Mount until unmounted."""
    mount, log = sys.argv[1:]
    Mount(LoggingFiles(Path(log)), mount, foreground=True, nothreads=True, fsname="model", allow_other=False)


if __name__ == "__main__":
    main()
