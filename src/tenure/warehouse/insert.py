"""The one way in which rows are inserted into the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.summary import QuerySummary


def insert_rows(
    client: Client, table: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]], token: str | None = None
) -> QuerySummary:
    """Insert rows whose values are in the order of `columns`, which has the ClickHouse type of each by its name.

    Returns when they are durable. An insert with a `token` that was there before changes nothing. Without one the rows
    are inserted whatever was inserted before: ClickHouse would take rows that are equal to those of an insert that
    failed for duplicates, and drop them. Raises ClickHouseError.
    """
    return client.insert(
        table,
        list(zip(*rows, strict=True)),
        column_oriented=True,
        column_names=list(columns),
        column_type_names=list(columns.values()),
        settings={"async_insert": 0, "insert_deduplication_token": token or uuid4().hex},
    )
