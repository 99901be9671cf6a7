"""Carries out erasures: hides at once what is to go, then sees to it that no byte of it is left.

Hiding is a step of the loader's own thread, between two blocks, so that no block is on its way meanwhile. What takes
long runs in a thread of its own, beside loading. Each phase may be done again, and changes nothing then; an erasure
that a crash broke off is taken up in the phase that it was in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tenure.control import erasures
from tenure.control.erasures import Erasure, Erasures
from tenure.journal import Loaded, last_positions, prune_unclaimed, readers
from tenure.loader import removal
from tenure.loader.removal import Place
from tenure.warehouse.client import Warehouse

log = structlog.get_logger()

POLL_SECONDS, LAST_RETRY_SECONDS = 0.25, 5.0
SCRUB_AGAIN_SECONDS = 10.0
"""Between two scrubs because of erased elements that were sent again."""
SHORTEST_NAME = 4
"""Bytes of an identifier that is looked for in a damaged row: what is shorter is anywhere."""


class Stopped(Exception):
    """The loader ends while an erasure waits for something."""


class Others:
    """Keys of others of whom something went: what is counted of them has to be counted anew."""

    def __init__(self, places: set[Place]) -> None:
        self.places = places
        self.counted_at: int | None = None
        """When that was done (microseconds): a row of the list whose making began later knows nothing of what went."""


class Erasing:
    """The erasures of one installation. `hide` is for the loader's thread; the rest runs by itself once started."""

    def __init__(self, directory: Path, warehouse: Warehouse, store: Erasures) -> None:
        self._directory = directory
        self._warehouse = warehouse
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="erasing", daemon=True)
        self._scrub = 0
        self._came_again = threading.Event()
        self._others: list[Others] = []
        self._scrubbed_at = float("-inf")
        self._phases: dict[str, Callable[[Erasure], None]] = {
            erasures.HIDDEN: self._wait_until_loaded,
            erasures.LOADED: self._purge,
            erasures.PURGED: self._scrub_journals,
            erasures.SCRUBBED: self._finish,
        }

    def start(self) -> None:
        """Take up what is not done."""
        self._thread.start()

    def stop(self) -> None:
        """Break off; the next start goes on."""
        self._stopping.set()
        self._thread.join(10)

    def is_asked(self) -> bool:
        """Whether there is something to hide."""
        try:
            return bool(self._store.pending(erasures.REQUESTED))
        except SQLAlchemyError:
            return False  # the next block will meet the same, and say so

    def hide(self) -> list[Erasure]:
        """Make the warehouse show nothing of those whose erasure was asked for since; returns these erasures.

        Raises Unavailable, ClickHouseError or SQLAlchemyError.
        """
        found = self._store.pending(erasures.REQUESTED)
        for asked in found:
            removal.prepare(self._warehouse.client, asked)
            self._store.record(asked, {"warehouse": removal.count(self._warehouse.client, asked)})
            removal.hide(self._warehouse.client, asked)
            self._store.hide(asked)
            log.info("customer hidden", erasure=asked.id, app=asked.app)
        return found

    def others(self) -> list[Others]:
        """Those who are not counted anew yet."""
        return [others for others in list(self._others) if others.counted_at is None]

    def has_come_again(self) -> None:
        """Something that is erased was in the journals again, and is to leave no trace there."""
        self._came_again.set()

    def wanted_scrub(self, last: int) -> int:
        """The scrub that the journals' writers are to be asked for, `last` being the one that they were asked for."""
        return max(last, self._scrub)

    def _run(self) -> None:
        retry, is_first = POLL_SECONDS, True
        while not self._stopping.wait(retry):
            try:
                if is_first and self._store.count():
                    self.has_come_again()  # perhaps, and a crash came before the scrub
                is_first = False
                for asked in self._store.pending(*self._phases):
                    self._carry_on(asked)
                if self._came_again.is_set() and time.monotonic() - self._scrubbed_at > SCRUB_AGAIN_SECONDS:
                    self._came_again.clear()
                    self._ask_for_scrub()
                retry = POLL_SECONDS
            except Stopped:
                return
            except Exception as error:  # whatever it is: a thread that has ended would leave it undone
                log.warning("erasure not carried on; will try again", error=type(error).__name__, retry_seconds=retry)
                retry = min(retry * 2, LAST_RETRY_SECONDS)

    def _carry_on(self, asked: Erasure) -> None:
        phases = [phase for phase in erasures.PHASES if phase in self._phases]
        for phase in phases[phases.index(asked.phase) :]:
            self._phases[phase](asked)
        log.info("customer erased", erasure=asked.id, app=asked.app)

    def _wait_until_loaded(self, asked: Erasure) -> None:
        """What was in the journals when it was asked for has passed the loader, which sorts it out."""
        last = last_positions(self._directory)
        self._wait_for(
            lambda: all(Loaded.read(self._directory).positions.get(journal, 0) >= last[journal] for journal in last)
        )
        self._store.reach(asked, erasures.LOADED)

    def _purge(self, asked: Erasure) -> None:
        client = self._warehouse.client
        self._store.record(asked, {"warehouse": removal.count_carrying(client, asked)})
        others = Others(removal.note_others(client, asked))
        for step in removal.remove_carrying(client, asked):
            self._wait_for(step)
        if others.places:
            self._others.append(others)
            self._wait_for(lambda: others.counted_at)
            self._others.remove(others)
            for step in removal.remove_replaced(client, asked, others.places, others.counted_at or 0):
                self._wait_for(step)
        found = removal.quarantined(client, asked)
        self._store.record(asked, {"warehouse": {"quarantine": len(found)}})
        for step in removal.remove_quarantined(client, asked, found):
            self._wait_for(step)
        for step in removal.rewrite(client, asked):
            self._wait_for(step)
        self._store.record(asked, {"journal": {"damaged": self._remove_damaged(asked)}})
        self._store.reach(asked, erasures.PURGED)

    def _remove_damaged(self, asked: Erasure) -> int:
        """Remove damaged rows that were set aside and hold an identifier."""
        names = [identifier.value.encode() for identifier in asked.identifiers]
        removed = 0
        for path in self._directory.glob("damaged/*.msgpack"):
            content = path.read_bytes()
            if any(len(name) >= SHORTEST_NAME and name in content for name in names):
                path.unlink()
                removed += 1
        return removed

    def _scrub_journals(self, asked: Erasure) -> None:
        number = self._ask_for_scrub()

        def is_done() -> bool:
            prune_unclaimed(self._directory)
            return all(scrubbed >= number for *_, scrubbed in self._journals())

        self._wait_for(is_done)
        self._store.record(asked, {"journal": {"files rewritten": len(self._journals())}})
        self._store.reach(asked, erasures.SCRUBBED)

    def _ask_for_scrub(self) -> int:
        known = [scrubbed for *_, scrubbed in self._journals()]
        self._scrub = max(self._scrub, Loaded.read(self._directory).scrub, *known, 0) + 1
        self._scrubbed_at = time.monotonic()
        return self._scrub

    def _finish(self, asked: Erasure) -> None:
        self._wait_for(lambda: self._store.finish(asked))

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
        while not condition():
            if self._stopping.wait(POLL_SECONDS):
                raise Stopped
