"""Applies repair rules: what is in quarantine goes through its dialect again, and is journalled like a request.

One rule after the other, by one thread. What makes a crash harmless:

    1. before a rule begins or goes on, all that is in the journals is loaded: what was journalled for it before a crash
       is then no longer in quarantine;
    2. an entry carries the element that it replays, and the loader marks that together with what became of it
       (`rows.block`): there is no step between;
    3. a rule is done when what it journalled is loaded: the next finds nothing of it in quarantine.

Should an element come twice all the same (two nodes with one control database), its entries are the same to the last
byte, receipt and time of receipt included, and change nothing.
"""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import structlog

from tenure import entry as entries
from tenure.control.repairs import Repair
from tenure.control.store import Store
from tenure.entry import Record
from tenure.errors import Refused, Unavailable
from tenure.journal import AWAITED, Journal, Loaded, last_positions
from tenure.journal.node import node_of
from tenure.repair.replay import Quarantined, replayed
from tenure.telemetry import worked
from tenure.warehouse import quarantine
from tenure.warehouse.client import Tenant, Warehouse
from tenure.warehouse.quarantine import Place

log = structlog.get_logger()

POLL_SECONDS, LAST_RETRY_SECONDS = 0.25, 5.0
ELEMENTS = 100
"""So many are read, and journalled, together."""


class Stopped(Exception):
    """The loader ends while a rule is being applied."""


class Replaying:
    """The repair rules of one installation. `run` is for a thread of its own."""

    def __init__(
        self, directory: Path, max_bytes: int, warehouse: Warehouse, store: Store, stop: threading.Event
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._warehouse = warehouse
        self._repairs = store.repairs
        self._policies = store.policies
        self._received = store.received
        self._stop = stop

    def run(self) -> None:
        """Apply what is not done, until told to stop; the next start goes on."""
        retry = POLL_SECONDS
        while not self._stop.wait(retry):
            try:
                if rule := self._repairs.next():
                    self._apply(rule)
                worked("repairs")
                retry = POLL_SECONDS
            except Stopped:
                return
            except Exception as error:  # whatever it is: a thread that has ended would leave it undone
                log.warning("repair not carried on; will try again", error=type(error).__name__, retry_seconds=retry)
                retry = min(retry * 2, LAST_RETRY_SECONDS)
                self._warehouse.forget()

    def _apply(self, rule: Repair) -> None:
        tenant = self._warehouse.tenant(rule.app)
        journal = Journal.claim(self._directory, self._max_bytes, self._received.position)
        try:
            self._wait_until_loaded(journal)
            left, done = quarantine.count(tenant, rule.match, until=rule.made_at, repair=rule.id)
            self._repairs.begin(rule, left + done)
            self._replay(rule, tenant, journal, done)
            self._wait_until_loaded(journal)
        finally:
            journal.close()
        self._repairs.finish(rule)
        log.info("repair rule applied", repair=rule.id, app=rule.app)

    def _replay(self, rule: Repair, tenant: Tenant, journal: Journal, done: int) -> None:
        unusable, seconds = 0, self._policies()[rule.app].retry_seconds
        after: Place | None = None
        while found := quarantine.to_repair(tenant, rule.match, until=rule.made_at, after=after, limit=ELEMENTS):
            if self._stop.is_set():
                raise Stopped
            made = [entry for element in found if (entry := _entry(rule, element, seconds)) is not None]
            self._append(journal, made)
            done += len(made)
            unusable += len(found) - len(made)
            self._repairs.count(rule, done, unusable)
            last = found[-1]
            after = Place(last.received_at, last.receipt, last.part)

    def _append(self, journal: Journal, made: list[Record]) -> None:
        while True:
            self._tend(journal)
            try:
                journal.append(made)
                return
            except Unavailable as error:
                if error.code != "journal_full":
                    raise
            self._rest()

    def _wait_until_loaded(self, journal: Journal) -> None:
        last = last_positions(self._directory)
        while any(Loaded.read(self._directory).positions.get(name, 0) < last[name] for name in last):
            (self._directory / AWAITED).touch()
            self._tend(journal)
            self._rest()

    def _tend(self, journal: Journal) -> None:
        while journal.prune():
            pass
        journal.scrub()
        if (changes := journal.changes()) is not None:
            self._received.write(changes, node_of(self._directory))

    def _rest(self) -> None:
        if self._stop.wait(POLL_SECONDS):
            raise Stopped


def _entry(rule: Repair, element: Quarantined, retry_seconds: int) -> Record | None:
    """The entry of a repaired element; None when it cannot be used still."""
    try:
        made = replayed(element, rule.steps, repair=rule.id, at=rule.made_at)
    except Refused:
        return None
    return entries.record(msgspec.structs.replace(made, retry_seconds=retry_seconds))
