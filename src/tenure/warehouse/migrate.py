"""Applies `schema/NNNN_*.sql` in order and records each in the warehouse, so that each runs once.

Before anything else, and again at the end, every table gets the settings by which it is durable (`durability`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources

from clickhouse_connect.driver.client import Client

from tenure.warehouse.durability import DURABLE, make_durable
from tenure.warehouse.insert import insert_rows

_RECORD = f"""
CREATE TABLE IF NOT EXISTS schema_migration (
    number UInt32, name String, applied_at DateTime DEFAULT now()
) ENGINE = ReplacingMergeTree ORDER BY number
SETTINGS {", ".join(f"{name} = {value}" for name, value in DURABLE.items())}
"""


def migrations() -> list[tuple[int, str, list[str]]]:
    """(number, file name, statements) of every schema file, in order."""
    found = []
    for file in sorted(resources.files("tenure.warehouse").joinpath("schema").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            found.append((int(file.name[:4]), file.name, _statements(file.read_text())))
    return found


Step = Callable[[Client], None]


def _nothing() -> None:
    pass


def migrate(client: Client, steps: Mapping[int, Step], made_durable: Callable[[], object] = _nothing) -> list[str]:
    """Apply what is missing; returns the names of what was applied.

    `made_durable` is called when tables were not durable until now: what was merged in them before may be in the page
    cache only.

    `steps` has, by the number of a schema file, what fills its tables from what was there before. Statements and steps
    are written to be repeatable, since a crash may come between them and their record.

    Raises NotDurable, Unavailable and ClickHouseError.
    """
    if make_durable(client):
        made_durable()
    client.command(_RECORD)
    done = {row[0] for row in client.query("SELECT number FROM schema_migration").result_rows}
    applied = []
    for number, name, statements in migrations():
        if number in done:
            continue
        for statement in statements:
            client.command(statement)
        if number in steps:
            steps[number](client)
        insert_rows(client, "schema_migration", {"number": "UInt32", "name": "String"}, [(number, name)])
        applied.append(name)
    if applied:
        make_durable(client)
    return applied


def _statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
