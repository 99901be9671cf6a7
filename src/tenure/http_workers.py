"""The http workers as the supervisor sees them: how many there are, and a new one for each that dies.

The http role is a fork server (see `fork_server`). For each worker the supervisor sends it one byte with one end of a
new channel, and the forked worker keeps that end. The workers depend on the fork server for their birth only: they go
on when it dies, and it is started again for the next one that is needed. All of them accept from one listening socket,
which the supervisor holds, so that connections wait in its queue while no worker is there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time

import structlog

from tenure.role_process import FIRST_RESTART_SECONDS, LAST_RESTART_SECONDS, Role

log = structlog.get_logger()

FORK = b"f"
"""The request for a worker; one end of its channel comes with it."""
STARTED, READY = b"started", b"ready"
"""What a worker says: `started PID`, then `ready` when it accepts connections."""
READY_SECONDS = 60.0
"""A worker that is not ready so long after it was asked for is ended."""
GONE_SECONDS = 0.5
"""How long a dead worker's process is waited for, so that its files are closed: at that moment its journal is free."""
POLL_SECONDS = 0.001


class HttpWorker:
    """One worker, or the vacancy that a dead one has left."""

    def __init__(self) -> None:
        self.channel: socket.socket | None = None
        self.pid: int | None = None
        self.ready = False
        self._unread = b""
        self._asked_at = 0.0
        self._wait = 0.0
        self._due = 0.0

    def tend(self, server: Role) -> None:
        """Notice what the worker says and whether it has died; ask the fork server for another one."""
        now = time.monotonic()
        if self.channel is None:
            if now >= self._due and server.channel is not None:
                self._ask(server.channel)
        elif not self.hear():
            self._died()
        elif not self.ready and now - self._asked_at > READY_SECONDS:
            log.error("http worker was not ready in time; killed", pid=self.pid, after_seconds=READY_SECONDS)
            self._asked_at = now
            if self.pid is None:
                server.kill()  # it does not answer
            self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal to the process, if there is one."""
        if self.pid is not None and self.channel is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def hear(self) -> bool:
        """Take note of what the worker has said; False when it is gone."""
        assert self.channel is not None
        try:
            while said := self.channel.recv(4096):
                *lines, self._unread = (self._unread + said).split(b"\n")
                for line in lines:
                    self._take_note(line)
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        return False

    def wait_gone(self) -> None:
        """Return when the process is gone, its files closed and its locks free. Closes the channel."""
        deadline = time.monotonic() + GONE_SECONDS
        while self.pid is not None and _exists(self.pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if self.channel is not None:
            self.channel.close()
        self.channel, self.pid, self._unread = None, None, b""

    def _ask(self, server: socket.socket) -> None:
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        self.ready = False
        self._asked_at = time.monotonic()
        with theirs, contextlib.suppress(OSError):  # a fork server that is gone: the channel ends with `theirs`
            socket.send_fds(server, [FORK], [theirs.fileno()])

    def _take_note(self, line: bytes) -> None:
        what, _, value = line.partition(b" ")
        if what == STARTED:
            self.pid = int(value)
        elif what == READY:
            self.ready = True
            self._wait = 0.0
            seconds = round(time.monotonic() - self._asked_at, 3)
            log.info("http worker ready", pid=self.pid, seconds=seconds)

    def _died(self) -> None:
        """One that has served is replaced at once; one that dies while it starts, after a growing time."""
        pid, served = self.pid, self.ready
        self.wait_gone()
        if not served:
            self._wait = min(max(self._wait * 2, FIRST_RESTART_SECONDS), LAST_RESTART_SECONDS)
        self._due = time.monotonic() + self._wait
        self.ready = False
        if pid is not None:
            log.error("http worker died", pid=pid, restart_seconds=self._wait)


class HttpWorkers:
    """All http workers, and the fork server that makes them."""

    def __init__(self, server: Role, count: int) -> None:
        self._server = server
        self._workers = [HttpWorker() for _ in range(count)]

    @property
    def any_ready(self) -> bool:
        """Whether a worker accepts connections."""
        return any(worker.ready for worker in self._workers)

    @property
    def channels(self) -> list[socket.socket]:
        """What becomes readable when a worker says something or dies."""
        return [worker.channel for worker in self._workers if worker.channel is not None]

    def start(self) -> None:
        """Start the fork server. It imports, and makes no worker before `tend` asks for one."""
        self._server.start()

    def tend(self) -> None:
        """Replace what has died."""
        self._server.tend()
        for worker in self._workers:
            worker.tend(self._server)

    def stop(self, seconds: float) -> None:
        """Ask the workers to finish their requests and end; after `seconds`, end them."""
        self._server.stop(seconds=1.0)
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        for worker in self._workers:
            self._wait_for_end(worker, deadline)

    @staticmethod
    def _wait_for_end(worker: HttpWorker, deadline: float) -> None:
        if worker.channel is None:
            return
        known = worker.pid
        while worker.hear():
            if worker.pid != known:  # forked in the moment before; it has not been told yet
                known = worker.pid
                worker.signal(signal.SIGTERM)
            if time.monotonic() > deadline:
                log.warning("http worker did not stop in time; killed", pid=worker.pid)
                worker.signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        worker.wait_gone()


def _exists(pid: int) -> bool:
    """Whether a process is there. One whose parent is gone may have become a child of ours, and is reaped."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
