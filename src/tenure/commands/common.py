"""What commands share: options, printing, and the way to the control database."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from tenure.settings import Settings

if TYPE_CHECKING:
    from tenure.control.store import Store

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data directory (or TENURE_DATA).", show_default=False, readable=False),
]
"""`readable=False` says that typer is not to look: a directory that cannot be read is refused with what to do."""
AppName = Annotated[str, typer.Argument(metavar="APP", help="The app: its id or its name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """One line on standard output, exactly as it is."""
    out.print(text, markup=False, highlight=False)


def last_use(row: dict[str, Any]) -> str:
    """When a key or a webhook secret was last used, in words."""
    from tenure.wire.times import rfc3339

    return f"used {rfc3339(row['used_at'])}" if row["used_at"] else "no use known"


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    import json

    print(json.dumps(value, indent=2))


def open_store(data: Path | None) -> Store:
    """The control database of a data directory, brought up to date."""
    from tenure import clock
    from tenure.control.database import connect, migrate
    from tenure.control.store import Store

    settings = Settings.load({"data": data})
    engine = connect(settings)
    migrate(engine)
    with suppress(OSError):  # without journals there is no order of receipt yet
        clock.share(settings.journal_directory)
    return Store(engine)
