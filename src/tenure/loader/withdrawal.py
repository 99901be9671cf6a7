"""Withdraws what copies of events said of subscriptions that are no longer the ones kept. May be repeated."""

from __future__ import annotations

from collections.abc import Collection

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from tenure.warehouse.first_copies import FirstCopy

COPIES = 1_000
"""So many are named in one statement."""

_WITH_FACTS = """
SELECT DISTINCT customer_key, precedence FROM subscription_fact
WHERE customer_key IN (SELECT key FROM sent) AND precedence IN (SELECT precedence FROM sent)
"""
_DELETE = (
    "DELETE FROM subscription_fact WHERE (customer_key, precedence) IN ({copies}) SETTINGS lightweight_deletes_sync = 2"
)


def withdraw(client: Client, replaced: Collection[FirstCopy]) -> None:
    """Remove the facts of copies that another one replaces. Raises ClickHouseError."""
    if not replaced:
        return
    data = b"".join(copy.customer_key + copy.precedence.to_bytes(16, "little") for copy in replaced)
    sent = ExternalData(file_name="sent", data=data, fmt="RowBinary",
                        structure="key FixedString(16), precedence UInt128")  # fmt: skip
    found = client.query(_WITH_FACTS, external_data=sent).result_rows
    for start in range(0, len(found), COPIES):
        # Both are ours and say which app it is: nothing in them needs to be bound.
        copies = ", ".join(f"(unhex('{bytes(key).hex()}'), toUInt128('{precedence}'))"
                           for key, precedence in found[start : start + COPIES])  # fmt: skip
        client.command(_DELETE.format(copies=copies))
