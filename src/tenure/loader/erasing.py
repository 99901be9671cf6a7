"""Carries out erasures: takes out of the warehouse what readers leave out already, until no byte of it is left.

What has to be between two blocks is a step of the loader's own thread, and short: `unlink`, before the first block that
may hold something newer than the request, and counting anew. What takes long runs in two threads beside loading: one
marks rows, the other rewrites files, so that nobody's rows are left out by readers for as long as files of others are
rewritten. Each phase may be done again, and changes nothing then; an erasure that a crash broke off is taken up in the
phase that it was in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tenure import import_files, mail_address
from tenure.control import erasures
from tenure.control.erasures import Erasure, Erasures
from tenure.control.link import Link
from tenure.errors import Unavailable
from tenure.journal import Loaded, last_positions, prune_unclaimed, readers
from tenure.loader import removal
from tenure.loader.canonical import Canonical
from tenure.loader.customers import CustomerList, Place
from tenure.loader.volume import Volumes
from tenure.placeholder import is_placeholder
from tenure.telemetry import worked
from tenure.warehouse.client import Warehouse
from tenure.warehouse.file_copies import forget_removed

log = structlog.get_logger()

FIRST_PAUSE_SECONDS, POLL_SECONDS, LAST_RETRY_SECONDS = 0.02, 0.25, 5.0
SCRUB_AGAIN_SECONDS = 10.0
"""Between two scrubs because of erased elements that were sent again."""
TOGETHER = 20
"""So many erasures are carried on at once: a table is gone through once for all of them. ClickHouse refuses a thousand
changes that wait."""
SHORTEST_NAME = 4
"""Bytes of an identifier that is looked for in a damaged row: what is shorter is anywhere."""


class Stopped(Exception):
    """The loader ends while an erasure waits for something."""


class Recount:
    """Keys of which something went: what is counted of them has to be counted anew, between two blocks."""

    def __init__(self, places: set[Place]) -> None:
        self.places = places
        self.counted_at: int | None = None
        """When that was done (microseconds): a row of the list whose making began later knows nothing of what went."""


Phases = dict[str, Callable[[list[Erasure]], None]]
"""What carries on all erasures that have come to a phase."""


class Erasing:
    """The erasures of one installation. `unlink`, `learn` and `recounts` are for the loader's thread; the rest runs by
    itself once started."""

    def __init__(  # noqa: PLR0917 - what it is wired of, in one place
        self,
        directory: Path,
        warehouse: Warehouse,
        store: Erasures,
        canonical: Canonical,
        customers: CustomerList,
        volumes: Volumes,
    ) -> None:
        self._directory = directory
        self._warehouse = warehouse
        self._store = store
        self._canonical = canonical
        self._customers = customers
        self._volumes = volumes
        self._stopping = threading.Event()
        hiding: Phases = {erasures.UNLINKED: self._wait_until_loaded, erasures.LOADED: self._hide}
        clearing: Phases = {
            erasures.HIDDEN: self._purge,
            erasures.PURGED: self._scrub_journals,
            erasures.SCRUBBED: self._finish,
        }
        self._threads = [
            threading.Thread(target=self._run, args=(phases,), name=f"erasing from {first}", daemon=True)
            for phases in (hiding, clearing)
            for first in list(phases)[:1]
        ]
        self._one_at_a_time = threading.Lock()
        """Held while a table is gone through: two together would leave readers too little of the engine's memory."""
        self._scrub = 0
        self._came_again = threading.Event()
        self._recounts: list[Recount] = []
        self._scrubbed_at = float("-inf")

    def start(self) -> None:
        """Take up what is not done."""
        self.has_come_again()  # perhaps, and a crash came before the scrub
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Break off; the next start goes on."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)

    def is_asked(self) -> bool:
        """Whether something waits for the loader's thread."""
        try:
            return bool(self.recounts() or self._store.pending(erasures.REQUESTED))
        except (Unavailable, SQLAlchemyError):
            return False  # the next block will meet the same, and say so

    def unlink(self) -> bool:
        """Part those whose erasure was asked for since from what comes from now on; whether there are any.

        Raises Unavailable, ClickHouseError or SQLAlchemyError.
        """
        found = self._store.pending(erasures.REQUESTED)
        for asked in found:
            self._unlink(asked)
            self._store.reach(asked, erasures.UNLINKED)
        return bool(found)

    def learn(self, links: Iterable[Link]) -> bool:
        """Have erasures take the names that their customers turn out to have by links that were said before they were
        asked for; whether there are any, which `unlink` has to be called for then. Raises as that."""
        found = [self._store.with_links(asked, links) for asked in self._store.pending(erasures.UNLINKED)]
        extended = [asked for asked in found if asked is not None]
        for asked in extended:
            removal.prepare(self._warehouse.client, asked)
            self._store.extend(asked)
        return bool(extended)

    def _unlink(self, asked: Erasure) -> None:
        client = self._warehouse.client
        removal.prepare(client, asked)
        removal.note(client, asked, self._volumes)
        self._store.record(asked, {"warehouse": removal.count(client, asked, "canonical", "identifier")})
        with self._canonical.hiding():
            removal.unlink(client, asked)
            self._store.unlink(asked)

    def recounts(self) -> list[Recount]:
        """What is not counted anew yet."""
        return [recount for recount in list(self._recounts) if recount.counted_at is None]

    def has_come_again(self) -> None:
        """Something that is erased was in the journals again, and is to leave no trace there."""
        self._came_again.set()

    def wanted_scrub(self, last: int) -> int:
        """The scrub that the journals' writers are to be asked for, `last` being the one that they were asked for."""
        return max(last, self._scrub)

    def _run(self, phases: Phases) -> None:
        retry = POLL_SECONDS
        while not self._stopping.wait(retry):
            try:
                for phase, carry_on in phases.items():
                    if found := self._store.pending(phase)[:TOGETHER]:
                        carry_on(found)
                if erasures.PURGED in phases and self._is_scrub_due():
                    self._came_again.clear()
                    if self._store.count():
                        self._ask_for_scrub()
                worked("erasures_removal" if erasures.PURGED in phases else "erasures_hiding")
                retry = POLL_SECONDS
            except Stopped:
                return
            except Exception as error:  # whatever it is: a thread that has ended would leave it undone
                log.warning("erasure not carried on; will try again", error=type(error).__name__, retry_seconds=retry)
                retry = min(retry * 2, LAST_RETRY_SECONDS)

    def _reach(self, asked: Erasure, phase: str) -> None:
        self._store.reach(asked, phase)
        log.info("erasure carried on", erasure=asked.id, app=asked.app, phase=phase)

    def _wait_until_loaded(self, found: list[Erasure]) -> None:
        """What was in the journals when they were asked for has passed the loader, which sorts it out."""
        last = last_positions(self._directory)
        self._wait_for(
            lambda: all(Loaded.read(self._directory).positions.get(journal, 0) >= last[journal] for journal in last)
        )
        for asked in found:
            self._reach(asked, erasures.LOADED)

    def _hide(self, found: list[Erasure]) -> None:
        """Make the warehouse show nothing of these customers. What came since the requests is new customers'."""
        client = self._warehouse.client
        for asked in found:
            self._store.record(asked, {"warehouse": removal.count(client, asked)})
        self._do(removal.mark(client, found))
        places = {(asked.app, key) for asked in found for key in asked.keys}
        self._recount(places)
        for asked in found:
            with self._customers.hiding():
                removal.delist(client, asked)
                self._reach(asked, erasures.HIDDEN)
        self._customers.touch(places, 0)

    def _do(self, steps: Iterable[removal.Step]) -> None:
        """Do these, one after the other."""
        for step in steps:
            with self._one_at_a_time:
                self._wait_for(step)

    def _recount(self, places: set[Place]) -> int:
        """Have the loader count these keys anew between two blocks; returns when it did (microseconds)."""
        recount = Recount(places)
        self._recounts.append(recount)
        try:
            self._wait_for(lambda: recount.counted_at)
        finally:
            self._recounts.remove(recount)
        return recount.counted_at or 0

    def _purge(self, found: list[Erasure]) -> None:
        """Free the warehouse's files of these customers."""
        client = self._warehouse.client
        for asked in found:
            removal.prepare_spellings(client, asked)
            self._store.record(asked, {"warehouse": removal.count_carrying(client, asked)})
        others = {asked.id: removal.note_others(client, asked) for asked in found}
        self._do(removal.remove_carrying(client, found, self._volumes))
        if places := set().union(*others.values()):
            counted_at = self._recount(places)
            for asked in found:
                if others[asked.id]:
                    self._do(removal.remove_replaced(client, asked, others[asked.id], counted_at))
        for asked in found:
            self._purge_quarantine(asked)
            imports = import_files.forget(self._directory.parent, asked.app)
            self._store.record(
                asked, {"journal": {"damaged": self._remove_damaged(asked)}, "imports": {"files": imports}}
            )
        self._do(removal.rewrite(client, found))
        forget_removed(self._directory.parent / "warehouse")
        for asked in found:
            self._reach(asked, erasures.PURGED)

    def _purge_quarantine(self, asked: Erasure) -> None:
        client = self._warehouse.client
        elements = removal.quarantined(client, asked)
        self._store.record(asked, {"warehouse": {"quarantine": len(elements)}})
        self._do(removal.remove_quarantined(client, asked, elements))

    def _remove_damaged(self, asked: Erasure) -> int:
        """Remove damaged rows that were set aside and hold an identifier."""
        who = [one for one in asked.identifiers if not is_placeholder(one.kind, one.value)]
        names = [one.value for one in who if len(one.value.encode()) >= SHORTEST_NAME]
        addresses = [mail_address.simplified(one.value) for one in who if one.kind == "email"]
        removed = 0
        for path in self._directory.glob("damaged/*.msgpack"):
            content = path.read_bytes()
            text = mail_address.simplified(content.decode(errors="ignore")) if addresses else ""
            if any(name.encode() in content for name in names) or any(name in text for name in addresses):
                path.unlink()
                removed += 1
        return removed

    def _scrub_journals(self, found: list[Erasure]) -> None:
        number = self._ask_for_scrub()

        def is_done() -> bool:
            prune_unclaimed(self._directory)
            return all(scrubbed >= number for *_, scrubbed in self._journals())

        self._wait_for(is_done)
        for asked in found:
            self._store.record(asked, {"journal": {"files rewritten": len(self._journals())}})
            self._reach(asked, erasures.SCRUBBED)

    def _is_scrub_due(self) -> bool:
        return self._came_again.is_set() and time.monotonic() - self._scrubbed_at > SCRUB_AGAIN_SECONDS

    def _ask_for_scrub(self) -> int:
        known = [scrubbed for *_, scrubbed in self._journals()]
        self._scrub = max(self._scrub, Loaded.read(self._directory).scrub, *known, 0) + 1
        self._scrubbed_at = time.monotonic()
        return self._scrub

    def _finish(self, found: list[Erasure]) -> None:
        for asked in found:
            self._wait_for(partial(self._store.finish, asked))
            log.info("erasure carried on", erasure=asked.id, app=asked.app, phase=erasures.DONE)

    def _journals(self) -> list[tuple[str, int, int]]:
        """(id, last position, scrubs done) of each journal."""
        found = []
        for reader in readers(self._directory):
            try:
                found.append((reader.id, reader.last(), reader.scrubbed()))
            finally:
                reader.close()
        return found

    def _wait_for(self, condition: Callable[[], Any]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not condition():
            if self._stopping.wait(pause):
                raise Stopped
            pause = min(pause * 2, POLL_SECONDS)
