"""Fills the table `identifier` from what was stored before there was one."""

from __future__ import annotations

from collections.abc import Iterator

from clickhouse_connect.driver.client import Client

from tenure.event import Identify
from tenure.identity import carried, identity_key
from tenure.warehouse.insert import insert_rows

COLUMNS = {
    "app": "LowCardinality(String)",
    "customer_key": "FixedString(16)",
    "kind": "LowCardinality(String)",
    "value": "String",
}

# In the order of the primary key, so that memory does not grow with the table.
_SAID = """
SELECT app, customer_id, uid, email, anonymous_id FROM {table}
GROUP BY app, customer_key, customer_id, uid, email, anonymous_id
SETTINGS optimize_aggregation_in_order = 1, max_threads = 1, max_block_size = 8192
"""

Rows = dict[bytes, tuple[str, bytes, str, str]]


def fill_identifiers(client: Client) -> None:
    """Write every identifier of every event and identify. May be repeated."""
    for table in ("event", "identify"):
        for found in _blocks(client, _SAID.format(table=table)):
            insert_rows(client, "identifier", COLUMNS, list(found.values()))


def _blocks(client: Client, sql: str) -> Iterator[Rows]:
    with client.query_row_block_stream(sql) as blocks:
        for block in blocks:
            found: Rows = {}
            for app, *said in block:
                customer_id, uid, email, anonymous_id = (value or None for value in said)
                item = Identify(index=0, customer_id=customer_id, uid=uid, email=email, anonymous_id=anonymous_id)
                for one in carried(item):
                    key = identity_key(app, one)
                    found[key] = (app, key, one.kind, one.value)
            if found:
                yield found
