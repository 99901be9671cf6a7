"""The settings by which a table loses nothing at a power cut. Each of our tables states them in its definition."""

from __future__ import annotations

import re

import structlog
from clickhouse_connect.driver.client import Client

from tenure.errors import NotDurable

log = structlog.get_logger()

DURABLE = {
    "fsync_after_insert": 1,
    "fsync_part_directory": 1,
    # By default what a merge or a mutation makes is not synced, and its sources are removed all the same.
    "min_rows_to_fsync_after_merge": 1,
    "min_compressed_bytes_to_fsync_after_merge": 1,
    # Seconds. chDB's own default is 0.
    "old_parts_lifetime": 480,
}

_TABLES = """
SELECT name, engine_full FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND NOT is_temporary ORDER BY name
"""
_SETTING = re.compile(r"(\w+) = (\d+)")


def make_durable(client: Client) -> list[str]:
    """Give every table the settings of `DURABLE`, and look that it has them; returns the tables that lacked some.

    Raises NotDurable when a table does not take them, and ClickHouseError.
    """
    lacking = _lacking(client)
    for table, settings in lacking.items():
        stated = ", ".join(f"{name} = {value}" for name, value in settings.items())
        client.command(f"ALTER TABLE {table} MODIFY SETTING {stated}")
        log.info("table made durable", table=table, settings=stated)
    if lacking and (left := _lacking(client)):
        raise NotDurable(f"these tables could lose what they took at a power cut: {', '.join(left)}")
    return list(lacking)


def _lacking(client: Client) -> dict[str, dict[str, int]]:
    """By table, the settings that it does not state."""
    found = {}
    for table, engine in client.query(_TABLES).result_rows:
        stated = settings_of(engine)
        if lacking := {name: value for name, value in DURABLE.items() if stated.get(name) != value}:
            found[table] = lacking
    return found


def settings_of(engine: str) -> dict[str, int]:
    """The numeric settings in a table's definition, as `system.tables.engine_full` shows it. Pure."""
    return {name: int(value) for name, value in _SETTING.findall(engine.partition(" SETTINGS ")[2])}
