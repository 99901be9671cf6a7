"""The roles that the supervisor starts, each its own process: `python -m tenure.roles NAME`.

Each role imports what it is made of when it starts, so that no process holds in memory what another needs.
"""

from __future__ import annotations

import sys

if not sys.stderr.isatty():  # structlog imports it for tracebacks on a terminal
    sys.modules["rich"] = None  # type: ignore[assignment]

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import structlog

from tenure import logs
from tenure.errors import TenureError, Unavailable
from tenure.orphan import exit_with_parent
from tenure.role_process import OPENED, inherited_channel, tell
from tenure.settings import MEBIBYTE, Settings
from tenure.stop_signals import on_stop
from tenure.telemetry import ROLE_STARTS

if TYPE_CHECKING:
    from tenure.control.store import Store
    from tenure.warehouse.client import Warehouse
    from tenure.warehouse.damage import Damage

log = structlog.get_logger()

ENGINE_THREADS = 4
"""Statements that the embedded engine runs at the same time; more wait. Each may take a share of its memory."""


def engine(settings: Settings) -> None:
    """The embedded ClickHouse, on the socket that the supervisor holds open."""
    from tenure.warehouse.engine.server import run  # opens the engine's library, which no other role needs

    listener = socket.socket(fileno=int(os.environ["TENURE_ENGINE_FD"]))
    secret = os.environ["TENURE_ENGINE_SECRET"]
    channel = inherited_channel()
    run(
        settings.data / "warehouse",
        listener,
        secret,
        settings.engine_memory_mb,
        ENGINE_THREADS,
        report=lambda found: _report(settings, found),
        opened=lambda: tell(channel, OPENED),
    )


def _report(settings: Settings, damages: list[Damage]) -> None:
    """Make incidents of damage in the warehouse. What that needs is imported when there is damage."""
    from tenure.control.database import connect
    from tenure.control.store import Store
    from tenure.loader.part_incidents import report

    report(Store(connect(settings)).incidents, damages)


def estimator(_: Settings) -> None:
    """Survival curves, on the socket that the supervisor holds open, until nobody asks any more."""
    from tenure.metrics.estimator import serve

    listener = socket.socket(fileno=int(os.environ["TENURE_ESTIMATOR_FD"]))
    serve(listener, os.environ["TENURE_ESTIMATOR_SECRET"])


def loader(settings: Settings) -> None:
    """The loader: migrates the warehouse, then loads the journals until it is told to stop."""
    from tenure.control.database import connect
    from tenure.control.store import Store
    from tenure.deep_check import DeepChecking
    from tenure.free_space import warehouse_guard
    from tenure.journal import restore_clock
    from tenure.loader.bookkeeping import Bookkeeping
    from tenure.loader.canonical import Canonical
    from tenure.loader.customers import CustomerList
    from tenure.loader.loader import Loader
    from tenure.loader.replaying import Replaying
    from tenure.loader.scores import Scorer
    from tenure.warehouse.client import Warehouse

    stop = threading.Event()
    on_stop(lambda *_: stop.set())
    warehouse = Warehouse(settings)
    store = Store(connect(settings))
    while not _migrate(warehouse, store):
        if stop.wait(0.2):
            return
    directory = settings.journal_directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    restore_clock(directory, store.erasures.last_ordered_at())
    customers = CustomerList(directory, Warehouse(settings), store.billing.of)
    canonical = Canonical(Warehouse(settings), store.links, customers.links_written)
    threading.Thread(target=canonical.run, args=(stop,), daemon=True).start()
    scorer = Scorer(Warehouse(settings), store.health.every, customers)
    scorer.start()
    space = warehouse_guard(settings)
    loading = Loader(directory, warehouse, store, canonical, customers, settings.load_rows, space)
    max_bytes = settings.journal_max_mb * MEBIBYTE
    replaying = Replaying(directory, max_bytes, Warehouse(settings), store, stop)
    threading.Thread(target=replaying.run, daemon=True).start()
    keeping = Bookkeeping(directory, Warehouse(settings), store, stop)
    threading.Thread(target=keeping.run, daemon=True).start()
    deep = DeepChecking(settings, Warehouse(settings), store, stop)
    threading.Thread(target=deep.run, daemon=True).start()
    log.info("loader ready")
    loading.run(stop, settings.load_interval_ms / 1_000, settings.drain_seconds)
    scorer.stop()


def http(settings: Settings) -> None:
    """The fork server of the http workers."""
    from tenure.fork_server import run

    run(settings)


def _migrate(warehouse: Warehouse, store: Store) -> bool:
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from tenure.loader import former_addresses
    from tenure.loader.backfill import STEPS, read_subscriptions_anew
    from tenure.warehouse.migrate import migrate

    try:
        steps = {
            **STEPS,
            former_addresses.NUMBER: former_addresses.step(store.links, {app.id for app in store.all_apps()}),
        }
        applied = migrate(warehouse.client, steps, os.sync if warehouse.is_embedded else lambda: None)
        if read_subscriptions_anew(warehouse.client):
            log.info("read again what events say of subscriptions")
    except (Unavailable, ClickHouseError) as error:
        log.info("waiting for the warehouse", reason=str(error).splitlines()[0][:200])
        warehouse.forget()
        return False
    if applied:
        log.info("warehouse schema brought up to date", applied=applied)
    return True


ROLES = {"engine": engine, "loader": loader, "http": http, "estimator": estimator}
FORKS = "http"
"""The role that forks. It must not have a thread, and sees by its channel that the supervisor is gone."""


def main(name: str) -> None:
    """Be one role until told to stop."""
    settings = Settings.load()
    logs.configure(settings, name)
    if name != FORKS:
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
