"""`tenure serve`: starts the roles, restarts one that dies, and stops them in the order of the data's flow.

Roles are processes. The supervisor holds what must outlive any of them: the lock on the data directory; the
engine's listening socket, so that callers wait while the engine is started again instead of failing; and the counts of
requests that limit each key's rate.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import shutil
import socket
import time
from typing import IO

import structlog

from tenure.data_directory import explained, lock_data
from tenure.errors import PortInUse
from tenure.http_workers import HttpWorkers
from tenure.ingest.window_server import WindowServer
from tenure.orphan import announce_parent
from tenure.role_process import EngineRole, Role, RoleOnDemand
from tenure.served import Served, forget
from tenure.settings import Settings
from tenure.stop_signals import on_stop
from tenure.warehouse.address import EngineAddress

log = structlog.get_logger()

STOP_ORDER = ("estimator", "loader", "engine")
"""After the http workers: first what answers, then what loads, then what keeps."""
WORKER_STOP_SECONDS = 10
"""How long a worker may go on with its requests at a stop."""
HEAD_START_SECONDS = 3.0
"""How long the engine and the loader wait at most until events are accepted. They need the same processors."""
LISTEN_SECONDS = 1.0
"""How long a port that is taken is tried again: the processes of a server that was killed may be about to end."""
BACKLOG = 1024
POLL_SECONDS = 0.05


class Supervisor:
    """Runs roles on one data directory until it is told to stop.

    `with_http=False` leaves out the http role: for commands that load without serving.
    """

    def __init__(self, settings: Settings, *, with_http: bool = True) -> None:
        self._settings = settings
        self._with_http = with_http
        self._roles: dict[str, Role] = {}
        self._waiting: list[Role] = []
        """Roles that start once events are accepted."""
        self._head_start_ends = 0.0
        self._http: HttpWorkers | None = None
        self._stopping = False
        self._lock: IO[bytes] | None = None
        self._listeners: dict[str, socket.socket] = {}
        self._windows: WindowServer | None = None

    def start(self) -> None:
        """Take the data directory and start the roles. Raises AlreadyRunning, DataUnusable and PortInUse."""
        if self._with_http:
            on_stop(self._stop)  # from the start: `run` sees it
        self._lock = lock_data(self._settings.data)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def run(self) -> None:
        """Tend the roles until SIGTERM, SIGINT or SIGHUP, then stop them."""
        while not self._stopping:
            self.tend()
            self._wait()
        log.info("stopping")
        self.stop()
        log.info("stopped")

    def tend(self) -> None:
        """Start again what has died, and at a start what waits for its turn."""
        if self._http is not None:
            self._http.tend()
        if self._waiting and (self._accepts_events() or time.monotonic() > self._head_start_ends):
            for role in self._waiting:
                self._roles[role.name] = role
                role.start()
            self._waiting = []
        for role in self._roles.values():
            role.tend()

    @property
    def failed_engine_starts(self) -> int:
        """How often in a row the engine could not be started."""
        engine = self._roles.get("engine")
        return engine.failed_starts if isinstance(engine, EngineRole) else 0

    def stop(self) -> None:
        """Stop the roles: first what takes events in, then what loads them, then what keeps them."""
        self._waiting = []
        if self._http is not None:
            self._close("http")  # what connects now is refused, and does not wait for an answer in vain
            self._http.stop(min(WORKER_STOP_SECONDS, self._settings.drain_seconds))
        for name in STOP_ORDER:
            if name in self._roles:
                self._roles[name].stop(self._settings.drain_seconds + 5)
        with contextlib.suppress(OSError):
            EngineAddress.path(self._settings.data).unlink(missing_ok=True)
            forget(self._settings.data)
        if self._windows is not None:
            self._windows.stop()
        for name in list(self._listeners):
            self._close(name)
        if self._lock is not None:
            self._lock.close()

    def _start(self) -> None:
        """The order is that of a quick start: the http role imports while the control database is looked at here."""
        environment = os.environ | self._settings.to_environment()
        with explained(self._settings.data):
            environment |= {
                "PROMETHEUS_MULTIPROC_DIR": self._fresh_metrics(),
                "TENURE_DATA": str(self._settings.data.resolve()),
            }
            forget(self._settings.data)  # what a killed predecessor left
        announce_parent(environment)
        environment.pop("TENURE_CONFIG", None)  # its values are in the environment now
        if self._settings.warehouse_url is None:
            environment |= self._listen_for_engine()
        if self._with_http:
            environment |= self._listen_for_http()
            http = Role("http", environment, (self._listeners["http"].fileno(),))
            self._http = HttpWorkers(http, self._settings.http_workers)
            self._http.start()
        self._migrate()
        if self._settings.warehouse_url is None:
            descriptors = (self._listeners["engine"].fileno(),)
            self._waiting.append(EngineRole(environment, descriptors, self._settings.engine_start_seconds))
        self._waiting.append(Role("loader", environment))
        if self._with_http:
            self._roles["estimator"] = RoleOnDemand("estimator", environment, self._listeners["estimator"])
            self._head_start_ends = time.monotonic() + HEAD_START_SECONDS
        self.tend()

    def _migrate(self) -> None:
        from tenure.control.database import connect, migrate  # a tenth of a second, for which the http role waits not

        engine = connect(self._settings)
        migrate(engine)
        engine.dispose()

    def _accepts_events(self) -> bool:
        return self._http is not None and self._http.any_ready

    def _wait(self) -> None:
        """Wait for a moment, or until an http worker says something or dies."""
        channels = self._http.channels if self._http is not None else []
        select.select(channels, [], [], POLL_SECONDS)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _close(self, name: str) -> None:
        if name in self._listeners:
            self._listeners.pop(name).close()

    def _listen(self, name: str) -> int:
        """Listen on loopback, at a port that the system chooses; returns it."""
        self._listeners[name] = socket.create_server(("127.0.0.1", 0), backlog=128)
        return int(self._listeners[name].getsockname()[1])

    def _listen_for_engine(self) -> dict[str, str]:
        address = EngineAddress(self._listen("engine"), secrets.token_urlsafe(32))
        with explained(EngineAddress.path(self._settings.data)):
            address.write(self._settings.data)
        return {
            "TENURE_ENGINE_FD": str(self._listeners["engine"].fileno()),
            "TENURE_ENGINE_PORT": str(address.port),
            "TENURE_ENGINE_SECRET": address.secret,
        }

    def _listen_for_http(self) -> dict[str, str]:
        """Listen for what the http workers answer, themselves or by the limiter and the estimator."""
        self._listeners["http"] = listen(self._settings.host, self._settings.port)
        with explained(self._settings.data):
            Served(self._settings.url).write(self._settings.data)
        port = self._listen("estimator")
        variables = {
            "TENURE_HTTP_FD": str(self._listeners["http"].fileno()),
            "TENURE_ESTIMATOR_FD": str(self._listeners["estimator"].fileno()),
            "TENURE_ESTIMATOR_PORT": str(port),
            "TENURE_ESTIMATOR_SECRET": secrets.token_urlsafe(32),
        }
        return variables if self._settings.rate_limit_url is not None else variables | self._start_windows()

    def _start_windows(self) -> dict[str, str]:
        listener, secret = socket.create_server(("127.0.0.1", 0)), secrets.token_urlsafe(32)
        self._windows = WindowServer(listener, secret)
        self._windows.start()
        return {"TENURE_LIMITER_PORT": str(listener.getsockname()[1]), "TENURE_LIMITER_SECRET": secret}

    def _fresh_metrics(self) -> str:
        directory = self._settings.data / "run" / "metrics"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(directory.resolve())


def listen(host: str, port: int) -> socket.socket:
    """The socket that all http workers accept from. Raises PortInUse."""
    deadline = time.monotonic() + LISTEN_SECONDS
    while True:
        try:
            return _listener(host, port)
        except OSError as error:
            if time.monotonic() > deadline or error.errno != errno.EADDRINUSE:
                message = f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port"
                raise PortInUse(message) from None
        time.sleep(POLL_SECONDS)


def _listener(host: str, port: int) -> socket.socket:
    if ":" in host:
        dual = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=dual)
    return socket.create_server((host, port), backlog=BACKLOG)
