"""Keeps the table `canonical` of the warehouse in step with the links, so that questions can group by customer.

Every change of links takes a revision; rows are written with it, in its order, so that the largest version in the table
says where to go on after a crash. The revision at which it stopped is done again: the same rows replace themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from tenure.control.links import Changed, Links
from tenure.control.partition import partition
from tenure.identity import identity_key
from tenure.telemetry import worked
from tenure.warehouse.client import Warehouse
from tenure.warehouse.insert import insert_rows

log = structlog.get_logger()

FOLLOW_SECONDS, RETRY_SECONDS = 0.25, 1.0
CLUSTERS = 5_000
"""Clusters of one insert."""

COLUMNS = {
    "app": "LowCardinality(String)",
    "key": "FixedString(16)",
    "canonical": "FixedString(16)",
    "version": "UInt64",
}

Rows = list[tuple[str, bytes, bytes, int]]


class Canonical:
    """Writes the canonical customer of each linked identifier. Safe to share between threads."""

    def __init__(self, warehouse: Warehouse, links: Links, written: Callable[[], None]) -> None:
        """`written` is told when rows were written."""
        self._warehouse = warehouse
        self._links = links
        self._tell = written
        self._place: tuple[int, str] | None = None
        self._following = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Follow the links until told to stop."""
        while not stop.is_set():
            pause = FOLLOW_SECONDS
            try:
                self.follow()
                worked("canonical_customers")
            except Exception as error:  # whatever it is: a thread that has ended would leave them as they are
                log.warning("canonical customers not written; will try again", error=type(error).__name__)
                self._warehouse.forget()
                pause = RETRY_SECONDS
            stop.wait(pause)

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """While rows are hidden and links forgotten none is written, so that none is of links from before."""
        with self._following:
            yield

    def follow(self) -> None:
        """Write what has changed. Costs one small query when nothing has.

        Raises Unavailable, ClickHouseError and SQLAlchemyError; the next call then goes on.
        """
        with self._following:
            place = self._place or (self._written(), "")
            while changed := self._links.changed_after(*place, limit=CLUSTERS):
                self._write(changed)
                place = (changed[-1].revision, changed[-1].id)
            self._place = place

    def write_all(self) -> None:
        """Write what all links come to, whatever is there. Raises as `follow`."""
        self._place = (0, "")
        self.follow()

    def _written(self) -> int:
        return int(self._warehouse.client.query("SELECT max(version) FROM canonical").result_rows[0][0])

    def _write(self, changed: list[Changed]) -> None:
        facts = self._links.facts_of(found.id for found in changed)
        rows: Rows = []
        for found in changed:
            customers = partition(facts.get(found.id, ()))
            known = {side for link in facts.get(found.id, ()) if link.joins for side in link.pair}
            for side in known:
                owner = customers.customer(side)[0]
                keys = (identity_key(found.app, identifier) for identifier in (side, owner))
                rows.append((found.app, *keys, found.revision))  # type: ignore[arg-type]
        if rows:
            insert_rows(self._warehouse.client, "canonical", COLUMNS, rows)
            self._tell()
