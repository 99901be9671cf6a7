"""Inserts the rows of one block, and verifies that the warehouse has them before anybody counts on it.

An insert that returns without an error is not enough. The engine notes the deduplication token before the rows are in
place: when it fails in between, the same insert sent again changes nothing and reports success. So what is stored of
each insert is counted. And a block that is done again is inserted under tokens of its own: its rows take the place of
those that are there already.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import structlog

from tenure.errors import Unavailable
from tenure.loader.columns import COLUMNS
from tenure.telemetry import LOADED_ROWS, ROWS_NOT_STORED
from tenure.warehouse.client import Warehouse
from tenure.warehouse.insert import insert_rows

log = structlog.get_logger()

Rows = Sequence[tuple[Any, ...]]


class _Identity(NamedTuple):
    """How the rows of an insert are told from others of the same table."""

    columns: tuple[str, ...]
    """They differ in these; a row that replaces another when parts are merged is equal to it in these."""
    ordered: str | None
    """A column by which the rows of a block lie close together, between the least and the greatest of an insert."""


_IDENTITIES = {
    "event": _Identity(("customer_key", "occurred_at", "event_id"), "precedence"),
    "first_copy": _Identity(("event_id",), "precedence"),
    "retry_copy": _Identity(("retry_key", "precedence", "event_id"), None),
    "arrival": _Identity(("receipt", "kind", "position", "part"), "receipt"),
    "quarantine": _Identity(("receipt", "part"), "receipt"),
    "identify": _Identity(("receipt", "position", "part"), "receipt"),
    "fact": _Identity(
        ("customer_key", "scope", "subject", "name", "set_at", "operation", "element_id", "verified"), None
    ),
    "subscription_fact": _Identity(("customer_key", "source", "subscription", "event_id", "part"), "precedence"),
    "identifier": _Identity(("customer_key",), None),
    "erased_event": _Identity(("event_id",), None),
    "seen": _Identity(("app", "customer_key", "name"), None),
    "volume": _Identity(("app", "name", "dialect", "day"), None),
}

_NEWEST = """
SELECT table, max(max_block_number) FROM system.parts
WHERE database = currentDatabase() AND active AND table IN {tables:Array(String)} GROUP BY table
"""
# A part is called PARTITION_FIRST_LAST_LEVEL, with the numbers of the first and last insert that are in it. So this
# reads what came after the number, however often it was merged since, and next to nothing else: mostly one part for
# each insert, which is in it as a whole or not at all.
_STORED = """
SELECT 'TABLE', count(), max(toInt64(splitByChar('_', _part)[3])) FROM TABLE
WHERE toInt64(splitByChar('_', _part)[3]) > {newest_TABLE:Int64}"""
_OF_INSERT = " AND COLUMN BETWEEN {least_TABLE:TYPE} AND {greatest_TABLE:TYPE}"
_RUNNING = """
SELECT count() FROM system.processes WHERE startsWith(Settings['insert_deduplication_token'], {token:String})
"""
LONGEST_RUNNING_SECONDS, POLL_SECONDS = 300.0, 0.2


class RowsNotStored(Unavailable):
    """The warehouse took rows and does not have them."""


class BlockWriter:
    """Writes one block after another: `begin`, then `insert` and `verify` as often as needed, and `end`."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._token = ""
        self._repeats = False
        self._newest: dict[str, int] = {}
        self._unverified: list[tuple[str, Rows]] = []
        self.has_inserted = False
        """Whether something of the block may be in the warehouse."""

    def begin(self, token: str, *, repeats: bool) -> None:
        """Begin a block; with `repeats`, one that was begun before, of which anything may be stored already.

        Raises Unavailable and ClickHouseError.
        """
        if repeats:
            self._wait_until_ended(token)
        self._token, self._repeats, self._unverified = token, repeats, []
        if repeats or not self._newest:
            found = self._warehouse.client.query(_NEWEST, {"tables": list(_IDENTITIES)}).result_rows
            self._newest = dict.fromkeys(_IDENTITIES, -1) | {str(table): int(number) for table, number in found}

    def end(self) -> None:
        """The block is loaded: what comes next is another one."""
        self.has_inserted = False

    def insert(self, table: str, rows: Rows) -> None:
        """Insert rows, in the order of `columns.COLUMNS`. Raises ClickHouseError."""
        if not rows:
            return
        self.has_inserted = True
        token = f"{self._token}/{table}" + (f"/{uuid4().hex}" if self._repeats else "")
        insert_rows(self._warehouse.client, table, COLUMNS[table], rows, token)
        self._unverified.append((table, rows))

    def verify(self) -> None:
        """Make sure that all that was inserted is stored. Raises RowsNotStored, Unavailable and ClickHouseError."""
        if not self._unverified:
            return
        stored = self._stored()
        for table, rows in self._unverified:
            found, newest = stored[table]
            if found < len(rows) and found < (expected := distinct(table, rows)):
                missing = expected - found
                ROWS_NOT_STORED.labels(table).inc(missing)
                log.error("the warehouse took rows and does not have them", table=table, rows=expected, missing=missing)
                raise RowsNotStored(f"the warehouse lacks {missing} of {expected} rows of {table} that it took")
            LOADED_ROWS.labels(table).inc(len(rows))
            self._newest[table] = newest
        self._unverified = []

    def _stored(self) -> dict[str, tuple[int, int]]:
        """By table: how many rows are in the inserts since the block began, and the number of the last insert."""
        questions = []
        parameters: dict[str, Any] = {}
        for table, rows in self._unverified:
            ordered = _IDENTITIES[table].ordered
            question = _STORED
            parameters[f"newest_{table}"] = self._newest[table]
            if ordered is not None:
                question += _OF_INSERT.replace("COLUMN", ordered).replace("TYPE", COLUMNS[table][ordered])
                place = list(COLUMNS[table]).index(ordered)
                parameters[f"least_{table}"] = min(row[place] for row in rows)
                parameters[f"greatest_{table}"] = max(row[place] for row in rows)
            questions.append(question.replace("TABLE", table))
        found = self._warehouse.client.query("\nUNION ALL".join(questions), parameters).result_rows
        return {str(table): (int(count), int(newest)) for table, count, newest in found}

    def _wait_until_ended(self, token: str) -> None:
        """Wait for inserts of the block that go on though nobody waits for their answer: what they add must be there
        before it is counted."""
        deadline = time.monotonic() + LONGEST_RUNNING_SECONDS
        while self._warehouse.client.query(_RUNNING, {"token": token}).result_rows[0][0]:
            if time.monotonic() > deadline:
                raise Unavailable("an insert of the block has not ended", code="warehouse_unavailable")
            time.sleep(POLL_SECONDS)


def distinct(table: str, rows: Rows) -> int:
    """How many different rows the table has of these once its parts are merged. Pure."""
    names = list(COLUMNS[table])
    places = [names.index(column) for column in _IDENTITIES[table].columns]
    return len({tuple(row[place] for place in places) for row in rows})
