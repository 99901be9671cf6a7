"""A ClickHouse to talk to: the embedded engine in a process of its own, and a real server where one is given."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

SECRET = "a-secret-of-the-test"
MEMORY_LIMIT_MB = 384
_RUN = """
import socket, sys
from pathlib import Path
from tenure.warehouse.engine import run
run(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), sys.stdin.readline().strip(), int(sys.argv[3]), 8)
"""


class Engine:
    """The engine's process. Its listening socket is ours, and stays open when the process ends."""

    secret = SECRET

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.output = directory / "output"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.process = self.start()

    def start(self) -> subprocess.Popen[str]:
        """Start, and wait until it answers."""
        self.launch()
        self.until(lambda: self.request("GET", "/ping").status == 200)
        return self.process

    def launch(self) -> None:
        """Start without waiting."""
        arguments = [str(self.data), str(self.listener.fileno()), str(MEMORY_LIMIT_MB)]
        with self.output.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _RUN, *arguments],
                pass_fds=[self.listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                text=True,
            )
        assert self.process.stdin
        with self.process.stdin as stdin:
            stdin.write(SECRET + "\n")

    def until(self, condition: Callable[[], Any]) -> None:
        """Ask again and again, until `condition` is true."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it did not become true in time"
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process by a signal, and give what it returned."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        """A bare HTTP request; the response's `body` is read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers or {})
        response: Any = connection.getresponse()
        response.body = response.read()
        connection.close()
        return response

    def client(self, **options: Any) -> Client:
        """A client of this engine."""
        return clickhouse_connect.get_client(**self.address, **options)

    @property
    def address(self) -> dict[str, Any]:
        """The arguments with which clickhouse-connect connects."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "username": "tenure",
            "password": SECRET,
            "autogenerate_session_id": False,
        }


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for the tests of a module."""
    engine = Engine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.stop(signal.SIGKILL)
    engine.listener.close()


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that the test may kill."""
    engine = Engine(tmp_path)
    yield engine
    engine.stop(signal.SIGKILL)
    engine.listener.close()


CLICKHOUSE_URL = os.environ.get("TENURE_TEST_CLICKHOUSE_URL", "")


@pytest.fixture(scope="module", params=["embedded", "clickhouse"] if CLICKHOUSE_URL else ["embedded"])
def server(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How to connect: to the engine, and to the server at TENURE_TEST_CLICKHOUSE_URL."""
    if request.param == "embedded":
        engine: Engine = request.getfixturevalue("engine")
        return engine.address
    url = urlsplit(CLICKHOUSE_URL)
    secure = url.scheme == "https"
    port = url.port or (8443 if secure else 8123)
    return {
        "host": url.hostname,
        "port": port,
        "username": url.username or "default",
        "password": url.password or "",
        "secure": secure,
        "autogenerate_session_id": False,
    }


@pytest.fixture(scope="module")
def database(server: dict[str, Any]) -> Iterator[str]:
    """A database of the module's own."""
    name = f"test_{uuid.uuid4().hex}"
    with clickhouse_connect.get_client(**server) as client:
        client.command(f"CREATE DATABASE {name}")
        yield name
        client.command(f"DROP DATABASE {name}")


@pytest.fixture
def client(server: dict[str, Any], database: str) -> Iterator[Client]:
    with clickhouse_connect.get_client(**server, database=database) as client:
        yield client


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    """An empty table: id UInt64, text String, at DateTime64(3); it keeps what it has acknowledged."""
    name = f"t_{uuid.uuid4().hex}"
    client.command(
        f"CREATE TABLE {name} (id UInt64, text String, at DateTime64(3)) ENGINE = MergeTree ORDER BY id "
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000"
    )
    yield name
    client.command(f"DROP TABLE {name}")
