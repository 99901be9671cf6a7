"""A `tenure serve` of the campaign: started as a user starts it, killed, frozen and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from prove.http import TRANSPORT_ERRORS, Connection

READY_SECONDS = 90.0


class NotReady(Exception):
    """The server ended, or did not become ready in time."""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(
    *arguments: str,
    data: Path,
    check: bool = True,
    seconds: float = 300,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a `tenure` command on a data directory. Raises CalledProcessError when it fails and `check` is set."""
    return subprocess.run(
        [sys.executable, "-m", "tenure", *arguments, "--data", str(data)],
        capture_output=True,
        text=True,
        check=check,
        timeout=seconds,
        env=os.environ | (environment or {}),
    )


def create_app(data: Path, environment: dict[str, str] | None = None) -> dict[str, str]:
    """Create an app with the command line; returns its id and keys."""
    done = command("app", "create", "campaign", "--json", data=data, environment=environment)
    keys: dict[str, str] = json.loads(done.stdout)
    return keys


class Server:
    """One `tenure serve` on one data directory."""

    def __init__(
        self, data: Path, log: Path, environment: dict[str, str] | None = None, port: int | None = None
    ) -> None:
        self.data = data
        self.log = log
        self.port = port or free_port()
        self.environment = environment or {}
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, before: tuple[str, ...] = ()) -> None:
        """Start without waiting; `before` is a command that runs the server, such as strace."""
        arguments = [sys.executable, "-m", "tenure", "serve", "--data", str(self.data), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
                start_new_session=True,
            )

    def start(self, seconds: float = READY_SECONDS) -> float:
        """Start, and wait until events are accepted; returns how many seconds that took. Raises NotReady."""
        started = time.monotonic()
        self.launch()
        self.wait_ready(seconds)
        return time.monotonic() - started

    def ready(self) -> bool:
        """Whether `/readyz` says yes."""
        connection = Connection(self.port, timeout=5)
        try:
            return connection.ask("GET", "/readyz", {})[0] == 200
        except TRANSPORT_ERRORS:
            return False
        finally:
            connection.close()

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until `/readyz` says yes. Raises NotReady."""
        deadline = time.monotonic() + seconds
        while not self.ready():
            if self.process is not None and self.process.poll() is not None:
                raise NotReady(f"the server ended with {self.process.returncode}; {self.last_lines()}")
            if time.monotonic() > deadline:
                raise NotReady(f"not ready after {seconds:.0f} s; {self.last_lines()}")
            time.sleep(0.05)

    def last_lines(self, count: int = 3) -> str:
        """Return the last lines of the server's log."""
        with contextlib.suppress(OSError):
            return " | ".join(self.log.read_text(errors="replace").splitlines()[-count:])[-1000:]
        return "no log"

    def stop(self, seconds: float = 90) -> None:
        """Stop the server as an operator does; kill it when that takes too long."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def pids(self) -> list[int]:
        """Return the process ids of the supervisor and of all that it started."""
        return descendants(self.process.pid) if self.process is not None else []

    def role(self, name: str) -> list[int]:
        """Return the process ids of a role and of its children; of the supervisor alone for "supervisor"."""
        assert self.process is not None
        if name == "supervisor":
            return [self.process.pid]
        for pid in self.pids():
            words = command_line(pid)
            if "tenure.roles" in words and words[words.index("tenure.roles") + 1 :][:1] == [name]:
                return descendants(pid)
        return []

    def kill(self) -> None:
        """Kill every process at once."""
        if self.process is None:
            return
        for pid in self.freeze():
            send(pid, signal.SIGKILL)
        self.process.wait(30)
        self.process = None

    def freeze(self) -> list[int]:
        """Stop every process where it is; returns their ids. `thaw` lets them go on."""
        stopped: set[int] = set()
        while fresh := [pid for pid in self.pids() if pid not in stopped]:
            for pid in fresh:
                send(pid, signal.SIGSTOP)
                stopped.add(pid)
        for pid in stopped:
            wait_stopped(pid)
        return sorted(stopped)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for pid in self.pids():
            send(pid, signal.SIGCONT)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_stopped(pid: int, seconds: float = 5.0) -> None:
    """Wait until no thread of a process runs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        states = set()
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
        if states <= {"T", "t", "Z", "X"}:
            return
        time.sleep(0.001)


def children(pid: int) -> list[int]:
    """Return the process ids of the direct children."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """Return a process id and those of all processes below it."""
    return [pid, *(below for child in children(pid) for below in descendants(child))]


def command_line(pid: int) -> list[str]:
    """Return the words of a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
