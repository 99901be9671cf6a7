"""A real file system of a few megabytes: an ext4 in a file, mounted by a loop device. Needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEBIBYTE = 1024 * 1024


@contextmanager
def small_disk(directory: Path, mebibytes: int) -> Iterator[Path]:
    """Mount a new file system below a directory; it is unmounted in any case. Gives its root."""
    image, root = directory / "disk.img", directory / "disk"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(mebibytes * MEBIBYTE)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(root))
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=False)
        image.unlink()


def remount(root: Path, options: str) -> None:
    """Change a mounted file system, for example to `ro` or `rw`."""
    _run("mount", "-o", f"remount,{options}", str(root))


def free(directory: Path) -> int:
    """Free bytes of a file system."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


class Ballast:
    """A file that fills a disk up to a number of free bytes."""

    def __init__(self, root: Path) -> None:
        self._path = root / "ballast"

    def leave(self, wanted: int) -> None:
        """Make so many bytes free, about; fewer or more than are free now. 0: none at all."""
        size = self._path.stat().st_size if self._path.exists() else 0
        size = max(0, size + free(self._path.parent) - wanted)
        with self._path.open("ab", buffering=0) as file, suppress(OSError):  # the file system may need some for itself
            file.truncate(min(size, self._path.stat().st_size))
            while (missing := size - file.tell()) > 0:
                file.write(bytes(min(missing, 64 * 1024)))
        if not wanted:
            with self._path.open("ab", buffering=0) as file, suppress(OSError):
                while file.write(bytes(1024)):
                    pass

    def fill(self) -> None:
        """Leave nothing free."""
        with self._path.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(min(MEBIBYTE, max(1, free(self._path.parent)))))

    def remove(self) -> None:
        """Give back all that it takes."""
        self._path.unlink()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"this test needs root and loop devices: {' '.join(command)}: {done.stderr.strip()}"
