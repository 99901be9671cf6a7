"""Reads every byte of the warehouse, and holds its tables against each other.

What is read is read from the disk, not from memory, at a bounded rate. `tenure check --deep` asks for it; a thread of
the loader does it once a week, and after every start that followed no proper stop.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
from clickhouse_connect.driver.client import Client

from tenure.control.store import Store
from tenure.deep_result import DeepResult
from tenure.journal import Loaded
from tenure.loader.part_incidents import report, resolve_all
from tenure.settings import MEBIBYTE, Settings
from tenure.telemetry import worked
from tenure.warehouse.client import Warehouse
from tenure.warehouse.damage import Damage, PartRows
from tenure.warehouse.engine_failure import check_due
from tenure.warehouse.file_copies import FileCopies, broken_parts
from tenure.warehouse.part_repair import Part, active_parts, problem_of

log = structlog.get_logger()

WEEK_MS = 7 * 24 * 3_600_000
FIRST_SECONDS, LOOK_SECONDS = 30.0, 60.0
"""How long after its start the loader looks whether a check is due, and how often from then on."""
CHUNK_BYTES = MEBIBYTE
TRIES, TRY_SECONDS = 5, 2.0
"""How often tables are counted that do not agree: something may be loaded or erased meanwhile."""

# Four counts of the same events, each kept by itself.
_COUNTS = """
SELECT app, sum(stored), sum(known), sum(seen), sum(volume) FROM (
    SELECT app, count() AS stored, 0 AS known, 0 AS seen, 0 AS volume FROM event FINAL GROUP BY app
    UNION ALL SELECT app, 0, countIf(displaced_by = toFixedString('', 16)), 0, 0 FROM first_copy FINAL GROUP BY app
    UNION ALL SELECT app, 0, 0, toInt64(sum(events)), 0 FROM seen GROUP BY app
    UNION ALL SELECT app, 0, 0, 0, sum(events) FROM volume GROUP BY app
) GROUP BY app SETTINGS max_threads = 1, max_execution_time = 0
"""

Progress = Callable[[int, int], None]
"""Told of the bytes that were read, and of all that are to be read."""


class DeepCheck:
    """One check. `stop` breaks it off."""

    def __init__(self, settings: Settings, warehouse: Warehouse, store: Store, stop: threading.Event) -> None:
        self._settings = settings
        self._client: Client = warehouse.client
        self._copies = FileCopies(settings.data / "warehouse")
        self._incidents = store.incidents
        self._erasures = store.erasures
        self._stop = stop

    def run(self, progress: Progress = lambda *_: None) -> DeepResult | None:
        """Check all, report what is damaged, and keep the result. Returns None when it was broken off.

        Raises Unavailable and ClickHouseError.
        """
        result = DeepResult(_now())
        embedded = self._settings.warehouse_url is None
        damages = list(self._copies.verify(running=True)) if embedded else []
        result.repaired = [damage.file for damage in damages if damage.repaired]
        damages += broken_parts(self._copies) if embedded else []
        for damage in self._check_parts(result, progress):
            damages.append(damage)
        if self._stop.is_set():
            return None
        still = [damage for damage in damages if not damage.repaired]
        result.damaged = list(dict.fromkeys(damage.text for damage in still))
        result.differences = self._differences()
        report(self._incidents, damages)
        resolve_all(self._incidents, still)
        result.ended_at = _now()
        result.write(self._settings.data)
        check_due(self._settings.data / "warehouse").unlink(missing_ok=True)
        return result

    def _check_parts(self, result: DeepResult, progress: Progress) -> Iterator[Damage]:
        parts = active_parts(self._client)
        total = sum(part.bytes for part in parts)
        for part in parts:
            began = time.monotonic()
            problem = self._read(part) or problem_of(self._client, part)
            if problem is not None:
                text = f"part {part.name} of table {part.table} cannot be read: {problem}"
                yield Damage(part.table, part.name, text, rows=self._rows(part))
            result.bytes += part.bytes
            result.parts += 1
            progress(result.bytes, total)
            self._rest(part.bytes, began)
            if self._stop.is_set():
                return

    def _read(self, part: Part) -> str | None:
        """Have the disk read a part again, whatever of it is in memory; what it says when it cannot."""
        directory = Path(part.path)
        if self._settings.warehouse_url is not None or not directory.is_dir():
            return None
        try:
            for path in sorted(directory.iterdir()):
                self._read_file(path)
        except FileNotFoundError:
            return None  # merged away meanwhile
        except OSError as error:
            return f"{error.filename or part.name}: {error.strerror}"
        return None

    def _read_file(self, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            began = time.monotonic()
            while chunk := file.read(CHUNK_BYTES):
                self._rest(len(chunk), began)
                began = time.monotonic()
                if self._stop.is_set():
                    return

    def _rest(self, size: int, began: float) -> None:
        """Wait until reading so much was no faster than it may be."""
        seconds = size / (self._settings.deep_check_mb_per_second * MEBIBYTE) - (time.monotonic() - began)
        if seconds > 0:
            self._stop.wait(seconds)

    def _rows(self, part: Part) -> list[PartRows]:
        table = next((table for table in self._copies.tables() if table.name == part.table), None)
        copy = self._copies.read(table, part.name) if table else None
        return copy.rows if copy else []

    def _differences(self) -> list[str]:
        """What does not agree when nothing is being loaded; apps that somebody is being erased from are left out."""
        found: list[str] = []
        for _ in range(TRIES):
            loaded, erased = Loaded.read(self._settings.journal_directory), self._erased_from()
            rows = self._client.query(_COUNTS).result_rows
            still = loaded == Loaded.read(self._settings.journal_directory) and not loaded.plan
            erased |= self._erased_from()
            found = [
                f"app {app}: {stored:,} events, but {known:,} in first_copy, {seen:,} in seen, {volume:,} in volume"
                for app, stored, known, seen, volume in rows
                if still and app not in erased and not stored == known == seen == volume
            ]
            if (still and not found) or self._stop.wait(TRY_SECONDS):
                break
        return found

    def _erased_from(self) -> set[str]:
        return {erasure.app for erasure in self._erasures.pending()}


class DeepChecking:
    """Checks by itself, once a week and after every unclean start. `run` is for a thread of its own."""

    def __init__(self, settings: Settings, warehouse: Warehouse, store: Store, stop: threading.Event) -> None:
        self._settings = settings
        self._warehouse = warehouse
        self._store = store
        self._stop = stop

    def run(self) -> None:
        """Check when it is due, until told to stop."""
        wait = FIRST_SECONDS
        while not self._stop.wait(wait):
            wait = LOOK_SECONDS
            try:
                if self.is_due():
                    result = DeepCheck(self._settings, self._warehouse, self._store, self._stop).run()
                    if result is not None:
                        log.info(
                            "every byte of the warehouse was read", bytes=result.bytes, damaged=len(result.damaged)
                        )
                worked("deep_check")
            except Exception as error:  # whatever it is: a thread that has ended would never check again
                log.warning("the warehouse was not checked; will try again", error=type(error).__name__)
                self._warehouse.forget()

    def is_due(self) -> bool:
        """Whether the last check is a week ago, or the engine was not stopped properly since."""
        last = DeepResult.read(self._settings.data)
        return last is None or _now() - last.ended_at > WEEK_MS or check_due(self._settings.data / "warehouse").exists()


def _now() -> int:
    return time.time_ns() // 1_000_000
