"""What commands share: options, printing, and the way to the control database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.settings import Settings
from tenure.wire.times import rfc3339

Data = Annotated[Path | None, typer.Option("--data", help="Data directory (or TENURE_DATA).", show_default=False)]
AppName = Annotated[str, typer.Argument(metavar="APP", help="The app: its id or its name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

out, err = Console(soft_wrap=True), Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """One line on standard output, exactly as it is."""
    out.print(text, markup=False, highlight=False)


def last_use(row: dict[str, Any]) -> str:
    """When a key or a webhook secret was last used, in words."""
    return f"used {rfc3339(row['used_at'])}" if row["used_at"] else "no use known"


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    import json

    print(json.dumps(value, indent=2))


def open_store(data: Path | None) -> Store:
    """The control database of a data directory, brought up to date."""
    engine = connect(Settings.load({"data": data}))
    migrate(engine)
    return Store(engine)
