"""A role as the supervisor sees it: its process, its channel, and when it may be started again.

A channel is a pair of sockets. The process inherits one end, under `CHANNEL_FD`, and tells the supervisor over it how
far it has come; each end sees when the other process is gone.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time

import structlog

log = structlog.get_logger()

CHANNEL_FD = "TENURE_CHANNEL_FD"
OPENED = b"opened\n"
"""What the engine says once its data directory is open."""
FIRST_RESTART_SECONDS, LAST_RESTART_SECONDS = 0.1, 2.0
STEADY_SECONDS = 10.0
"""A role that ran this long before it died is restarted without delay."""
LONGEST_LIMIT_FACTOR = 32
"""The limit on the start of the engine doubles up to so many times its first value."""


class Role:
    """One role's process, and when it may be started again."""

    def __init__(self, name: str, environment: dict[str, str], descriptors: tuple[int, ...] = ()) -> None:
        self.name = name
        self.channel: socket.socket | None = None
        """The supervisor's end while the process runs. Reading from it never blocks."""
        self._environment = environment
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._wait = FIRST_RESTART_SECONDS
        self._due = 0.0

    def start(self) -> None:
        """Start the process."""
        self._started_at = time.monotonic()
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tenure.roles", self.name],
                env=self._environment | {CHANNEL_FD: str(theirs.fileno())},
                pass_fds=(*self._descriptors, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C reaches the supervisor alone, which stops the roles in order
            )
        log.info("role started", started=self.name, pid=self._process.pid)

    def wanted(self) -> bool:
        """Whether the process is to run."""
        return True

    def tend(self) -> None:
        """Start the process again if it has died and its time has come."""
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self._forget()
            if code == 0 and not self.wanted():
                return
            steady = now - self._started_at > STEADY_SECONDS
            self._wait = FIRST_RESTART_SECONDS if steady else min(self._wait * 2, LAST_RESTART_SECONDS)
            self._due = now + self._wait
            log.error("role died", died=self.name, code=code, restart_seconds=self._wait)
        elif now >= self._due and self.wanted():
            self.start()

    def stop(self, seconds: float) -> None:
        """Ask the process to end and wait for it; after `seconds`, end it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("role did not stop in time; killed", killed=self.name)
            self.kill()
            self._process.wait()
        self._forget()

    def kill(self) -> None:
        """End the process at once; `tend` notices that it is gone."""
        if self._process is not None:
            self._process.kill()

    def _forget(self) -> None:
        self._process = None
        if self.channel is not None:
            self.channel.close()
            self.channel = None


class RoleOnDemand(Role):
    """A role that runs while somebody asks it: it is started when a connection waits, and ends by itself."""

    def __init__(self, name: str, environment: dict[str, str], listener: socket.socket) -> None:
        super().__init__(name, environment, (listener.fileno(),))
        self._listener = listener

    def wanted(self) -> bool:
        """Whether a connection waits."""
        return bool(select.select([self._listener], [], [], 0)[0])


class EngineRole(Role):
    """The engine. One that does not open its data directory within a limit is ended and started again.

    The limit is in seconds. It doubles each time, since a directory may be so large that it takes longer. Once the
    directory is open there is no limit: a long statement is not a fault.
    """

    def __init__(self, environment: dict[str, str], descriptors: tuple[int, ...], limit: float) -> None:
        super().__init__("engine", environment, descriptors)
        self._first_limit = self._limit = limit
        self._open = False
        self.failed_starts = 0
        """How often in a row it ended, or was ended, before its data directory was open."""

    def start(self) -> None:
        """Start the process, and the time in which it must open its data directory."""
        if self._started_at and not self._open:
            self.failed_starts += 1
        self._open = False
        super().start()

    def tend(self) -> None:
        """End the process if it takes too long to open; start it again if it has died and its time has come."""
        super().tend()
        if self.channel is None or self._open:
            return
        seconds = time.monotonic() - self._started_at
        if self._said_open(self.channel):
            self._open = True
            self._limit = self._first_limit
            self.failed_starts = 0
            log.info("engine opened", seconds=round(seconds, 2))
        elif seconds > self._limit:
            self._limit = min(self._limit * 2, self._first_limit * LONGEST_LIMIT_FACTOR)
            log.error("engine did not open its data directory in time; killed", after_seconds=round(seconds, 1),
                      next_limit_seconds=self._limit)  # fmt: skip
            self.kill()
            self._started_at = time.monotonic()  # so that it is not ended again before it is gone

    @staticmethod
    def _said_open(channel: socket.socket) -> bool:
        try:
            return bool(channel.recv(len(OPENED)))
        except (BlockingIOError, ConnectionError):
            return False


def inherited_channel() -> socket.socket | None:
    """The end of the channel that this process has inherited; None for one that no supervisor started."""
    if CHANNEL_FD not in os.environ:
        return None
    channel = socket.socket(fileno=int(os.environ[CHANNEL_FD]))
    channel.set_inheritable(False)
    return channel


def tell(channel: socket.socket | None, message: bytes) -> None:
    """Tell the supervisor something, if there is one. When it is gone, this process ends soon anyway."""
    if channel is None:
        return
    with contextlib.suppress(OSError):
        channel.sendall(message)
