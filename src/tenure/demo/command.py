"""`tenure demo`: an app with a year of believable history, its keys, and commands to try at once."""

from __future__ import annotations

import threading
import time
import urllib.request
from contextvars import copy_context
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tenure import logs
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.demo.curls import curls
from tenure.demo.filling import fill
from tenure.demo.highlight import highlights
from tenure.demo.history import CUSTOMERS, DAYS, SEED, History
from tenure.demo.record import Record
from tenure.errors import TenureError
from tenure.settings import Settings
from tenure.supervisor import Supervisor

NAME = "demo"

Data = Annotated[Path | None, typer.Option(help="Data directory (or TENURE_DATA).", show_default=False)]
Customers = Annotated[int | None, typer.Option(min=1, max=2_000, help="Sign-ups.", show_default=str(CUSTOMERS))]
Days = Annotated[int | None, typer.Option(min=30, max=730, help="Length of the history.", show_default=str(DAYS))]
Seed = Annotated[int | None, typer.Option(help="Another seed is another history.", show_default=str(SEED))]
Host = Annotated[str | None, typer.Option(help="Of the URL; with --serve, to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Likewise.", show_default="8750")]
Serve = Annotated[bool, typer.Option("--serve", help="Serve as `tenure serve` does, until stopped.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)


class Access(NamedTuple):
    """The demo's app, by its id, and its keys in clear, each under its kind and `_key`."""

    app: str
    keys: dict[str, str]


def demo_command(
    *,
    data: Data = None,
    customers: Customers = None,
    days: Days = None,
    seed: Seed = None,
    host: Host = None,
    port: Port = None,
    serve: Serve = False,
    json: Json = False,
) -> None:
    """Make an app with generated history, and print its keys and a curl for each vendor's API.

    The history is made once for a data directory; the keys are new every time, and end the ones before.
    """
    settings = Settings.load({"data": data, "host": host, "port": port})
    record = open_record(settings, {"customers": customers, "days": days, "seed": seed})
    if serve:
        _serve(settings, record, json)
        return
    if "log_level" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_level": "warning"})  # of the roles that load, only what is wrong
    logs.configure(settings, "demo")
    _show(settings, record, make(settings, record), json)


def open_record(settings: Settings, wanted: dict[str, int | None]) -> Record:
    """The record of this data directory's demo, or a new one whose history ends now.

    Raises TenureError when there is another demo than is wanted, or an app `demo` that is not ours to fill.
    """
    migrate(connect(settings))
    record = Record.read(settings.data)
    if record is None:
        if any(app.name == NAME for app in Store(connect(settings)).apps()):
            raise TenureError(f"there is an app {NAME!r} that `tenure demo` did not make; choose another --data")
        record = Record(CUSTOMERS, DAYS, SEED, end=int(time.time()) // 60 * 60_000)
        for name, value in wanted.items():
            if value is not None:
                setattr(record, name, value)
        record.write(settings.data)
    for name, value in wanted.items():
        made = getattr(record, name)
        if value not in (None, made):
            raise TenureError(f"the demo in {settings.data} was made with --{name} {made}; choose another --data")
    return record


def make(settings: Settings, record: Record) -> Access:
    """Make sure of the app and its whole history, and give it fresh keys. Raises TenureError."""
    store = Store(connect(settings))
    app = next((app for app in store.apps() if app.name == NAME), None) or store.create_app(NAME)
    earlier = [key.id for key in store.list_keys(app.id) if key.revoked_at is None]
    fresh = store.create_keys(app.id)
    for key_id in earlier:
        store.revoke_key(key_id)
    if record.loaded_for != app.id:
        columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
            fill(settings, record, app.id, fresh["secret_key"], progress)
    return Access(app.id, fresh)


def _serve(settings: Settings, record: Record, json: bool) -> None:
    """Serve, and beside it make the demo and print it when requests can be answered."""
    logs.configure(settings, "supervisor")
    supervisor = Supervisor(settings)
    supervisor.start()
    failures: list[Exception] = []

    def make_and_show() -> None:
        try:
            access = make(settings, record)
            _wait_ready(settings)
            _show(settings, record, access, json)
        except Exception as error:  # nobody is told by a thread that ends; the server is of use all the same
            err.print(f"no demo: {error}", style="red", markup=False)
            failures.append(error)

    threading.Thread(target=copy_context().run, args=(make_and_show,), name="demo", daemon=True).start()
    supervisor.run()
    if failures:
        raise failures[0]


def _wait_ready(settings: Settings) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"{base_url(settings)}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)


def base_url(settings: Settings) -> str:
    """Where a client on this machine finds the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _show(settings: Settings, record: Record, access: Access, json: bool) -> None:
    customers = highlights(History(record.customers, record.days, record.seed, record.end))
    url = base_url(settings)
    commands = curls(url, access.app, access.keys, customers[0])
    if json:
        shown = {"app": access.app, "keys": access.keys, "base_url": url, "curls": commands, "customers": customers}
        _print(msgspec.json.format(msgspec.json.encode(shown)).decode())
        return
    _print(f"\nA demo of {record.events:,} events and {record.customers:,} sign-ups in {record.days:,} days\n")
    for label, value in {"base_url": url, "docs": f"{url}/docs", "app": access.app, **access.keys}.items():
        _print(f"  {label + ':':17}{value}")
    for name, command in commands.items():
        _print(f"\n# {_TITLES[name]}\n{command}")
    _print("\nCustomers worth a look:\n")
    for customer in customers:
        _print(f"  {customer.customer_id}  {customer.company}: {customer.why}")
    err.print("\nThe keys are not stored; the next `tenure demo` prints new ones and ends these.", style="yellow")


_TITLES = {
    "churnkey": "Send an event as a client of Churnkey does",
    "windback": "as a client of Windback does",
    "customerscore": "as a client of Customerscore does",
    "whisperr": "as a client of Whisperr does",
    "customer": "Read all that is known of this customer",
    "subscriptions": "what this customer pays and paid, with the evidence",
    "timeline": "this customer's timeline",
    "customers": "the customers who were last seen two weeks ago or more",
    "mrr": "monthly recurring revenue, month by month",
    "events": "the names of all events",
}


def _print(text: str) -> None:
    out.print(text, markup=False, highlight=False)
