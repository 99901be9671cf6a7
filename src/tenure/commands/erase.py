"""`tenure erase`: removes all that is kept of a customer, and prints the certificate."""

from __future__ import annotations

import signal
import time
from typing import Annotated

import msgspec
import typer

from tenure import logs
from tenure.commands.common import Data, Json, open_store, print_json, say
from tenure.control.erasures import DONE
from tenure.control.store import Store
from tenure.customers.erasure import Certificate, certificate, request_erasure
from tenure.delivery import Running
from tenure.errors import Unavailable
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse

START_SECONDS, POLL_SECONDS = 60.0, 0.1


def erase_command(
    customer: Annotated[str, typer.Argument(help="Any identifier of the customer, or kind:value.")],
    app: Annotated[str, typer.Option("--app", help="The app: its id or its name.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Erase a customer: from all answers at once, and from every file. Prints the certificate when that is done.

    Stopped meanwhile, it goes on when a server runs, or when an erasure is asked for again.
    """
    store = open_store(data)
    app_id = store.app(app).id
    settings = Settings.load({"data": data})
    settings = settings.model_copy(update={"log_level": "error"})
    logs.configure(settings, "erase")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the roles started here are stopped in order
    with Running(settings) as running:
        _print(_erase(settings, store, app_id, customer, running), json)


def _erase(settings: Settings, store: Store, app_id: str, customer: str, running: Running) -> Certificate:
    deadline = time.monotonic() + START_SECONDS
    while True:
        running.tend()
        try:
            asked = request_erasure(Warehouse(settings), store, settings.journal_directory, app_id, customer)
            break
        except Unavailable:  # what was started here, or by a server, takes a moment
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)
    while asked.phase != DONE:
        running.tend()
        time.sleep(POLL_SECONDS)
        asked = store.erasures.find(app_id, asked.id)
    return certificate(asked)


def _print(done: Certificate, json: bool) -> None:
    if json:
        print_json(msgspec.to_builtins(done))
        return
    say(f"erased: {done.identifiers} identifiers, erasure {done.id}")
    for phase, at in done.reached.items():
        say(f"  {phase:10}{at}")
    for store, tables in done.removed.items():
        for table, count in tables.items():
            say(f"  {store} {table}: {count:,}")
