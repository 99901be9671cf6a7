"""Brings back what damage took from the warehouse: from the parts themselves, from the journals, from other tables.

The order makes a crash harmless: what is done twice comes to the same.

    1. parts that cannot be read are repaired bit by bit, or their readable rows are saved (`warehouse.part_repair`);
    2. events that are gone are inserted again from the journals, and so are the other elements, where a table has lost
       something. What is left over is lost: it is counted, and its entries in `first_copy` go, so that a client that
       sends an event again is not told that it is there;
    3. what is derived is made anew from what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from tenure import entry as entries
from tenure.control.store import Store
from tenure.entry import Entry
from tenure.journal import Loaded, readers
from tenure.loader import backfill, rebuilding, rows
from tenure.loader.canonical import Canonical
from tenure.loader.columns import COLUMNS
from tenure.loader.tombstones import Tombstones, known_of, old_ids
from tenure.warehouse.client import Warehouse
from tenure.warehouse.damage import Damage, PartRows
from tenure.warehouse.first_copies import Known
from tenure.warehouse.insert import insert_rows
from tenure.warehouse.part_repair import Part, active_parts, detach, problem_of, repair_bits, salvage

PRIMARY = ("event", "first_copy", "retry_copy", "arrival", "quarantine", "identify", "fact", "erased_event")
"""Tables whose rows are saved one by one. What is in others is made anew."""
BLOCK_ROWS = 20_000
MOST_RECEIPTS = 1_000
"""So many receipts of lost events are named."""

_MISSING = """
SELECT event_id FROM first_copy FINAL
WHERE displaced_by = toFixedString('', 16) AND event_id NOT IN (SELECT event_id FROM event FINAL)
    AND event_id NOT IN (SELECT event_id FROM erased_event)
"""
_LOST_EVENTS = f"""
SELECT app, count(), min(at), max(at), groupArray({MOST_RECEIPTS})(lower(hex(receipt))) FROM (
    SELECT app, argMin(arrival.receipt, (received_at, arrival.receipt)) AS receipt,
        toUnixTimestamp64Milli(toDateTime64(min(received_at), 3, 'UTC')) AS at FROM arrival FINAL
    WHERE kind = 'event' AND outcome = 'accepted' AND event_id NOT IN (SELECT event_id FROM event FINAL)
        AND event_id NOT IN (SELECT event_id FROM erased_event)
        AND event_id NOT IN (SELECT event_id FROM first_copy FINAL WHERE displaced_by != toFixedString('', 16))
    GROUP BY app, event_id
    UNION ALL
    SELECT app, receipt, toInt64(reinterpretAsUInt64(reverse(substring(receipt, 1, 6)))) AS at FROM first_copy FINAL
    WHERE event_id IN ({_MISSING}) AND event_id NOT IN (SELECT event_id FROM arrival WHERE kind = 'event')
) GROUP BY app
"""  # noqa: S608 - a number and a query of ours
# Of an event whose arrival is gone, too, the receipt tells when it came: a UUIDv7 begins with the time.
_FORGET = """
DELETE FROM first_copy WHERE if(displaced_by = toFixedString('', 16), event_id, displaced_by) NOT IN (
        SELECT event_id FROM event FINAL)
    AND if(displaced_by = toFixedString('', 16), event_id, displaced_by) NOT IN (SELECT event_id FROM erased_event)
