"""`tenure erase`: removes all that is kept of a customer, and prints the certificate."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
import typer

from tenure import logs
from tenure.commands.common import Data, Json, open_store, print_json, say
from tenure.control.erasures import DONE
from tenure.control.store import Store
from tenure.customers.customer import spelled
from tenure.customers.erasure import Requested, other_modes, request_erasure, requested
from tenure.delivery import Running
from tenure.errors import BadRequest, Conflict, Unavailable
from tenure.mode import LIVE, MODES, app_of
from tenure.settings import Settings
from tenure.stop_signals import interrupt_on_stop
from tenure.warehouse.client import Warehouse

START_SECONDS, POLL_SECONDS = 60.0, 0.1


def erase_command(
    customer: Annotated[str, typer.Argument(help="Any identifier of the customer, or kind:value.")],
    app: Annotated[str, typer.Option("--app", help="The app: its id or its name.")],
    *,
    confirm: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Of the list of what goes, where several ids would.")
    ] = None,
    mode: Annotated[str, typer.Option(help=f"Of which data: {', '.join(MODES)}.")] = LIVE,
    data: Data = None,
    json: Json = False,
) -> None:
    """Erase a customer: from all answers at once, and from every file. Prints the certificate when that is done.

    Where two or more customer ids, uids or billing ids would go, it prints the list of what would and erases
    nothing, unless --confirm has the digest of that list. Stopped meanwhile, it goes on when a server runs, or when
    an erasure is asked for again.
    """
    store = open_store(data)
    if mode not in MODES:
        raise BadRequest(f"--mode must be one of {', '.join(MODES)}")
    app_id = app_of(store.app(app).id, mode)
    if mode != LIVE:
        store.add_mode_apps({app_id})
    settings = Settings.load({"data": data})
    settings = settings.model_copy(update={"log_level": "error"})
    logs.configure(settings, "erase")
    interrupt_on_stop()
    with Running(settings) as running:
        try:
            done = _erase(settings, store, app_id, (customer, confirm), running)
        except Conflict as error:
            if error.details:
                _print_list(error, json)
            raise
        _print(done, json)


def _erase(
    settings: Settings, store: Store, app_id: str, asked_for: tuple[str, str | None], running: Running
) -> Requested:
    deadline = time.monotonic() + START_SECONDS
    while True:
        running.tend()
        try:
            asked = request_erasure(Warehouse(settings), store, settings.journal_directory, app_id, *asked_for)
            break
        except Unavailable:  # what was started here, or by a server, takes a moment
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)
    canonical, also_in = asked.identifiers[0], other_modes(Warehouse(settings), store, asked)
    while asked.phase != DONE:
        running.tend()
        time.sleep(POLL_SECONDS)
        asked = store.erasures.find(app_id, asked.id)
    return requested(asked, canonical, also_in)


def _print_list(error: Conflict, json: bool) -> None:
    """What would have gone."""
    if json:
        print_json({"error": error.code, "message": error.message, **error.details})
        return
    identifiers = error.details.get("identifiers", [])
    for one in identifiers if isinstance(identifiers, list) else []:
        say(f"  {one['kind']}:{one['value']}")
    if "digest" in error.details:
        say(f"digest: {error.details['digest']}  (to erase all of these: --confirm {error.details['digest']})")


def _print(done: Requested, json: bool) -> None:
    if json:
        print_json(msgspec.to_builtins(done))
        return
    say(f"erased: {spelled(done.canonical)}, {done.identifiers} identifiers, erasure {done.id}")
    for mode in done.also_in:
        say(f"  the {mode} mode keeps something under the same identifiers; erase it with --mode {mode}")
    for phase, at in done.reached.items():
        say(f"  {phase:10}{at}")
    for store, tables in done.removed.items():
        for table, count in tables.items():
            say(f"  {store} {table}: {count:,}")
