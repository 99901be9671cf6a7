"""Puts the rows of one block into the warehouse.

The order of the inserts is what makes a crash harmless:

    1. `volume` goes before `event`, where it is looked up as what a copy that is replaced was counted. `event`, `seen`
       and `subscription_fact` follow. Keys of which a copy is replaced, or gives way to a verified one (`displaced`),
       are counted again from `event` (`seen.Changes`), and the facts of these copies are withdrawn;
    2. all of that is verified to be stored (`block_writer`), and only then `first_copy` is written: an id that is in
       `first_copy` has its event, always, unless its row says that another took its place;
    3. `arrival` and the rest: what receipts and the books are read from; verified, too.

A block that is done again, after a crash or an error, may be in the warehouse already, wholly or in part. Rows of most
tables take the place of those that are there. `seen` and `volume` are sums, so nothing is added to them: what they lack
of what is stored is computed, and added.
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure.loader import displaced, retrying, rows
from tenure.loader.block_writer import BlockWriter
from tenure.loader.customers import CustomerList
from tenure.loader.recount import add_missing, count_anew
from tenure.loader.rows import Block
from tenure.loader.seen import changes, seen_rows
from tenure.loader.volume import Volumes, counted, replaced_copies, volume_rows
from tenure.loader.withdrawal import withdraw
from tenure.warehouse.client import Warehouse
from tenure.warehouse.first_copies import Known

KNOWN_IDENTIFIERS = 100_000
"""So many identifiers are remembered as written, so that each block writes new ones only."""


class BlockLoader:
    """Loads one block after another, each until it is stored."""

    def __init__(self, warehouse: Warehouse, customers: CustomerList, volumes: Volumes) -> None:
        self._warehouse = warehouse
        self._customers = customers
        self._volumes = volumes
        self._writer = BlockWriter(warehouse)
        self._known: set[bytes] = set()

    @property
    def has_inserted(self) -> bool:
        """Whether something of the block may be in the warehouse."""
        return self._writer.has_inserted

    def end(self) -> None:
        """The block is loaded: what comes next is another one."""
        self._writer.end()

    def forget_identifiers(self) -> None:
        """Write identifiers again, since some were removed."""
        self._known.clear()

    def insert(self, block: Block, known: Known, token: str, *, repeats: bool = False) -> None:
        """Insert a block and verify that it is stored; with `repeats`, one of which anything may be stored already.

        `known` is of the entries of the block. Raises Unavailable and ClickHouseError.
        """
        client, writer = self._warehouse.client, self._writer
        writer.begin(token, repeats=repeats)
        copies = rows.first_copies(block.copies)
        copies |= retrying.copies_again(known, copies)
        doubtful = displaced.displaced(block, copies, known.copies)
        gives_way = retrying.give_way(doubtful, known, copies)
        first = {event_id: copy for event_id, copy in copies.items() if event_id not in gives_way.ids}
        kept = {event_id: copy for event_id, copy in known.copies.items() if copy.counts}
        replaced = replaced_copies(first, kept)
        rows.mention(block, (copy for one, copy in first.items() if one not in kept or one in replaced))
        events, firsts = rows.event_rows(first, kept)
        stated, withdrawn = rows.subscription_rows(first, kept)
        made, changed = changes(first, kept, gives_way.left), self._customers.versions.next()
        counts = seen_rows([] if repeats else made.new, block.identifies, changed)
        # All keys of the block: one that was broken off and is done again finds nothing new.
        touched = {(copy.row[0], copy.customer_key) for copy in first.values()} | {(row[0], row[1]) for row in counts}
        touched |= gives_way.places
        doubted = doubtful.stored | {one: copy for one, copy in replaced.items() if one in block.pairs}
        carried = displaced.carried(client, doubted)
        writer.insert("erased_event", rows.erased_event_rows(block.erased_ids, kept))
        with self._volumes.changing():
            if not repeats:
                before = counted(client, replaced | gives_way.stored)
                writer.insert("volume", volume_rows(first, kept, before, gives_way.pairs))
            writer.insert("event", events)
            displaced.remove(client, gives_way)
        withdraw(client, [*withdrawn, *gives_way.stored.values()])
        count_anew(client, made.recount, changed)
        self._forget(carried - block.identifiers.keys())
        writer.insert("seen", counts)
        writer.insert("subscription_fact", stated)
        writer.verify()
        if repeats:
            add_missing(client, touched - made.recount, changed)
        firsts += displaced.displaced_rows(doubtful, copies) + retrying.first_copy_rows(known, copies)
        writer.insert("retry_copy", [row for row in block.retries if row[3] not in known.retries.known])
        writer.insert("first_copy", firsts)
        writer.insert("identify", block.identifies)
        writer.insert("fact", block.facts)
        writer.insert("identifier", [row for key, row in block.identifiers.items() if key not in self._known])
        writer.insert("quarantine", block.quarantined)
        writer.insert("arrival", block.arrivals)
        writer.verify()
        self._remember(block.identifiers)
        self._customers.touch(touched | made.recount, changed)

    def _remember(self, identifiers: Iterable[bytes]) -> None:
        if len(self._known) > KNOWN_IDENTIFIERS:
            self._known.clear()
        self._known.update(identifiers)

    def _forget(self, keys: set[bytes]) -> None:
        """Keys that may stand for nothing any more."""
        if keys:
            displaced.forget(self._warehouse.client, keys)
            self._known -= keys
