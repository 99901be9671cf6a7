"""The command `tenure`: what a person at a terminal, or a script, can ask for.

Exit codes: 0 done; 1 it could not be done, or a check failed; 2 wrong usage or settings; 3 the data directory
or the port is taken.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tenure import __version__, logs
from tenure.control import keys
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.demo.command import demo_command
from tenure.errors import AlreadyRunning, PortInUse, SettingsInvalid, TenureError
from tenure.importer.command import import_command
from tenure.settings import Settings

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Self-hosted event tracking for customer retention.")  # fmt: skip
app_commands = typer.Typer(no_args_is_help=True, help="Apps: each has its own keys, events and customers.")
key_commands = typer.Typer(no_args_is_help=True, help="The keys of an app.")
cli.add_typer(app_commands, name="app")
cli.add_typer(key_commands, name="key")

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)

cli.command("demo")(demo_command)
cli.command("import")(import_command)

Data = Annotated[Path | None, typer.Option("--data", help="Data directory (or TENURE_DATA).", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AppName = Annotated[str, typer.Option("--app", help="The app: its id or its name.")]

DONE, FAILED, WRONG_USAGE, TAKEN = 0, 1, 2, 3


def main() -> None:
    """Run the command line; errors raised on purpose become one line and an exit code."""
    try:
        cli()
    except SettingsInvalid as error:
        for problem in error.problems:
            err.print(f"setting: {problem}", style="red", markup=False)
        sys.exit(WRONG_USAGE)
    except (AlreadyRunning, PortInUse) as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(TAKEN)
    except TenureError as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(FAILED)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    import json

    print(json.dumps(value, indent=2))


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@cli.command()
def serve(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8750")] = None,
) -> None:
    """Take events and answer questions until stopped (SIGTERM or Ctrl-C)."""
    from tenure.supervisor import Supervisor

    settings = Settings.load({"data": data, "host": host, "port": port})
    logs.configure(settings, "supervisor")
    supervisor = Supervisor(settings)
    supervisor.start()
    err.print(f"Tenure on http://{settings.host}:{settings.port} (data in {settings.data})", markup=False)
    supervisor.run()


@cli.command("check")
def check_command(data: Data = None, json: Json = False) -> None:
    """Look whether everything in the data directory is whole and the books balance; exit code 1 if not.

    The warehouse is looked at through a running `tenure serve`.
    """
    from tenure.check import check

    findings = list(check(Settings.load({"data": data})))
    if json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark = "[green]ok[/]  " if finding.holds else "[red]FAIL[/]"
            out.print(f"{mark}  {finding.name}: {finding.seen}", highlight=False)
    if not all(finding.holds for finding in findings):
        raise typer.Exit(FAILED)


@app_commands.command("create")
def app_create(
    name: Annotated[str, typer.Argument(help="A name for the app.")], data: Data = None, json: Json = False
) -> None:
    """Create an app and print its keys: the only time that they are shown."""
    store = open_store(data)
    created = store.create_app(name)
    shown = {"app": created.id, "name": created.name} | create_keys(store, created.id)
    if json:
        print_json(shown)
        return
    for label, value in shown.items():
        out.print(f"{label + ':':17}{value}", markup=False, highlight=False)
    err.print("The keys are not stored and will not be shown again.", style="yellow")


@app_commands.command("list")
def app_list(data: Data = None, json: Json = False) -> None:
    """List the apps."""
    apps = [found._asdict() for found in open_store(data).apps()]
    if json:
        print_json(apps)
        return
    for found in apps:
        out.print(f"{found['id']}  {found['name']}", markup=False, highlight=False)


KeyKind = Annotated[str, typer.Option("--kind", help=f"One of: {', '.join(keys.KINDS)}.")]
KeyName = Annotated[str, typer.Argument(help="The key's id or its shown prefix (`tenure key list`).")]


@key_commands.command("create")
def key_create(app: AppName, kind: KeyKind, data: Data = None, json: Json = False) -> None:
    """Create a key and print it: the only time that it is shown."""
    store = open_store(data)
    _check_kind(kind, keys.KINDS)
    _print_key(kind, store.create_key(store.app(app).id, kind), json)


@key_commands.command("import")
def key_import(
    app: AppName,
    kind: Annotated[str, typer.Option("--kind", help=f"One of: {', '.join(keys.KINDS)}, {keys.APP_ID}.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Take over a key that a vendor's client uses already; it is read from standard input, never an argument.

    Kind `app-id` is the vendor's id of the app (Churnkey's `x-ck-app`).
    """
    _check_kind(kind, (*keys.KINDS, keys.APP_ID))
    store = open_store(data)
    value = sys.stdin.readline().strip()
    shortest = MIN_SECRET if kind in (keys.SECRET, keys.PUBLISHABLE, keys.READ) else 1
    if len(value) < shortest:
        raise TenureError(f"a {kind} key has at least {shortest} characters; give it on standard input")
    key_id = store.import_key(store.app(app).id, kind, value)
    if json:
        print_json({"id": key_id, "kind": kind, "prefix": keys.shown_prefix(value)})
    else:
        out.print(f"imported as {key_id}", markup=False, highlight=False)


@key_commands.command("list")
def key_list(
    app: Annotated[str | None, typer.Option("--app", help="Only of this app.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """List keys by what may be shown of them."""
    store = open_store(data)
    rows = [row._asdict() for row in store.list_keys(store.app(app).id if app else None)]
    if json:
        print_json(rows)
        return
    for row in rows:
        state = "revoked" if row["revoked_at"] else "live"
        out.print(
            f"{row['id']}  {row['app']}  {row['kind']:11}  {row['prefix']}…  {state}", markup=False, highlight=False
        )


@key_commands.command("revoke")
def key_revoke(key: KeyName, data: Data = None) -> None:
    """End a key: within a second no process takes it any more."""
    open_store(data).revoke_key(key)


@key_commands.command("rotate")
def key_rotate(key: KeyName, data: Data = None, json: Json = False) -> None:
    """Replace a key by a new one of the same kind, and end the old one."""
    store = open_store(data)
    _print_key("new key", store.rotate_key(key), json)


MIN_SECRET = 16
"""Shortest vendor's key that is taken over: what is shorter could be guessed."""


def open_store(data: Path | None) -> Store:
    """The control database of a data directory, brought up to date."""
    settings = Settings.load({"data": data})
    migrate(connect(settings))
    return Store(connect(settings))


def create_keys(store: Store, app_id: str) -> dict[str, str]:
    """One key of each kind, in clear."""
    return {f"{kind}_key": store.create_key(app_id, kind) for kind in keys.KINDS}


def _check_kind(kind: str, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise typer.BadParameter(f"must be one of: {', '.join(kinds)}", param_hint="--kind")


def _print_key(label: str, key: str, json: bool) -> None:
    if json:
        print_json({"key": key})
    else:
        out.print(f"{label}: {key}", markup=False, highlight=False)
