"""Starts what is measured, and loads it with wrk."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import httpx

from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.settings import Settings

HERE = Path(__file__).parent
WORKERS = "1"
"""http workers of both servers: on two cores, one is left for wrk and for the other roles."""


class Load(NamedTuple):
    """What one run of wrk saw. `seconds` is wall time, latencies are milliseconds."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_ready(url: str, seconds: float = 60) -> float:
    """Wait until a server answers 200; returns how long it took, in seconds."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        try:
            if httpx.get(url).status_code == 200:
                return time.monotonic() - started
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"{url} is not ready after {seconds} s")


@contextmanager
def decoding_server() -> Iterator[str]:
    """The reference server; gives its URL."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--http", "1", "--no-ws", "--workers", WORKERS,
               "--port", str(port), "--log-level", "warning", "bench.decoding:application"]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        wait_ready(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


class Tenure(NamedTuple):
    """A running `tenure serve` with one app."""

    url: str
    keys: dict[str, str]
    process: subprocess.Popen[bytes]
    ready_seconds: float


@contextmanager
def tenure_server(data: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Tenure]:
    """`tenure serve` on a data directory that may hold something already, with settings as environment variables."""
    engine = connect(Settings.load({"data": data}, {}))
    migrate(engine)
    store = Store(engine)
    known = {app.name: app.id for app in store.apps()}
    app = known.get("bench") or store.create_app("bench").id
    keys = {"app": app} | store.create_keys(app)
    port = free_port()
    environment = os.environ | {"TENURE_HTTP_WORKERS": WORKERS, "TENURE_LOG_LEVEL": "warning"} | dict(settings)
    command = [sys.executable, "-m", "tenure", "serve", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    try:
        seconds = wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield Tenure(f"http://127.0.0.1:{port}", keys, process, seconds)
    finally:
        process.terminate()
        process.wait(120)


_runs = itertools.count()


def load(url: str, *, size: int, seconds: int, connections: int, key: str = "none") -> Load:
    """Send events, `size` a request, from `connections` connections for some seconds."""
    environment = os.environ | {"SIZE": str(size), "KEY": key, "RUN": f"{os.getpid()}-{next(_runs)}"}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(HERE / "load.lua"), url]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return Load(**json.loads(printed.strip().splitlines()[-1]))


def resident(pid: int) -> dict[str, float]:
    """Resident memory in MB of a process and all below it, by role."""
    found: dict[str, float] = {}
    for role, each in processes(pid):
        status = Path(f"/proc/{each}/status").read_text()
        kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        found[role] = found.get(role, 0) + kilobytes / 1_000
    return found


def processor_seconds(pid: int, wanted: str | None = None) -> float:
    """Processor time that a process and all below it have taken so far, or one role of them."""
    ticks = 0
    for role, each in processes(pid):
        if wanted in (None, role):
            after_name = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def processes(pid: int) -> Iterator[tuple[str, int]]:
    """The role and id of a process and of all below it."""
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        command = Path(f"/proc/{current}/cmdline").read_text().split("\0")
        yield command[command.index("tenure.roles") + 1] if "tenure.roles" in command else "supervisor", current
        for task in Path(f"/proc/{current}/task").iterdir():
            waiting += [int(child) for child in (task / "children").read_text().split()]
