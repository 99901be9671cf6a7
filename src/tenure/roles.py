"""The roles that the supervisor starts, each its own process: `python -m tenure.roles NAME`.

Each role imports what it is made of when it starts, so that no process holds in memory what another needs.
"""

from __future__ import annotations

import sys

if not sys.stderr.isatty():  # structlog imports it for tracebacks on a terminal
    sys.modules["rich"] = None  # type: ignore[assignment]

import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import structlog

from tenure import logs
from tenure.errors import TenureError, Unavailable
from tenure.orphan import announce_parent, exit_with_parent
from tenure.settings import MEBIBYTE, Settings
from tenure.telemetry import ROLE_STARTS

if TYPE_CHECKING:
    from tenure.warehouse.client import Warehouse

log = structlog.get_logger()

WORKER_STOP_SECONDS = 10
"""How long a worker may go on with its requests at a stop. One that is told to stop while it is still starting does not
hear it, and is ended after this time."""
ENGINE_THREADS = 4
"""Statements that the embedded engine runs at the same time; more wait. Each may take a share of its memory."""


def engine(settings: Settings) -> None:
    """The embedded ClickHouse, on the socket that the supervisor holds open."""
    from tenure.warehouse.engine.server import run  # opens the engine's library, which no other role needs

    listener = socket.socket(fileno=int(os.environ["TENURE_ENGINE_FD"]))
    secret = os.environ["TENURE_ENGINE_SECRET"]
    run(settings.data / "warehouse", listener, secret, settings.engine_memory_mb, ENGINE_THREADS)


def estimator(_: Settings) -> None:
    """Survival curves, on the socket that the supervisor holds open, until nobody asks any more."""
    from tenure.metrics.estimator import serve

    listener = socket.socket(fileno=int(os.environ["TENURE_ESTIMATOR_FD"]))
    serve(listener, os.environ["TENURE_ESTIMATOR_SECRET"])


def loader(settings: Settings) -> None:
    """The loader: migrates the warehouse, then loads the journals until it is told to stop."""
    from tenure.control.database import connect
    from tenure.control.store import Store
    from tenure.loader.canonical import Canonical
    from tenure.loader.customers import CustomerList
    from tenure.loader.loader import Loader
    from tenure.loader.replaying import Replaying
    from tenure.loader.scores import Scorer
    from tenure.warehouse.client import Warehouse

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    warehouse = Warehouse(settings)
    while not _migrate(warehouse):
        if stop.wait(0.2):
            return
    directory = settings.journal_directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(connect(settings))
    customers = CustomerList(directory, Warehouse(settings), store.billing.of)
    canonical = Canonical(Warehouse(settings), store.links, customers.links_written)
    threading.Thread(target=canonical.run, args=(stop,), daemon=True).start()
    scorer = Scorer(Warehouse(settings), store.health.every, customers)
    scorer.start()
    loading = Loader(directory, warehouse, store, canonical, customers, settings.load_rows)
    max_bytes = settings.journal_max_mb * MEBIBYTE
    replaying = Replaying(directory, max_bytes, Warehouse(settings), store.repairs, stop)
    threading.Thread(target=replaying.run, daemon=True).start()
    loading.run(stop, settings.load_interval_ms / 1_000, settings.drain_seconds)
    scorer.stop()


def http(settings: Settings) -> None:
    """The http workers, under granian."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    announce_parent(os.environ)
    Granian(
        "tenure.app:http",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=settings.http_workers,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        respawn_failed_workers=True,
        respawn_interval=0.2,
        workers_kill_timeout=min(WORKER_STOP_SECONDS, settings.drain_seconds),
        log_level=LogLevels.warning,
    ).serve()


def _migrate(warehouse: Warehouse) -> bool:
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from tenure.loader.backfill import STEPS
    from tenure.warehouse.migrate import migrate

    try:
        applied = migrate(warehouse.client, STEPS)
    except (Unavailable, ClickHouseError) as error:
        log.info("waiting for the warehouse", reason=str(error).splitlines()[0][:200])
        warehouse.forget()
        return False
    if applied:
        log.info("warehouse schema brought up to date", applied=applied)
    return True


ROLES = {"engine": engine, "loader": loader, "http": http, "estimator": estimator}


def main(name: str) -> None:
    """Be one role until told to stop."""
    settings = Settings.load()
    logs.configure(settings, name)
    exit_with_parent()
    started = time.monotonic()
    ROLE_STARTS.labels(name).inc()
    try:
        ROLES[name](settings)
    except TenureError as error:
        log.error("role cannot run", error=str(error))
        sys.exit(1)
    log.info("role stopped", after_seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main(sys.argv[1])
