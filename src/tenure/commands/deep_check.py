"""`tenure check --deep`: reads every byte of the warehouse, beside a running server or without one."""

from __future__ import annotations

import threading

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from tenure import logs
from tenure.commands.common import err
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.data_directory import is_locked
from tenure.deep_check import DeepCheck
from tenure.engine_alone import engine_alone
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse


def check_deeply(settings: Settings) -> None:
    """Check, and keep the result; on a terminal, show how far it is.

    Raises TenureError when the warehouse cannot be reached or the engine does not start.
    """
    logs.configure(settings, "check")
    engine = connect(settings)
    migrate(engine)
    if settings.warehouse_url is not None or is_locked(settings.data):
        _check(settings, Warehouse(settings), Store(engine))
    else:
        with engine_alone(settings) as warehouse:
            _check(settings, warehouse, Store(engine))


def _check(settings: Settings, warehouse: Warehouse, store: Store) -> None:
    columns = TextColumn("reading the warehouse"), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task("", total=None)
        check = DeepCheck(settings, warehouse, store, threading.Event())
        check.run(lambda done, total: shown.update(task, completed=done, total=total))
