"""`tenure serve`: starts the roles, restarts one that dies, and stops them in the order of the data's flow.

Roles are processes. The supervisor holds what must outlive any of them: the lock on the data directory; the
engine's listening socket, so that callers wait while the engine is started again instead of failing; and the counts of
requests that limit each key's rate.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import structlog

from tenure.control.database import connect, migrate
from tenure.errors import AlreadyRunning, PortInUse
from tenure.ingest.window_server import WindowServer
from tenure.orphan import announce_parent
from tenure.settings import Settings
from tenure.warehouse.address import EngineAddress

log = structlog.get_logger()

START_ORDER = ("engine", "loader", "http")
STOP_ORDER = ("http", "estimator", "loader", "engine")
FIRST_RESTART_SECONDS, LAST_RESTART_SECONDS = 0.1, 2.0
STEADY_SECONDS = 10.0
"""A role that ran this long before it died is restarted without delay."""
POLL_SECONDS = 0.05


class Role:
    """One role's process, and when it may be started again."""

    def __init__(self, name: str, environment: dict[str, str], descriptors: tuple[int, ...]) -> None:
        self.name = name
        self._environment = environment
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._wait = FIRST_RESTART_SECONDS
        self._due = 0.0

    def start(self) -> None:
        """Start the process."""
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tenure.roles", self.name],
            env=self._environment,
            pass_fds=self._descriptors,
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
            if code == 0 and not self.wanted():
                self._process = None
                return
            steady = now - self._started_at > STEADY_SECONDS
            self._wait = FIRST_RESTART_SECONDS if steady else min(self._wait * 2, LAST_RESTART_SECONDS)
            self._due = now + self._wait
            self._process = None
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
            self._process.kill()
            self._process.wait()
        self._process = None


class RoleOnDemand(Role):
    """A role that runs while somebody asks it: it is started when a connection waits, and ends by itself."""

    def __init__(self, name: str, environment: dict[str, str], listener: socket.socket) -> None:
        super().__init__(name, environment, (listener.fileno(),))
        self._listener = listener

    def wanted(self) -> bool:
        """Whether a connection waits."""
        return bool(select.select([self._listener], [], [], 0)[0])


class Supervisor:
    """Runs roles on one data directory until it is told to stop.

    `with_http=False` leaves out the http role: for commands that load without serving.
    """

    def __init__(self, settings: Settings, *, with_http: bool = True) -> None:
        self._settings = settings
        self._with_http = with_http
        self._roles: dict[str, Role] = {}
        self._stopping = False
        self._lock: IO[bytes] | None = None
        self._listener: socket.socket | None = None
        self._asked: socket.socket | None = None
        self._windows: WindowServer | None = None

    def start(self) -> None:
        """Take the data directory and start the roles. Raises AlreadyRunning and PortInUse."""
        self._lock = lock_data(self._settings.data)
        if self._with_http:
            check_port(self._settings.host, self._settings.port)
        migrate(connect(self._settings))
        environment = os.environ | self._settings.to_environment() | {"PROMETHEUS_MULTIPROC_DIR": self._fresh_metrics()}
        environment["TENURE_DATA"] = str(self._settings.data.resolve())
        announce_parent(environment)
        environment.pop("TENURE_CONFIG", None)  # its values are in the environment now
        descriptors: tuple[int, ...] = ()
        if self._settings.warehouse_url is None:
            self._listener, address = self._listen_for_engine()
            descriptors = (self._listener.fileno(),)
            environment |= {
                "TENURE_ENGINE_FD": str(self._listener.fileno()),
                "TENURE_ENGINE_PORT": str(address.port),
                "TENURE_ENGINE_SECRET": address.secret,
            }
        if self._with_http and self._settings.rate_limit_url is None:
            environment |= self._start_windows()
        if self._with_http:
            self._asked = socket.create_server(("127.0.0.1", 0))
            environment |= {
                "TENURE_ESTIMATOR_FD": str(self._asked.fileno()),
                "TENURE_ESTIMATOR_PORT": str(self._asked.getsockname()[1]),
                "TENURE_ESTIMATOR_SECRET": secrets.token_urlsafe(32),
            }
            self._roles["estimator"] = RoleOnDemand("estimator", environment, self._asked)
        for name in START_ORDER:
            if (name == "engine" and self._listener is None) or (name == "http" and not self._with_http):
                continue
            self._roles[name] = Role(name, environment, descriptors if name == "engine" else ())
            self._roles[name].start()

    def run(self) -> None:
        """Tend the roles until SIGTERM or SIGINT, then stop them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            self.tend()
            time.sleep(POLL_SECONDS)
        log.info("stopping")
        self.stop()
        log.info("stopped")

    def tend(self) -> None:
        """Start again what has died."""
        for role in self._roles.values():
            role.tend()

    def stop(self) -> None:
        """Stop the roles: first what takes events in, then what loads them, then what keeps them."""
        for name in STOP_ORDER:
            if name in self._roles:
                self._roles[name].stop(self._settings.drain_seconds + 5)
        EngineAddress.path(self._settings.data).unlink(missing_ok=True)
        if self._windows is not None:
            self._windows.stop()
        for listener in (self._listener, self._asked):
            if listener is not None:
                listener.close()
        if self._lock is not None:
            self._lock.close()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _listen_for_engine(self) -> tuple[socket.socket, EngineAddress]:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        address = EngineAddress(listener.getsockname()[1], secrets.token_urlsafe(32))
        address.write(self._settings.data)
        return listener, address

    def _start_windows(self) -> dict[str, str]:
        listener, secret = socket.create_server(("127.0.0.1", 0)), secrets.token_urlsafe(32)
        self._windows = WindowServer(listener, secret)
        self._windows.start()
        return {"TENURE_LIMITER_PORT": str(listener.getsockname()[1]), "TENURE_LIMITER_SECRET": secret}

    def _fresh_metrics(self) -> str:
        directory = self._settings.data / "run" / "metrics"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700, parents=True)
        return str(directory.resolve())


def lock_data(data: Path) -> IO[bytes]:
    """Take the data directory for this process; raises AlreadyRunning when another has it."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (data / "serve.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise AlreadyRunning(
            f"another `tenure serve` is running on {data}; stop it, or choose another --data"
        ) from None
    return file


def is_locked(data: Path) -> bool:
    """Whether a `tenure serve` is running on a data directory."""
    try:
        lock_data(data).close()
    except AlreadyRunning:
        return True
    return False


def check_port(host: str, port: int) -> None:
    """Raises PortInUse unless the address can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from None
