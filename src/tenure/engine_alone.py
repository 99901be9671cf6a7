"""The embedded engine without a server: for commands that repair or check a data directory."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tenure.data_directory import lock_data
from tenure.errors import TenureError, Unavailable
from tenure.orphan import announce_parent
from tenure.settings import Settings
from tenure.warehouse.address import EngineAddress
from tenure.warehouse.client import Warehouse
from tenure.warehouse.engine_failure import OpenFailure

START_SECONDS, STOP_SECONDS = 120.0, 60.0


@contextmanager
def engine_alone(settings: Settings) -> Iterator[Warehouse]:
    """Run the engine on a data directory that no server uses.

    Raises AlreadyRunning when a server runs, TenureError when the engine does not start.
    """
    lock = lock_data(settings.data)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    address = EngineAddress(listener.getsockname()[1], secrets.token_urlsafe(32))
    address.write(settings.data)
    environment = os.environ | settings.to_environment()
    environment |= {
        "TENURE_DATA": str(settings.data.resolve()),
        "TENURE_ENGINE_FD": str(listener.fileno()),
        "TENURE_ENGINE_PORT": str(address.port),
        "TENURE_ENGINE_SECRET": address.secret,
    }
    announce_parent(environment)
    with (settings.data / "run" / "engine-alone.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tenure.roles", "engine"],
            env=environment, pass_fds=(listener.fileno(),), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield _ready(settings, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        EngineAddress.path(settings.data).unlink(missing_ok=True)
        listener.close()
        lock.close()


def _ready(settings: Settings, process: subprocess.Popen[bytes]) -> Warehouse:
    """Wait until the engine answers."""
    deadline = time.monotonic() + START_SECONDS
    port = EngineAddress.find(settings.data, {})
    while time.monotonic() < deadline and process.poll() is None:
        if port is not None and _answers(port.port):
            warehouse = Warehouse(settings)
            try:
                warehouse.client.command("SELECT 1")
            except Unavailable:
                warehouse.forget()
            else:
                return warehouse
        time.sleep(0.05)
    failure = OpenFailure.read(settings.data / "warehouse")
    raise TenureError(failure.text if failure else "the engine does not start; run/engine-alone.log says why")


def _answers(port: int) -> bool:
    """Whether the engine takes requests: the socket accepts connections before it does."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        probe.settimeout(0.5)
        try:
            probe.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
            return probe.recv(12).startswith(b"HTTP/1.")
        except OSError:
            return False
