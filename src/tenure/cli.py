"""The command `tenure`: what a person at a terminal, or a script, can ask for.

Exit codes: 0 done; 1 it could not be done, or a check failed; 2 wrong usage or settings; 3 the data directory
or the port is taken or cannot be used.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Annotated

import structlog
import typer

from tenure import __version__, logs
from tenure.commands.common import Data, Json, err, out, print_json, say
from tenure.control.actor import COMMAND_LINE, acting
from tenure.errors import AlreadyRunning, DataUnusable, PortInUse, SettingsInvalid, TenureError
from tenure.settings import Settings

log = structlog.get_logger()

DONE, FAILED, WRONG_USAGE, TAKEN = 0, 1, 2, 3


def main() -> None:
    """Run the command line; errors raised on purpose become one line and an exit code."""
    try:
        with acting(COMMAND_LINE):
            command_line(sys.argv[1] if len(sys.argv) > 1 else None)()
    except SettingsInvalid as error:
        for problem in error.problems:
            err.print(f"setting: {problem}", style="red", markup=False)
        sys.exit(WRONG_USAGE)
    except (AlreadyRunning, DataUnusable, PortInUse) as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(TAKEN)
    except TenureError as error:
        err.print(str(error), style="red", markup=False)
        sys.exit(FAILED)


def command_line(asked: str | None = None) -> typer.Typer:
    """All commands; or, where one is `asked` for by its name, no others that take a while to import."""
    made = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                       help="Self-hosted event tracking for customer retention.")  # fmt: skip
    for name, place in ELSEWHERE.items():
        if asked == name or asked not in (*ELSEWHERE, *HERE):
            found = resolve_name(place)
            if isinstance(found, typer.Typer):
                made.add_typer(found, name=name)
            else:
                made.command(name)(found)
    for name, command in HERE.items():
        made.command(name)(command)
    return made


def version() -> None:
    """Print the version."""
    print(__version__)


def serve(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="8750")] = None,
) -> None:
    """Take events and answer questions until stopped (SIGTERM, SIGHUP or Ctrl-C)."""
    from tenure.supervisor import Supervisor

    settings = Settings.load({"data": data, "host": host, "port": port})
    logs.configure(settings, "supervisor")
    supervisor = Supervisor(settings)
    supervisor.start()
    log.info(f"Tenure on {settings.local_url}", data=str(settings.data))
    threading.Thread(target=_welcome, args=(settings,), name="welcome", daemon=True).start()
    supervisor.run()


def _welcome(settings: Settings) -> None:
    """When the server answers, and nobody has an account: the way in. Not to the log, which others may read."""
    from tenure.welcome import first_link, wait_ready

    wait_ready(settings)
    link = first_link(settings)
    if link is not None:
        say(f"Open the pages, and make yourself the first account (this link is good once, for a day):\n\n  {link}\n")


def check_command(
    data: Data = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte of the warehouse first.")] = False,
    json: Json = False,
) -> None:
    """Look whether everything in the data directory is whole and the books balance; exit code 1 if not.

    The warehouse is looked at through a running `tenure serve`.
    """
    from tenure.check import check

    settings = Settings.load({"data": data})
    if deep:
        from tenure.commands.deep_check import check_deeply

        check_deeply(settings)
    findings = list(check(settings))
    if json:
        print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            mark = "[green]ok[/]  " if finding.holds else "[red]FAIL[/]"
            out.print(f"{mark}  {finding.name}: {finding.seen}", highlight=False)
    if not all(finding.holds for finding in findings):
        raise typer.Exit(FAILED)


ELSEWHERE = {
    "app": "tenure.commands.app:app_commands",
    "key": "tenure.commands.key:key_commands",
    "user": "tenure.commands.user:user_commands",
    "incident": "tenure.commands.incident:incident_commands",
    "erase": "tenure.commands.erase:erase_command",
    "restore-parts": "tenure.commands.restore:restore_command",
    "demo": "tenure.demo.command:demo_command",
    "import": "tenure.importer.command:import_command",
}
HERE: dict[str, Callable[..., None]] = {"version": version, "serve": serve, "check": check_command}
