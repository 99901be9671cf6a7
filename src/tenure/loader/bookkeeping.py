"""Holds the warehouse against what was acknowledged, again and again, and reports what is missing."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy.exc import SQLAlchemyError

from tenure.conservation import (
    Difference,
    Expected,
    arrived,
    compare_arrivals,
    expected,
    lacking,
    lost_journals,
    through_ids,
)
from tenure.control.incidents import Incident, Kind
from tenure.control.store import Store
from tenure.errors import Unavailable
from tenure.journal import Loaded, counted_aside, readers
from tenure.journal.node import node_of
from tenure.warehouse.client import Warehouse

log = structlog.get_logger()

CHECK_SECONDS = 60.0
BUSY_REQUESTS = 20_000
"""With more requests waiting than these, loading goes first."""
SMALL = 2_000_000
"""An app with more elements than these is checked in every thirtieth round only."""
TABLES = ("arrival", "first_copy", "event")


class Bookkeeping:
    """The books of all apps. `run` is for a thread of its own."""

    def __init__(self, directory: Path, warehouse: Warehouse, store: Store, stop: threading.Event) -> None:
        self._directory = directory
        self._warehouse = warehouse
        self._store = store
        self._stop = stop
        self._round = 0

    def run(self) -> None:
        """Check until told to stop."""
        while not self._stop.wait(CHECK_SECONDS):
            try:
                self.check()
            except (Unavailable, ClickHouseError, SQLAlchemyError, sqlite3.Error, OSError) as error:
                log.info("books not checked; will try again", error=type(error).__name__)
                self._warehouse.forget()

    def check(self) -> None:
        """Check once. Raises Unavailable, ClickHouseError, SQLAlchemyError, sqlite3.Error and OSError."""
        if self._waiting() > BUSY_REQUESTS:
            return
        self._report_lost()
        for aside in counted_aside(self._directory):  # whoever wrote it may have died before it could
            self._store.received.write(aside, node_of(self._directory))
        now = expected(self._directory, self._store.received)
        for app in self._store.all_apps():
            elements = sum(counts.elements for (name, _), counts in now.loaded.items() if name == app.id)
            if elements <= SMALL or self._round % 30 == 0:
                self._check_app(app.id, now)
        self._round += 1

    def _check_app(self, app: str, now: Expected) -> None:
        found = self._differences(app, now)
        if found:  # once more, for what an erasure did meanwhile
            found = self._differences(app, expected(self._directory, self._store.received))
        for table in TABLES:
            missing = [one for one in found if one.table == table and one.missing]
            if missing:
                self._report(app, table, missing)
            else:
                self._store.incidents.resolve(Kind.MISSING_ELEMENTS, table, app)

    def _differences(self, app: str, now: Expected) -> list[Difference]:
        client = self._warehouse.client
        mine = {place: counts for place, counts in now.loaded.items() if place[0] == app}
        until = max((counts.last_at for counts in mine.values()), default=0)
        found = compare_arrivals(app, mine, arrived(client, app, until))
        if Loaded.read(self._directory) != now.positions:  # more was loaded: only what is missing is sure
            found = [one for one in found if not one.extra]
        return found + lacking(app, through_ids(client, app, sum(counts.events for counts in mine.values())))

    def _report(self, app: str, table: str, missing: list[Difference]) -> None:
        text = (
            f"The table {table} lacks elements that were acknowledged. `tenure check` has the details; "
            "`tenure restore-parts` brings back what can be. What cannot, accept."
        )
        self._store.incidents.report(
            Incident(
                kind=Kind.MISSING_ELEMENTS,
                place=table,
                app=app,
                text=text,
                count=sum(one.missing for one in missing),
                at_least=any(one.at_least for one in missing),
                first_at=min(one.first_at for one in missing),
                last_at=max(one.last_at for one in missing),
                incomplete=True,
            )
        )

    def _report_lost(self) -> None:
        for lost in lost_journals(self._directory, self._store.received):
            text = (
                f"The file of the journal {lost.journal} is gone, with at least {lost.requests:,} acknowledged "
                "requests that were not loaded. `tenure check` tells apps and times. Bring it back, or accept this."
            )
            self._store.incidents.report(
                Incident(kind=Kind.JOURNAL_LOST, place=lost.journal, text=text, last_at=lost.last_at, incomplete=True)
            )

    def _waiting(self) -> int:
        positions = Loaded.read(self._directory).positions
        waiting = 0
        for reader in readers(self._directory):
            waiting += reader.pending(positions.get(reader.id, 0))[0]
            reader.close()
        return waiting