SETTINGS lightweight_deletes_sync = 2
"""


class Loss(msgspec.Struct):
    """Rows of an app that cannot be brought back. Times: milliseconds since 1970 UTC, of receipt where there is one."""

    table: str
    part: str
    app: str
    count: int | None
    first_at: int | None = None
    last_at: int | None = None
    receipts: list[str] = []
    """Receipts of lost events, 1,000 at the most."""


class Report(msgspec.Struct):
    """What was done, and what could not be."""

    files: list[str] = []
    """Small files that were put right."""
    set_aside: list[str] = []
    """What was moved to `warehouse/set-aside/`."""
    repaired: list[str] = []
    """Parts in which single bits were put right, or of which all rows were saved."""
    replayed: dict[str, int] = {}
    """Rows that came back from the journals, by table."""
    rebuilt: list[str] = []
    """Tables that were made anew."""
    lost: list[Loss] = []


class Restoration:
    """One run of `tenure restore-parts`, while no server runs."""

    def __init__(self, journals: Path, warehouse: Warehouse, store: Store, report: Report) -> None:
        self._journals = journals
        self._warehouse = warehouse
        self._client: Client = warehouse.client
        self._store = store
        self._report = report
        self._suspect: set[str] = set()
        """Tables that lost rows, or may have."""
        self._gone: list[tuple[Damage, dict[str, int]]] = []
        """Parts that are gone, each with the rows of each app that were saved of it."""

    def run(self, set_aside: Sequence[Damage], rows_of: dict[tuple[str, str], list[PartRows]]) -> None:
        """Do it. `set_aside` are the parts that the engine set aside; `rows_of` tells the rows of others.

        Raises ClickHouseError and Unavailable; the next run goes on.
        """
        for damage in set_aside:
            self._suspect.add(damage.table)
            self._gone.append((damage, {}))
        for part in active_parts(self._client):
            if (problem := problem_of(self._client, part)) is not None:
                self._restore(part, problem, rows_of.get((part.table, part.name), []))
        if "event" in self._suspect or "first_copy" in self._suspect:
            self._suspect |= {"event", "seen", "volume", "subscription_fact", "customer", "ledger"}
        if not self._suspect:
            return
        if "erased_event" in self._suspect and "event" not in self._suspect:
            self._client.command(rebuilding.ERASED_EVENT)
        before = {table: self._counts(table) for table in PRIMARY}
        self._replay()
        self._rebuild_primary()
        self._count_losses(before)
        if "event" in self._suspect:
            self._client.command(_FORGET)
        self._rebuild_derived()

    def _restore(self, part: Part, problem: str, known: list[PartRows]) -> None:
        name = f"{part.table} {part.name}"
        if repair_bits(self._client, part) and problem_of(self._client, part) is None:
            self._report.repaired.append(name)
            return
        damage = Damage(part.table, part.name, problem, rows=known)
        self._suspect.add(part.table)
        if part.table not in PRIMARY:
            detach(self._client, part)
            return
        before = self._counts_of_parts(part.table)
        salvage(self._client, part)
        saved = {app: count - before.get(app, 0) for app, count in self._counts_of_parts(part.table).items()}
        if sum(saved.values()) >= part.rows:
            self._report.repaired.append(name)
        else:
            unknown = [PartRows("", part.rows)]
            self._gone.append((msgspec.structs.replace(damage, rows=known or unknown), saved))

    def _counts_of_parts(self, table: str) -> dict[str, int]:
        """Rows by app, of the parts that can be read."""
        bad = [
            part.name for part in active_parts(self._client) if part.table == table and problem_of(self._client, part)
        ]
        sql = f"SELECT app, count() FROM {table} WHERE _part NOT IN {{bad:Array(String)}} GROUP BY app"  # noqa: S608
        return {str(app): int(count) for app, count in self._client.query(sql, {"bad": bad}).result_rows}

    def _counts(self, table: str) -> int:
        return int(self._client.query(f"SELECT count() FROM {table} FINAL").result_rows[0][0])  # noqa: S608

    def _replay(self) -> None:
        """Insert again what the journals have still, of what was loaded: the rest is loaded by the next server."""
        missing = {bytes(row[0]) for row in self._client.query(_MISSING).result_rows}
        wanted = self._suspect & {"retry_copy", "identify", "fact", "quarantine", "arrival", "erased_event"}
        for taken in self._blocks():
            block = rows.block(taken, *self._look_up(taken))
            copies = {key: copy for key, copy in rows.first_copies(block.copies).items() if key in missing}
            events, firsts = rows.event_rows(copies, {})
            self._insert("event", events)
            self._insert("first_copy", firsts)
            for table, made in (
                ("retry_copy", block.retries),
                ("identify", block.identifies),
                ("fact", block.facts),
                ("quarantine", block.quarantined),
                ("arrival", block.arrivals),
            ):
                if table in wanted:
                    self._insert(table, made)
            missing -= copies.keys()

    def _blocks(self) -> Iterator[list[Entry]]:
        loaded = Loaded.read(self._journals)
        for reader in readers(self._journals):
            position, through = 0, loaded.positions.get(reader.id, 0)
            while found := reader.read(position, through=through):
                position = found[-1].position
                yield [entries.decode(row.payload) for row in found if row.intact]
            reader.close()

    def _look_up(self, taken: list[Entry]) -> tuple[Tombstones, Known]:
        tombstones = Tombstones(self._store.erasures.tombstones())
        known = known_of(self._client, taken, with_erased=bool(tombstones))
        if tombstones:
            tombstones.ids = old_ids(taken, tombstones, known) | known.erased
        return tombstones, known

    def _insert(self, table: str, made: Sequence[tuple[Any, ...]]) -> None:
        if made:
            insert_rows(self._client, table, COLUMNS[table], made)

    def _rebuild_primary(self) -> None:
        """What other tables say of rows that are gone."""
        if "first_copy" in self._suspect:
            self._client.command(rebuilding.FIRST_COPY)
            rebuilding.make_displaced(self._client)
            self._client.command(rebuilding.RETRIES)
        if "arrival" in self._suspect:
            for statement in rebuilding.ARRIVAL:
                self._client.command(statement)
        if "fact" in self._suspect:
            rebuilding.make_missing_facts(self._client)
        self._report.rebuilt += sorted(self._suspect & {"first_copy", "arrival", "fact"})

    def _count_losses(self, before: dict[str, int]) -> None:
        returned = {table: self._counts(table) - before[table] for table in PRIMARY if table in self._suspect}
        self._report.replayed = {table: count for table, count in returned.items() if count > 0}
        events = self._client.query(_LOST_EVENTS).result_rows if "event" in self._suspect else []
        for app, count, first, last, receipts in events:
            self._report.lost.append(Loss("event", "", app, int(count), int(first), int(last), list(receipts)))
        for damage, saved in self._gone:
            if damage.table in PRIMARY and damage.table not in ("event", "first_copy"):
                self._report.lost += self._losses(damage, saved, returned)

    def _losses(self, damage: Damage, saved: dict[str, int], returned: dict[str, int]) -> Iterable[Loss]:
        for known in damage.rows or [PartRows("", 0)]:
            count = known.count - (saved.get(known.app, 0) if known.app else sum(saved.values()))
            back = min(count, returned.get(damage.table, 0))
            if damage.table in returned:
                returned[damage.table] -= back
            if count > back or not damage.rows:
                number = count - back if damage.rows else None
                yield Loss(damage.table, damage.part, known.app, number, known.first_at, known.last_at)

    def _rebuild_derived(self) -> None:
        suspect = self._suspect
        if "seen" in suspect:
            for statement in rebuilding.seen():
                self._client.command(statement)
        if "volume" in suspect:
            rebuilding.count_volume(self._client)
        if "identifier" in suspect or "event" in suspect:
            rebuilding.make_identifiers(self._client, self._store.links)
        if "canonical" in suspect:
            Canonical(self._warehouse, self._store.links, lambda: None).write_all()
        if "subscription_fact" in suspect:
            backfill.fill_subscription_facts(self._client)
        if "schema_migration" in suspect:
            rebuilding.record_migrations(self._client)
        (self._journals / "customers.json").unlink(missing_ok=True)  # the list and the ledgers are made anew
        self._report.rebuilt += sorted(suspect - set(PRIMARY))
