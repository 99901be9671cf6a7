"""Applies `schema/NNNN_*.sql` in order and records each in the warehouse, so that each runs once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources

from clickhouse_connect.driver.client import Client

_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number UInt32, name String, applied_at DateTime DEFAULT now()
) ENGINE = ReplacingMergeTree ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""


def migrations() -> list[tuple[int, str, list[str]]]:
    """(number, file name, statements) of every schema file, in order."""
    found = []
    for file in sorted(resources.files("tenure.warehouse").joinpath("schema").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            found.append((int(file.name[:4]), file.name, _statements(file.read_text())))
    return found


Step = Callable[[Client], None]


def migrate(client: Client, steps: Mapping[int, Step]) -> list[str]:
    """Apply what is missing; returns the names of what was applied.

    `steps` has, by the number of a schema file, what fills its tables from what was there before. Statements and steps
    are written to be repeatable, since a crash may come between them and their record.
    """
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
        client.insert("schema_migration", [[number, name]], column_names=["number", "name"])
        applied.append(name)
    return applied


def _statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
