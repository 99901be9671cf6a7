"""`tenure restore-parts`: brings back what damage took from the warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tenure import logs
from tenure.commands.common import Data, Json, open_store, print_json, say
from tenure.errors import TenureError
from tenure.settings import Settings
from tenure.wire.times import rfc3339

if TYPE_CHECKING:
    from tenure.loader.restoring import Loss, Report


def restore_command(data: Data = None, json: Json = False) -> None:
    """Bring back what damage took from the warehouse, and tell what is lost. Stop the server first.

    Exit code 1 when something is lost. May be repeated.
    """
    from tenure.loader.restore_run import restore_parts

    settings = Settings.load({"data": data})
    logs.configure(settings, "restore-parts")
    if settings.warehouse_url is not None:
        raise TenureError("the warehouse is a ClickHouse of yours: use its own means")
    if not (settings.data / "warehouse").is_dir():
        raise TenureError(f"there is no warehouse in {settings.data}")
    report = restore_parts(settings, open_store(data))
    if json:
        import msgspec

        print_json(msgspec.to_builtins(report) | {"lost": [_as_json(loss) for loss in report.lost]})
    else:
        _tell(report, settings.data)
    if report.lost:
        raise typer.Exit(1)


def _tell(report: Report, data: Path) -> None:
    for file in report.files:
        say(f"put right: {file}")
    for part in report.repaired:
        say(f"repaired: part {part}")
    for table, count in report.replayed.items():
        say(f"brought back from the journals and other tables: {count:,} rows of {table}")
    for table in report.rebuilt:
        say(f"made anew: {table}")
    for path in report.set_aside:
        say(f"set aside: {data / 'warehouse' / path}")
    for loss in report.lost:
        say(f"LOST: {_in_words(loss)}")
        if loss.receipts:
            say(f"      receipts: {', '.join(loss.receipts[:20])}{' …' if len(loss.receipts) > 20 else ''}")
    if report.lost:
        say("`tenure incident list` has the losses; accept them when you have sent again, or imported, what you can.")
    elif not (report.files or report.repaired or report.rebuilt or report.set_aside):
        say("nothing is damaged")
    else:
        say("nothing is lost; start the server")


def _in_words(loss: Loss) -> str:
    from tenure.loader.restore_run import loss_in_words

    return loss_in_words(loss)


def _as_json(loss: Loss) -> dict[str, object]:
    times = {"first_at": loss.first_at, "last_at": loss.last_at}
    shown = {name: None if at is None else rfc3339(at) for name, at in times.items()}
    return {"table": loss.table, "part": loss.part or None, "app": loss.app or None, "count": loss.count,
            "receipts": loss.receipts, **shown}  # fmt: skip
