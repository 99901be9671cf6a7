"""Reads the journals, resolves which events are new, inserts blocks, and marks the journals.

The order of the steps of one block is what makes a crash harmless:

    1. the plan (which entries) is made durable, so that a restart builds the very same block;
    2. the rows of the block are inserted, and verified to be stored (`block_loader`);
    3. links, in the control database, and the canonical customers that they make;
    4. the plan is replaced by the new positions; from then on the journals may be pruned.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from msgspec import DecodeError
from sqlalchemy.exc import SQLAlchemyError

from tenure import clock
from tenure import entry as entries
from tenure.conservation import count_before
from tenure.control.incidents import Incident, Incidents, Kind
from tenure.control.link import Link
from tenure.control.store import Store
from tenure.directories import make_directory, sync_directory
from tenure.entry import Entry
from tenure.errors import TenureError, Unavailable
from tenure.free_space import SpaceGuard
from tenure.identity import identity_key
from tenure.journal import AWAITED, JournalReader, Loaded, Row, prune_unclaimed
from tenure.loader import retrying, rows
from tenure.loader.block_loader import BlockLoader
from tenure.loader.canonical import Canonical
from tenure.loader.customers import CustomerList
from tenure.loader.erasing import Erasing
from tenure.loader.facts import weight
from tenure.loader.recount import count_anew
from tenure.loader.rows import Block
from tenure.loader.sources import Sources
from tenure.loader.subscribed import note_subscriptions
from tenure.loader.tombstones import NOTHING_ERASED, Tombstones, known_of, old_ids
from tenure.loader.versions import latest_receipt_time
from tenure.loader.volume import Volumes
from tenure.settings import MEBIBYTE
from tenure.telemetry import (
    JOURNAL_DAMAGED,
    LOAD_BLOCKS,
    LOAD_FAILURES,
    SUBSCRIPTION_EVENTS_UNREADABLE,
    worked,
)
from tenure.warehouse.client import Warehouse
from tenure.warehouse.first_copies import Known

log = structlog.get_logger()

Plan = dict[str, tuple[int, int]]

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 5.0
SLOW_SECONDS = 1.0
"""A warehouse that takes longer to say that it is there was away: its socket keeps callers waiting."""
PRUNE_SECONDS = 10.0
ERASURE_SECONDS = 0.1
"""How often it is looked for erasures that were asked for, between blocks."""
BLOCK_BYTES = 16 * MEBIBYTE
"""Journal bytes that are loaded together at the most (a larger request alone)."""
WORTH_GOING_ON = 0.5
"""After a block that was at least this full the next is loaded at once; otherwise it may fill for a while."""


class Found(NamedTuple):
    """A journal row: its size, and its entry unless it is damaged."""

    bytes: int
    entry: Entry | None

    @property
    def rows(self) -> int:
        """About how many rows the request makes: one an element, and one a fact of an identify."""
        entry = self.entry
        return 0 if entry is None else len(entry.events) + len(entry.refusals) + sum(map(weight, entry.identifies))


class Loader:
    """Loads the journals of one directory. One loader a directory at a time (the supervisor sees to that)."""

    def __init__(  # noqa: PLR0917 - what it is wired of, in one place
        self,
        directory: Path,
        warehouse: Warehouse,
        store: Store,
        canonical: Canonical,
        customers: CustomerList,
        block_rows: int,
        space: SpaceGuard | None,
    ) -> None:
        """`space` guards the disk of the warehouse, where that is on this machine."""
        self._directory = directory
        self._warehouse = warehouse
        self._store = store
        self._canonical = canonical
        self._block_rows = block_rows
        self._space = space
        self._loaded, is_unsure = _recovered(directory, store.incidents)
        self._sources = Sources(directory, store)
        self._customers = customers
        self._volumes = Volumes(asked.app for asked in store.erasures.pending())
        self._erasing = Erasing(directory, warehouse, store.erasures, canonical, customers, self._volumes)
        self._has_counted_before = self._has_filled_in = False
        self._tombstones = NOTHING_ERASED
        self._erasures = 0
        self._apps: set[str] = set()
        """Of which the control database knows."""
        self._blocks = BlockLoader(warehouse, customers, self._volumes)
        self._repeats = bool(self._loaded.plan) or is_unsure
        """Whether something of the planned block may be in the warehouse already."""
        self._reinstates_again = True
        """Whether something of what is to be reinstated may be in the warehouse already."""
        self._is_unsure = is_unsure
        """Whether that is so of every block, until all that waits is loaded: nobody knows what was planned."""

    def run(self, stop: threading.Event, interval: float, drain_seconds: float) -> None:
        """Load until `stop` is set, then what is left in the journals, for `drain_seconds` at the most.

        Raises TenureError when the disk of the journals fails; a new process goes on with what is there.
        """
        self._erasing.start()
        self._customers.start()
        try:
            self._run(stop, interval, drain_seconds)
        except (sqlite3.Error, OSError) as error:  # what is in memory may not be what is on disk: start again with that
            raise TenureError(f"the journals cannot be read or written: {error}") from error
        finally:
            self._customers.stop()
            self._erasing.stop()

    def _follow_older_releases(self) -> None:
        """Let the order go on after what releases without a hybrid clock stored, be it that their clock was ahead."""
        if not self._loaded.order:
            clock.observe(latest_receipt_time(self._warehouse))
            self._loaded.order = clock.current()

    def _fill_in(self) -> None:
        """Once, what an older release did not write."""
        if not self._has_filled_in:
            note_subscriptions(self._warehouse, self._store)
            self._has_filled_in = True

    def _run(self, stop: threading.Event, interval: float, drain_seconds: float) -> None:
        retry, pruned_at, deadline = FIRST_RETRY_SECONDS, 0.0, float("inf")
        while True:
            if stop.is_set():
                deadline = min(deadline, time.monotonic() + drain_seconds)
            if time.monotonic() > deadline:
                log.warning("stopped before all was loaded; the next start goes on", pending=self.pending())
                return
            began = time.monotonic()
            try:
                self._follow_older_releases()
                self._fill_in()
                self._tend_erasures()
                self._reinstate()
                self._ask_for_scrub()
                fullness = self._load_if_there_is_room()
                retry = FIRST_RETRY_SECONDS
            except (Unavailable, ClickHouseError, SQLAlchemyError) as error:
                LOAD_FAILURES.inc()
                log.warning("block not loaded; will try again", error=_first_line(error), retry_seconds=retry)
                self._wait_for_retry(retry)
                retry = min(retry * 2, LAST_RETRY_SECONDS)
                continue
            self._customers.busy = fullness >= WORTH_GOING_ON
            if self._customers.busy:
                continue
            if stop.is_set() and not fullness:
                return
            if time.monotonic() - pruned_at > PRUNE_SECONDS:
                prune_unclaimed(self._directory, self._store.received.position)
                self._sources.report_asides()
                pruned_at = time.monotonic()
            self._rest(stop, began + interval)

    def _wait_for_retry(self, seconds: float) -> None:
        """Wait before a block is tried again. When the warehouse was away and comes back, do not wait any longer."""
        deadline, was_away = time.monotonic() + seconds, False
        while (left := deadline - time.monotonic()) > 0:
            asked = time.monotonic()
            answers = self._warehouse_answers()
            was_away = was_away or not answers or time.monotonic() - asked > SLOW_SECONDS
            if answers and was_away:
                return
            time.sleep(min(left, FIRST_RETRY_SECONDS))

    def _warehouse_answers(self) -> bool:
        self._warehouse.forget()
        try:
            self._warehouse.client.command("SELECT 1")
        except (Unavailable, ClickHouseError):
            return False
        return True

    def _rest(self, stop: threading.Event, until: float) -> None:
        """Wait, so that the next block is worth its inserts; but an erasure does not wait."""
        awaited = self._directory / AWAITED
        while (left := until - time.monotonic()) > 0 and not (awaited.exists() or self._erasing.is_asked()):
            if stop.wait(min(left, ERASURE_SECONDS)):
                return

    def _load_if_there_is_room(self) -> float:
        """Load one block, as `load_block`, unless the warehouse's disk is nearly full: merges need room."""
        if self._space is not None and self._space.look():
            (self._directory / AWAITED).unlink(missing_ok=True)  # or nobody would rest
            return 0
        fullness = self.load_block()
        worked("loader")
        return fullness

    def load_block(self) -> float:
        """Load one block; returns how full it was, from 0 (the journals hold nothing new) to 1.

        Raises Unavailable, ClickHouseError or SQLAlchemyError when it could not be; nothing is lost then, and
        the next call does the same block again.
        """
        plan, found = self._planned() if self._loaded.plan else self._new_plan()
        if not plan:
            self._drop_plan()
            self._is_unsure = False
            return 0
        taken = [self._with_key(entry) for row in found if (entry := row.entry) is not None]
        self._add_mode_apps(taken)
        tombstones, known = self._look_up(taken)
        block = rows.block(taken, tombstones, known)
        self._repeats = self._repeats or self._blocks.has_inserted
        self._blocks.insert(block, known, _token(self._loaded.plan), repeats=self._repeats)
        if self._repeats or self._erasures != self._loaded.erasures:  # less may be left of the block than was counted
            self._volumes.put_right(self._warehouse.client, {entry.app for entry in taken})
        self._store.links.add(block.links)
        self._learn(block.erased_links)
        self._canonical.follow()
        positions = self._loaded.positions | {journal: through for journal, (_, through) in plan.items()}
        order = max([self._loaded.order, *(entry.ordered_at for entry in taken)])
        is_whole = len(plan) == len(self._loaded.plan)
        self._loaded = Loaded(positions, scrub=self._loaded.scrub, order=order)
        self._loaded.write(self._directory)
        self._repeats = self._is_unsure or not is_whole
        self._blocks.end()
        if block.erased:
            self._erasing.has_come_again()
        for (dialect, problem), count in block.unreadable.items():
            SUBSCRIPTION_EVENTS_UNREADABLE.labels(dialect, problem).inc(count)
        LOAD_BLOCKS.inc()
        size = sum(row.bytes for row in found)
        return min(1.0, max((len(block.arrivals) + len(block.facts)) / self._block_rows, size / BLOCK_BYTES, 1e-9))

    def _add_mode_apps(self, taken: list[Entry]) -> None:
        """Have the control database know whose data the apps of these entries keep: links name them."""
        unknown = {entry.app for entry in taken} - self._apps
        if unknown:
            self._store.add_mode_apps(unknown)
            self._apps |= unknown

    def pending(self) -> int:
        """Requests in the journals that wait to be loaded."""
        return sum(self._sources.pending(reader, self._position(reader)) for reader in self._sources.readers())

    def _new_plan(self) -> tuple[Plan, list[Found]]:
        """The next entries of every journal, as many as make a block, and their plan made durable."""
        (self._directory / AWAITED).unlink(missing_ok=True)
        if not self._has_counted_before:
            apps = [app.id for app in self._store.all_apps()]
            count_before(self._warehouse.client, self._directory, self._store.received, apps)
            self._has_counted_before = True
        plan: Plan = {}
        found: list[Found] = []
        room = self._block_rows
        for reader in self._sources.readers():
            after = self._position(reader)
            for row in self._sources.rows(reader, after, max_bytes=BLOCK_BYTES, max_rows=max(1, room)):
                next_one = self._find(reader, row)
                if found and next_one.rows > room:
                    break
                room -= next_one.rows
                plan[reader.id] = (after, row.position)
                found.append(next_one)
        if plan:
            self._loaded.plan, self._loaded.erasures = plan, self._store.erasures.count()
            self._loaded.write(self._directory)
        return plan, found

    def _planned(self) -> tuple[Plan, list[Found]]:
        """The plan that a crash or an error left unfinished, and its entries; without journals that are unreadable now.

        What waits in those is read later from its old position, or comes in another journal.
        """
        plan: Plan = {}
        found: list[Found] = []
        for reader in self._sources.readers():
            if reader.id in self._loaded.plan:
                after, through = self._loaded.plan[reader.id]
                planned = self._sources.rows(reader, after, through=through, max_bytes=2**62)
                found += [self._find(reader, row) for row in planned]
                if planned or self._sources.has(reader):
                    plan[reader.id] = (after, through)
        return plan, found

    def _drop_plan(self) -> None:
        """Forget a plan of which no journal can be read: new blocks go on without them."""
        if self._loaded.plan:
            self._loaded = msgspec.structs.replace(self._loaded, plan={})
            self._loaded.write(self._directory)

    def _look_up(self, taken: list[Entry]) -> tuple[Tombstones, Known]:
        """What is erased and what is stored, as far as it concerns these entries. An erasure that is asked for later is
        none of theirs: they were all received before it, and what is then in the warehouse goes with it."""
        count = self._store.erasures.count()
        if self._store.erasures.follow_clock() or count != self._erasures:
            self._tombstones = Tombstones(self._store.erasures.tombstones())
            self._erasures = count
            self._tend_erasures()
        known = known_of(self._warehouse.client, taken, with_erased=bool(self._tombstones))
        if self._tombstones:
            self._tombstones.ids = old_ids(taken, self._tombstones, known) | known.erased
        known, gone = retrying.settled(
            self._warehouse.client, taken, known, self._tombstones.ids, self._store.reinstated.among
        )
        if gone and self._tombstones:
            self._tombstones.ids |= gone
        return self._tombstones, known

    def _tend_erasures(self) -> None:
        """Do what erasures need between two blocks."""
        if self._store.erasures.follow_clock():
            self._erasures = -1
        if self._erasing.unlink():
            self._blocks.forget_identifiers()
        for recount in self._erasing.recounts():
            changed = self._customers.versions.next()
            with self._customers.hiding():  # all that is shown of them is to be made again, be it the same
                count_anew(self._warehouse.client, recount.places, changed)
            # Before the touch, whose rows are not to count as older.
            recount.counted_at = self._customers.versions.next()
            self._customers.touch(recount.places, changed)

    def _reinstate(self) -> None:
        """Store what was reinstated since: a block of its own, between two others."""
        if self._loaded.plan:
            return
        if pending := self._store.reinstated.pending():
            known = retrying.reinstated(self._warehouse.client, [asked.event_id for asked in pending])
            repeats, self._reinstates_again = self._reinstates_again, True
            token = f"reinstate {pending[0].event_id.hex()} {len(pending)}"
            self._blocks.insert(Block(), known, token, repeats=repeats)
            if repeats:
                self._volumes.put_right(self._warehouse.client, {asked.app for asked in pending})
            self._blocks.end()
            self._store.reinstated.finish(pending)
        self._reinstates_again = False

    def _learn(self, links: Sequence[Link]) -> None:
        """What is erased and was on its way at the request may tell of further names, and of others whom it joined."""
        if links:
            keys = {identity_key(link.app, side) for link in links if link.joins for side in link.pair}
            self._store.links.remember_gone(links, self._store.erasures.erased_at(keys))
        if links and self._erasing.learn(links):
            self._tend_erasures()
            self._erasures = -1

    def _ask_for_scrub(self) -> None:
        asked = self._erasing.wanted_scrub(self._loaded.scrub)
        if asked > self._loaded.scrub:
            self._loaded.scrub = asked
            self._loaded.write(self._directory)

    def _with_key(self, entry: Entry) -> Entry:
        """The entry; one of an older version with the key that it was sent with, where an id is made of that."""
        if entry.key or entry.idempotency_key is None:
            return entry
        ids = {row.id for row in self._store.list_keys(entry.app) if row.prefix == entry.key_prefix}
        return msgspec.structs.replace(entry, key=ids.pop()) if len(ids) == 1 else entry

    def _find(self, reader: JournalReader, row: Row) -> Found:
        """What a journal row holds; a damaged one is set aside in a file, named and counted."""
        try:
            if row.intact:
                return Found(len(row.payload), entries.decode(row.payload))
        except DecodeError:
            pass
        aside = self._directory / "damaged" / f"{reader.id}-{row.position}.msgpack"
        if not aside.exists():
            make_directory(aside.parent)
            with aside.open("wb") as file:
                file.write(row.payload)
                file.flush()
                os.fsync(file.fileno())  # with its name, before the journal may be pruned
            sync_directory(aside.parent)
            JOURNAL_DAMAGED.inc()
            log.error("journal row is damaged; set aside", receipt=row.receipt, file=aside.name)
        return Found(len(row.payload), None)

    def _position(self, reader: JournalReader) -> int:
        return self._loaded.positions.get(reader.id, 0)


def _recovered(directory: Path, incidents: Incidents) -> tuple[Loaded, bool]:
    """What is loaded, as far as the state file can tell, and whether the file was damaged."""
    state = Loaded.state(directory)
    if state.is_damaged:
        begins = "where its previous generation says" if state.value else "the oldest entry of each journal"
        text = (
            f"The state file loaded.json was damaged; loading begins with {begins}. Nothing is lost: what is loaded "
            "already changes nothing when it is loaded again. Check the disk, then accept this."
        )
        incidents.report(Incident(kind=Kind.STATE_FILE_DAMAGED, place="loaded.json", text=text))
    return state.value or Loaded(), state.is_damaged


def _token(plan: Plan) -> str:
    return ",".join(f"{journal}:{after}-{through}" for journal, (after, through) in sorted(plan.items()))


def _first_line(error: Any) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
