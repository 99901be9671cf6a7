"""Reads the journals, resolves which events are new, inserts blocks, and marks the journals.

The order of the steps of one block is what makes a crash harmless:

    1. the plan (which entries) is made durable, so that a restart builds the very same block;
    2. `event` before `first_copy`: an id that is in `first_copy` has its event, always; and between them `seen` and
       `subscription_fact`. What is new in a block is told by `first_copy`, so that until it is written a repetition
       comes to the same rows for these, which the token then keeps out; and once it is written, nothing is new, and
       nothing is counted again. Keys that are counted anew (`seen.Changes`) are emptied and filled from `event`, and
       the facts of copies that are replaced are withdrawn: that may be repeated, too. `volume` goes before `event`,
       where it is looked up as what a copy that is replaced was counted. Where somebody was erased before a block is
       done again, less may be left of it than was counted: then all is counted, and the difference added;
    3. `arrival` and the rest: what receipts and the books are read from;
    4. links, in the control database, and the canonical customers that they make;
    5. the plan is replaced by the new positions; from then on the journals may be pruned.

Each insert carries a deduplication token computed from the plan, so that doing it again changes nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData
from msgspec import DecodeError
from sqlalchemy.exc import SQLAlchemyError

from tenure import entry as entries
from tenure.control.link import Link
from tenure.control.store import Store
from tenure.entry import Entry
from tenure.errors import Unavailable
from tenure.journal import AWAITED, JournalReader, Loaded, Row, prune_unclaimed, readers
from tenure.loader import rows
from tenure.loader.canonical import Canonical
from tenure.loader.columns import COLUMNS
from tenure.loader.customers import CustomerList
from tenure.loader.erasing import Erasing
from tenure.loader.facts import weight
from tenure.loader.recount import count_anew
from tenure.loader.rows import Block, Kept
from tenure.loader.seen import changes, seen_rows
from tenure.loader.tombstones import NOTHING_ERASED, Tombstones, ids_of
from tenure.loader.volume import counted, put_right, replaced_copies, volume_rows
from tenure.loader.withdrawal import withdraw
from tenure.settings import MEBIBYTE
from tenure.telemetry import (
    JOURNAL_DAMAGED,
    LOAD_BLOCKS,
    LOAD_FAILURES,
    LOAD_LAG_SECONDS,
    LOADED_ROWS,
    PENDING_BYTES,
    PENDING_REQUESTS,
    SUBSCRIPTION_EVENTS_UNREADABLE,
)
from tenure.warehouse.client import Warehouse

log = structlog.get_logger()

Plan = dict[str, tuple[int, int]]

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 5.0
PRUNE_SECONDS, MEASURE_SECONDS = 10.0, 1.0
ERASURE_SECONDS = 0.1
"""How often it is looked for erasures that were asked for, between blocks."""
BLOCK_BYTES = 16 * MEBIBYTE
"""Journal bytes that are loaded together at the most (a larger request alone)."""
WORTH_GOING_ON = 0.5
"""After a block that was at least this full the next is loaded at once; otherwise it may fill for a while."""

_KEPT = """
SELECT event_id, precedence, customer_key, toUnixTimestamp64Milli(occurred_at)
FROM first_copy WHERE event_id IN (SELECT event_id FROM ids)
ORDER BY precedence DESC LIMIT 1 BY event_id
"""

_ERASED = "SELECT event_id FROM erased_event WHERE event_id IN (SELECT event_id FROM ids)"
KNOWN_IDENTIFIERS = 100_000
"""So many identifiers are remembered as written, so that each block writes new ones only."""


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
    ) -> None:
        self._directory = directory
        self._warehouse = warehouse
        self._store = store
        self._canonical = canonical
        self._block_rows = block_rows
        self._loaded = Loaded.read(directory)
        self._readers: dict[str, JournalReader] = {}
        self._customers = customers
        self._known: set[bytes] = set()
        self._erasing = Erasing(directory, warehouse, store.erasures, canonical, customers)
        self._tombstones = NOTHING_ERASED
        self._erasures = 0

    def run(self, stop: threading.Event, interval: float, drain_seconds: float) -> None:
        """Load until `stop` is set, then what is left in the journals, for `drain_seconds` at the most."""
        self._erasing.start()
        self._customers.start()
        try:
            self._run(stop, interval, drain_seconds)
        finally:
            self._customers.stop()
            self._erasing.stop()

    def _run(self, stop: threading.Event, interval: float, drain_seconds: float) -> None:
        retry, pruned_at, measured_at, deadline = FIRST_RETRY_SECONDS, 0.0, 0.0, float("inf")
        while True:
            if stop.is_set():
                deadline = min(deadline, time.monotonic() + drain_seconds)
            if time.monotonic() > deadline:
                log.warning("stopped before all was loaded; the next start goes on", pending=self.pending()[0])
                return
            if time.monotonic() - measured_at > MEASURE_SECONDS:
                self._measure()
                measured_at = time.monotonic()
            began = time.monotonic()
            try:
                self._tend_erasures()
                self._ask_for_scrub()
                fullness = self.load_block()
                retry = FIRST_RETRY_SECONDS
            except (Unavailable, ClickHouseError, SQLAlchemyError) as error:
                LOAD_FAILURES.inc()
                log.warning("block not loaded; will try again", error=_first_line(error), retry_seconds=retry)
                self._warehouse.forget()
                time.sleep(retry)
                retry = min(retry * 2, LAST_RETRY_SECONDS)
                continue
            self._customers.busy = fullness >= WORTH_GOING_ON
            if self._customers.busy:
                continue
            if stop.is_set() and not fullness:
                return
            if time.monotonic() - pruned_at > PRUNE_SECONDS:
                prune_unclaimed(self._directory)
                pruned_at = time.monotonic()
            self._rest(stop, began + interval)

    def _rest(self, stop: threading.Event, until: float) -> None:
        """Wait, so that the next block is worth its inserts; but an erasure does not wait."""
        awaited = self._directory / AWAITED
        while (left := until - time.monotonic()) > 0 and not (awaited.exists() or self._erasing.is_asked()):
            if stop.wait(min(left, ERASURE_SECONDS)):
                return

    def load_block(self) -> float:
        """Load one block; returns how full it was, from 0 (the journals hold nothing new) to 1.

        Raises Unavailable, ClickHouseError or SQLAlchemyError when it could not be; nothing is lost then, and
        the next call does the same block again.
        """
        plan, found = self._planned() if self._loaded.plan else self._new_plan()
        if not plan:
            return 0
        taken = [entry for row in found if (entry := row.entry) is not None]
        tombstones = self._look_up(taken)
        block = rows.block(taken, tombstones)
        self._insert(block, _token(plan))
        if self._erasures != self._loaded.erasures:  # less may be left of the block than was counted
            put_right(self._warehouse.client, {entry.app for entry in taken})
        self._store.links.add(block.links)
        self._learn(block.erased_links)
        self._canonical.follow()
        positions = self._loaded.positions | {journal: through for journal, (_, through) in plan.items()}
        self._loaded = Loaded(positions, scrub=self._loaded.scrub)
        self._loaded.write(self._directory)
        if block.erased:
            self._erasing.has_come_again()
        for (dialect, problem), count in block.unreadable.items():
            SUBSCRIPTION_EVENTS_UNREADABLE.labels(dialect, problem).inc(count)
        LOAD_BLOCKS.inc()
        if block.oldest:
            LOAD_LAG_SECONDS.set(time.time() - block.oldest / 1_000_000)
        size = sum(row.bytes for row in found)
        return min(1.0, max((len(block.arrivals) + len(block.facts)) / self._block_rows, size / BLOCK_BYTES, 1e-9))

    def pending(self) -> tuple[int, int]:
        """(requests, bytes) in the journals that wait to be loaded."""
        waiting = [reader.pending(self._position(reader)) for reader in self._open()]
        return sum(count for count, _ in waiting), sum(size for _, size in waiting)

    def _new_plan(self) -> tuple[Plan, list[Found]]:
        """The next entries of every journal, as many as make a block, and their plan made durable."""
        (self._directory / AWAITED).unlink(missing_ok=True)
        plan: Plan = {}
        found: list[Found] = []
        room = self._block_rows
        for reader in self._open():
            after = self._position(reader)
            for row in reader.read(after, max_bytes=BLOCK_BYTES):
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
        """The plan that a crash or an error left unfinished, and its entries."""
        plan = self._loaded.plan
        found = []
        for reader in self._open():
            if reader.id in plan:
                after, through = plan[reader.id]
                found += [self._find(reader, row) for row in reader.read(after, through=through, max_bytes=2**62)]
        return plan, found

    def _look_up(self, taken: list[Entry]) -> Tombstones:
        """What is erased, as far as it concerns these entries. An erasure that is asked for later is none of theirs:
        they were all received before it, and what is then in the warehouse goes with it."""
        count = self._store.erasures.count()
        if count != self._erasures:
            self._tombstones = Tombstones(self._store.erasures.tombstones())
            self._erasures = count
            self._tend_erasures()
        if self._tombstones:
            ids, old = ids_of(taken, self._tombstones)
            self._tombstones.ids = old | {bytes(row[0]) for row in self._ask(_ERASED, ids)}
        return self._tombstones

    def _tend_erasures(self) -> None:
        """Do what erasures need between two blocks."""
        if self._erasing.unlink():
            self._known.clear()
        for recount in self._erasing.recounts():
            changed = time.time_ns() // 1_000
            with self._customers.hiding():  # all that is shown of them is to be made again, be it the same
                count_anew(self._warehouse.client, recount.places, changed)
            recount.counted_at = time.time_ns() // 1_000  # before the touch, whose rows are not to count as older
            self._customers.touch(recount.places, changed)

    def _learn(self, links: Sequence[Link]) -> None:
        """What is erased and was on its way at the request may tell of further names."""
        if links and self._erasing.learn(links):
            self._tend_erasures()
            self._erasures = -1

    def _ask_for_scrub(self) -> None:
        asked = self._erasing.wanted_scrub(self._loaded.scrub)
        if asked > self._loaded.scrub:
            self._loaded.scrub = asked
            self._loaded.write(self._directory)

    def _insert(self, block: Block, token: str) -> None:
        first = rows.first_copies(block.copies)
        kept = self._kept([*first, *block.erased_ids])
        events, firsts = rows.event_rows(first, kept)
        stated, replaced = rows.subscription_rows(first, kept)
        made, changed = changes(first, kept), time.time_ns() // 1_000
        counts = seen_rows(made.new, block.identifies, changed)
        unknown = [row for key, row in block.identifiers.items() if key not in self._known]
        volumes = volume_rows(first, kept, counted(self._warehouse.client, replaced_copies(first, kept)))
        self._insert_rows("volume", volumes, token)
        self._insert_rows("erased_event", rows.erased_event_rows(block.erased_ids, kept), token)
        self._insert_rows("event", events, token)
        withdraw(self._warehouse.client, replaced)
        count_anew(self._warehouse.client, made.recount, changed)
        for name, inserted in (
            ("seen", counts),
            ("subscription_fact", stated),
            ("first_copy", firsts),
            ("identify", block.identifies),
            ("fact", block.facts),
            ("identifier", unknown),
            ("quarantine", block.quarantined),
            ("arrival", block.arrivals),
        ):
            self._insert_rows(name, inserted, token)
        self._remember(block.identifiers)
        # All keys of the block: one that was broken off and is done again finds nothing new.
        touched = {(copy.row[0], copy.customer_key) for copy in first.values()} | {(row[0], row[1]) for row in counts}
        self._customers.touch(touched | made.recount, changed)

    def _remember(self, identifiers: Iterable[bytes]) -> None:
        if len(self._known) > KNOWN_IDENTIFIERS:
            self._known.clear()
        self._known.update(identifiers)

    def _insert_rows(self, name: str, inserted: list[tuple[Any, ...]], token: str) -> None:
        if not inserted:
            return
        columns = COLUMNS[name]
        self._warehouse.client.insert(
            name,
            list(zip(*inserted, strict=True)),
            column_oriented=True,
            column_names=list(columns),
            column_type_names=list(columns.values()),
            settings={"insert_deduplication_token": f"{token}/{name}"},
        )
        LOADED_ROWS.labels(name).inc(len(inserted))

    def _kept(self, ids: list[bytes]) -> dict[bytes, Kept]:
        """What the warehouse keeps already of the events with these ids."""
        return {bytes(row[0]): Kept(int(row[1]), bytes(row[2]), int(row[3])) for row in self._ask(_KEPT, ids)}

    def _ask(self, sql: str, ids: list[bytes]) -> Sequence[Sequence[Any]]:
        """The rows of a query that looks up `ids`."""
        if not ids:
            return []
        sent = ExternalData(file_name="ids", data=b"".join(ids), fmt="RowBinary", structure="event_id FixedString(16)")
        return self._warehouse.client.query(sql, external_data=sent).result_rows

    def _find(self, reader: JournalReader, row: Row) -> Found:
        """What a journal row holds; a damaged one is set aside in a file, named and counted."""
        try:
            if row.intact:
                return Found(len(row.payload), entries.decode(row.payload))
        except DecodeError:
            pass
        aside = self._directory / "damaged" / f"{reader.id}-{row.position}.msgpack"
        if not aside.exists():
            aside.parent.mkdir(mode=0o700, exist_ok=True)
            with aside.open("wb") as file:
                file.write(row.payload)
                file.flush()
                os.fsync(file.fileno())  # before the journal may be pruned
            JOURNAL_DAMAGED.inc()
            log.error("journal row is damaged; set aside", receipt=row.receipt, file=aside.name)
        return Found(len(row.payload), None)

    def _open(self) -> list[JournalReader]:
        """A reader for each journal; new journals are found, known ones stay open."""
        known = {reader.path for reader in self._readers.values()}
        if set(self._directory.glob("*.sqlite")) != known:
            for reader in self._readers.values():
                reader.close()
            self._readers = {reader.id: reader for reader in readers(self._directory)}
        return list(self._readers.values())

    def _position(self, reader: JournalReader) -> int:
        return self._loaded.positions.get(reader.id, 0)

    def _measure(self) -> None:
        count, size = self.pending()
        PENDING_REQUESTS.set(count)
        PENDING_BYTES.set(size)


def _token(plan: Plan) -> str:
    return ",".join(f"{journal}:{after}-{through}" for journal, (after, through) in sorted(plan.items()))


def _first_line(error: Any) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
