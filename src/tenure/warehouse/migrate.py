"""Applies `schema/NNNN_*.sql` in order and records each in the warehouse, so that each runs once."""

from __future__ import annotations

from importlib import resources

from clickhouse_connect.driver.client import Client

from tenure.warehouse.identifiers import fill_identifiers

_RECORD = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number UInt32, name String, applied_at DateTime DEFAULT now()
) ENGINE = ReplacingMergeTree ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""

STEPS = {5: fill_identifiers}
"""What a schema file needs beyond SQL, done after its statements."""


def migrations() -> list[tuple[int, str, list[str]]]:
    """(number, file name, statements) of every schema file, in order."""
    found = []
    for file in sorted(resources.files("tenure.warehouse").joinpath("schema").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            found.append((int(file.name[:4]), file.name, _statements(file.read_text())))
    return found


def migrate(client: Client) -> list[str]:
    """Apply what is missing; returns the names of what was applied. Statements are written to be repeatable,
    since a crash may come between a statement and its record."""
    client.command(_RECORD)
    done = {row[0] for row in client.query("SELECT number FROM schema_migration").result_rows}
    applied = []
    for number, name, statements in migrations():
        if number in done:
            continue
        for statement in statements:
            client.command(statement)
        if number in STEPS:
            STEPS[number](client)
        client.insert("schema_migration", [[number, name]], column_names=["number", "name"])
        applied.append(name)
    return applied


def _statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]
