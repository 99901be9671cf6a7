"""The command `tenure`: what a person at a terminal, or a script, can ask for.

Exit codes: 0 done; 1 it could not be done, or a check failed; 2 wrong usage or settings; 3 the data directory
or the port is taken.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenure import __version__, logs
from tenure.commands.app import app_commands
from tenure.commands.common import Data, Json, err, out, print_json
from tenure.commands.erase import erase_command
from tenure.commands.key import key_commands
from tenure.commands.mrr import mrr_command
from tenure.commands.signals import app_signals
from tenure.control.audit import COMMAND_LINE, acting
from tenure.demo.command import demo_command
from tenure.errors import AlreadyRunning, PortInUse, SettingsInvalid, TenureError
from tenure.importer.command import import_command
from tenure.settings import Settings

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  help="Self-hosted event tracking for customer retention.")  # fmt: skip
cli.add_typer(app_commands, name="app")
cli.add_typer(key_commands, name="key")

app_commands.command("signals")(app_signals)
app_commands.command("mrr")(mrr_command)
cli.command("erase")(erase_command)
cli.command("demo")(demo_command)
cli.command("import")(import_command)

DONE, FAILED, WRONG_USAGE, TAKEN = 0, 1, 2, 3


def main() -> None:
    """Run the command line; errors raised on purpose become one line and an exit code."""
    try:
        with acting(COMMAND_LINE):
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
