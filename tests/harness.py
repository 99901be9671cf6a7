"""A real `tenure serve` for tests: started as a user would start it, on a free loopback port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from clickhouse_connect.driver.exceptions import ClickHouseError

from tenure.conservation import Ledger, books
from tenure.control.database import connect, migrate
from tenure.control.received import ReceivedLedger
from tenure.control.store import Store
from tenure.errors import Unavailable
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tenure.warehouse.migrate import migrations

READY_SECONDS = 60
LOADED_SECONDS = 60


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tenure(*arguments: str, data: Path, stdin: str = "", environment: dict[str, str] | None = None) -> str:
    """Run the command line to its end; returns what it printed. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "-m", "tenure", *arguments, "--data", str(data)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | (environment or {}),
    )
    try:
        done.check_returncode()
    except subprocess.CalledProcessError as error:
        error.add_note(f"{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}")
        raise
    return done.stdout


def create_app(data: Path, name: str = "test") -> dict[str, str]:
    """An app with one key of each kind, as `tenure app create` makes it (without the second that a process takes)."""
    engine = connect(Settings.load({"data": data}, {}))
    migrate(engine)
    store = Store(engine)
    app = store.create_app(name)
    return {"app": app.id} | store.create_keys(app.id)


class Server:
    """One `tenure serve` on one data directory; may be killed and started again."""

    def __init__(self, data: Path, environment: dict[str, str] | None = None) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment or {}
        self.log = data.with_name(data.name + ".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def start(self) -> None:
        """Start and wait until events are accepted, and questions answered by a warehouse of its own."""
        self.launch()
        self.wait_ready()
        if "TENURE_WAREHOUSE_URL" not in self.environment:
            self.wait_readable()

    def launch(self) -> None:
        """Start without waiting."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tenure", "serve", "--data", str(self.data), "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )

    def wait_ready(self) -> None:
        """Wait until `/readyz` says yes."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            try:
                if self.http.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready after {READY_SECONDS} s:\n{self.log.read_text()}")

    def wait_readable(self) -> None:
        """Wait until the warehouse answers and has all its tables, which is later than `/readyz`."""
        warehouse = Warehouse(Settings.load({"data": self.data}, self.environment))
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(Unavailable, ClickHouseError):
                applied = warehouse.client.query("SELECT DISTINCT number FROM schema_migration").result_rows
                if {number for number, *_ in migrations()} <= {row[0] for row in applied}:
                    warehouse.forget()
                    return
            warehouse.forget()
            time.sleep(0.05)
        raise AssertionError(f"no answers after {READY_SECONDS} s:\n{self.log.read_text()}")

    def stop(self) -> int:
        """SIGTERM, and wait for the end; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(90)
        self.process = None
        return code

    def kill_tree(self) -> None:
        """kill -9 of the supervisor, every role and every http worker at once."""
        assert self.process is not None
        for pid in [self.process.pid, *self.roles().values(), *self.workers()]:
            kill(pid)
        self.process.wait(30)
        self.process = None

    def roles(self) -> dict[str, int]:
        """Process ids of the running roles, by name."""
        assert self.process is not None
        found = {}
        for pid in children(self.process.pid):
            command = _command(pid)
            if "tenure.roles" in command:
                found[command[command.index("tenure.roles") + 1]] = pid
        return found

    def workers(self) -> list[int]:
        """Process ids of the http workers, also of those that have outlived the http role that forked them."""
        assert self.process is not None
        mine = f"TENURE_PARENT_PID={self.process.pid}"
        of_role = self.roles().get("http")
        return [
            pid
            for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
            if _command(pid)[-2:] == ["http", ""] and pid != of_role and mine in _environment(pid)
        ]

    def kill_worker(self) -> int:
        """kill -9 of an http worker, as soon as one runs; returns its process id."""
        deadline = time.monotonic() + READY_SECONDS
        while not (workers := self.workers()):
            assert time.monotonic() < deadline, f"no http worker:\n{self.log.read_text()[-5000:]}"
            time.sleep(0.01)
        kill(workers[0])
        return workers[0]

    def kill_role(self, name: str) -> None:
        """kill -9 of one role, as soon as it runs."""
        deadline = time.monotonic() + READY_SECONDS
        while name not in (roles := self.roles()):
            assert time.monotonic() < deadline, f"{name} was not started again:\n{self.log.read_text()[-5000:]}"
            time.sleep(0.02)
        kill(roles[name])

    def read(self, path: str, keys: dict[str, str], **parameters: Any) -> Any:
        """The JSON answer of the read API."""
        answer = self.http.get(path, params=parameters, headers={"Authorization": f"Bearer {keys['read_key']}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_loaded(self) -> None:
        """Wait until the journals hold nothing that is not in the warehouse."""
        from tenure.journal import Loaded, readers

        deadline = time.monotonic() + LOADED_SECONDS
        directory = self.data / "journal"
        while time.monotonic() < deadline:
            loaded = Loaded.read(directory)
            open_readers = readers(directory)
            waiting = sum(reader.pending(loaded.positions.get(reader.id, 0))[0] for reader in open_readers)
            for reader in open_readers:
                reader.close()
            if not waiting:
                return
            time.sleep(0.05)
        raise AssertionError(f"not loaded after {LOADED_SECONDS} s:\n{self.log.read_text()[-5000:]}")


def kill(pid: int) -> None:
    """kill -9, if it lives still."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Process ids of the direct children."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except FileNotFoundError:
        return []


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _environment(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def whisperr_events(start: int, count: int) -> dict[str, Any]:
    """A batch whose events are numbered by their message ids."""
    return {
        "events": [
            {
                "external_user_id": f"user_{number % 7}",
                "event_type": "feature_used",
                "properties": {"n": number},
                "context": {"$message_id": f"message-{number}"},
            }
            for number in range(start, start + count)
        ]
    }


def ledger_of(data: Path, app: str) -> Ledger:
    """The books of an app: what was acknowledged, held against the warehouse."""
    settings = Settings.load({"data": data}, {})
    return books(Warehouse(settings).client, settings.journal_directory, ReceivedLedger(connect(settings)), app)
