"""A real ext4 in a loop device, whose image lies in memory and can be copied as a power cut would leave it."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


def run(*words: str) -> str:
    """Run a command and return what it printed. Raises RuntimeError with what it said when it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def unmount(mount: Path) -> None:
    """Unmount a file system, if it is mounted; what was killed may still be on its way out."""
    for _ in range(50):
        if not mount.is_mount():
            return
        with contextlib.suppress(RuntimeError):
            run("umount", str(mount))
            return
        time.sleep(0.1)
    run("umount", "--lazy", str(mount))


class Disk:
    """An ext4 with its defaults on a loop device. Needs root."""

    def __init__(self, image: Path, mount: Path) -> None:
        self.image = image
        self.mount = mount

    def make(self, megabytes: int) -> None:
        """Make the file system and mount it."""
        with self.image.open("wb") as file:
            file.truncate(megabytes << 20)
        # What mkfs leaves to be initialized later would be written in the background, while the image is copied.
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        self.attach()

    def attach(self) -> None:
        """Mount the image. After a cut, ext4 replays its journal now."""
        self.mount.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "loop", str(self.image), str(self.mount))

    def fill(self, megabytes_left: int) -> Path:
        """Take all but so much of the space with one file, and return it: removing it gives the space back."""
        free = os.statvfs(self.mount)
        filler = self.mount / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - (megabytes_left << 20))
        return filler

    def detach(self) -> None:
        """Unmount the image, when it is mounted."""
        unmount(self.mount)

    def copy(self, target: Path) -> None:
        """Copy the image as it is at one moment, while nothing writes to the file system but the kernel's own threads.

        What the page cache holds is not in the image, as it would not be after a power cut. The copy is made again
        until a second reading shows that the image did not change meanwhile.
        """
        for _ in range(20):
            run("cp", "--sparse=always", str(self.image), str(target))
            if filecmp.cmp(self.image, target, shallow=False):
                return
        raise RuntimeError(f"{self.image} changed during each of 20 copies")


@contextlib.contextmanager
def mounted(memory: Path, name: str, megabytes: int) -> Iterator[Disk]:
    """Make a file system, mount it, and take it away at the end."""
    directory = memory / name
    directory.mkdir(parents=True)
    disk = Disk(directory / "image", directory / "mount")
    try:
        disk.make(megabytes)
        yield disk
    finally:
        disk.detach()
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def mounted_copy(image: Path, mount: Path) -> Iterator[Disk]:
    """Mount a copy of an image, and delete it at the end."""
    disk = Disk(image, mount)
    try:
        disk.attach()
        yield disk
    finally:
        disk.detach()
        image.unlink(missing_ok=True)
