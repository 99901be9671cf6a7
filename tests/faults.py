"""Faults of the disk for a process that runs: its system calls fail, by strace."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ATTACHED_SECONDS = 20


@contextmanager
def failing(pid: int, calls: str, error: str = "EIO") -> Iterator[None]:
    """While in it, these system calls (separated by commas) fail in every thread of the process."""
    inject = [argument for call in calls.split(",") for argument in ("-e", f"inject={call}:error={error}")]
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", *inject, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until_attached(tracer, pid)
        yield
    finally:
        tracer.send_signal(signal.SIGTERM)
        tracer.wait(10)


def _wait_until_attached(tracer: subprocess.Popen[str], pid: int) -> None:
    deadline = time.monotonic() + ATTACHED_SECONDS
    while any(_tracer(task) != tracer.pid for task in Path(f"/proc/{pid}/task").iterdir()):
        assert tracer.poll() is None, tracer.stderr and tracer.stderr.read()
        assert time.monotonic() < deadline, "strace did not attach"
        time.sleep(0.01)


def _tracer(task: Path) -> int:
    try:
        lines = (task / "status").read_text().splitlines()
    except FileNotFoundError:  # the thread has ended
        return -1
    return next(int(line.split()[1]) for line in lines if line.startswith("TracerPid:"))
