"""Fills tables that a schema file adds from what is in the warehouse already. Repeatable."""

from __future__ import annotations

from typing import Any

from clickhouse_connect.driver.client import Client

from tenure.event import Identify
from tenure.identity import element_ids
from tenure.loader import facts, rows
from tenure.loader.columns import COLUMNS
from tenure.warehouse.identifiers import fill_identifiers
from tenure.warehouse.migrate import Step

_BLOCK_ROWS = 20_000
_IDENTIFIES = """
SELECT app, customer_key, toUnixTimestamp64Milli(set_at), receipt, position, part, toUnixTimestamp64Micro(received_at),
    dialect, verified, user_id, traits, user_traits, channels, users
FROM identify FINAL
"""


def make_facts(client: Client) -> None:
    """The facts of every identify that was loaded before there were any. Not in SQL: ClickHouse's own reading of JSON
    is not exact for large numbers."""
    made: list[tuple[Any, ...]] = []
    with client.query_rows_stream(_IDENTIFIES) as stream:
        for row in stream:
            made += _facts(row)
            if len(made) >= _BLOCK_ROWS:
                _insert(client, made)
                made = []
    _insert(client, made)


def _facts(row: Any) -> list[tuple[Any, ...]]:
    app, key, set_at, receipt, position, part, received_at, dialect, verified, user_id, *texts, users = row
    traits, user_traits, channels = texts
    identify = Identify(index=position, user_id=user_id or None, traits=traits, user_traits=user_traits,
                        channels=channels, users=users or None)  # fmt: skip
    (element_id,) = element_ids(app, dialect, [identify], bytes(receipt).hex())
    order = rows.precedence(received_at, bytes(receipt)) - position
    said = facts.Said(app, bytes(key), set_at, element_id, bool(verified), dialect, received_at, bytes(receipt),
                      position, part, order)  # fmt: skip
    return facts.rows(said, facts.statements(identify))


def _insert(client: Client, made: list[tuple[Any, ...]]) -> None:
    if made:
        columns = COLUMNS["fact"]
        client.insert("fact", made, column_names=list(columns), column_type_names=list(columns.values()))


STEPS: dict[int, Step] = {2: make_facts, 5: fill_identifiers}
"""By the number of the schema file."""
