"""Watches the files of the embedded engine: before it opens them, while it runs, and when it ends.

before_open   damaged small files are put right from their copies (`file_copies`)
opened        what the engine set aside all the same is reported, before the first question is answered
noticed       a part that cannot be read is reported when a statement fails because of it
closed        what has no copy yet gets one
failed        why the engine cannot open the directory is left in a file, with the names of files that may be the cause
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tenure.warehouse.damage import HUGE_BLOCK, Damage, PartRows
from tenure.warehouse.engine_failure import OpenFailure, check_due, clean_stop
from tenure.warehouse.file_copies import (
    FORMAT_VERSION,
    SETTLED_SECONDS,
    FileCopies,
    broken_parts,
    is_mutation,
)

if TYPE_CHECKING:
    from tenure.warehouse.engine.database import Database
    from tenure.warehouse.engine.errors import DatabaseError

log = logging.getLogger(__name__)

RECORD_SECONDS = 5.0
"""How often new parts get their copies."""
DAMAGE_CODES = frozenset({27, 33, 36, 39, 40, 117, 226, 228, 246, 271, 384, 432, 434, 522, 528, 533, 642})
"""Error codes of ClickHouse that a damaged file can cause. Only those that name a part are reported."""
TIMES = {
    "event": "received_at",
    "first_copy": "occurred_at",
    "arrival": "received_at",
    "quarantine": "received_at",
    "identify": "received_at",
    "fact": "received_at",
    "subscription_fact": "received_at",
    "seen": "changed",
    "volume": "toDateTime64(day, 3, 'UTC')",
}
"""The time by which the rows of a table are told from each other; the other tables have none."""

_FAILED_PART = re.compile(r"/store/[0-9a-f]{3}/([0-9a-f-]{36})/(all_[0-9_]+)")
_WITHOUT_APP = frozenset({"schema_migration", "erasing"})


class EngineGuard:
    """Watches one warehouse directory. `report` is told of damage; it may be slow."""

    def __init__(self, warehouse: Path, report: Callable[[list[Damage]], None]) -> None:
        self._warehouse = warehouse
        self._copies = FileCopies(warehouse)
        self._report = report
        self._database: Database | None = None
        self._known: set[tuple[str, str]] = set()
        self._stopping = threading.Event()
        self._recorder = threading.Thread(target=self._record_often, name="file copies", daemon=True)

    def before_open(self) -> None:
        """Put right what can be put right."""
        with _going_on("The files of the warehouse could not be compared with their copies"):
            self._compare()

    def _compare(self) -> None:
        if (self._copies.root / "store").is_dir() and not clean_stop(self._warehouse).exists():
            check_due(self._warehouse).touch()
        clean_stop(self._warehouse).unlink(missing_ok=True)
        self._copies.remove_orphans()
        damages = list(self._copies.verify())
        for damage in damages:
            log.warning("Damaged file of the warehouse: %s", damage.text)
        if damages:
            self._tell(damages)

    def opened(self, database: Database) -> None:
        """Report what the engine set aside, and copy from now on what is new."""
        with _going_on("An old failure could not be removed"):
            OpenFailure.path(self._warehouse).unlink(missing_ok=True)
        self._database = database
        if damages := list(broken_parts(self._copies)):
            self._tell(damages)
        self._recorder.start()

    def failed(self, error: Exception) -> None:
        """Leave the reason for `tenure check`."""
        files = suspects(self._copies)
        named = f"; damaged: {', '.join(files)}; `tenure restore-parts` puts it right" if files else ""
        text = f"the engine cannot open its directory: {str(error)[:500]}{named}"
        log.error("%s", text)
        with _going_on("The failure could not be written down"):
            OpenFailure(text, files).write(self._warehouse)

    def noticed(self, error: DatabaseError) -> None:
        """A statement failed: report the part whose damage is the cause, if that is so."""
        is_damage = error.code in DAMAGE_CODES or HUGE_BLOCK.search(error.text) is not None
        found = _FAILED_PART.search(error.text) if is_damage else None
        if found is None or (found[1], found[2]) in self._known:
            return
        self._known.add((found[1], found[2]))
        table = next((table for table in self._copies.tables() if table.uuid == found[1]), None)
        if table is None:
            return
        copy = self._copies.read(table, found[2])
        text = f"part {found[2]} of table {table.name} cannot be read (code {error.code})"
        log.error("%s", text)
        damage = Damage(table.name, found[2], text, rows=copy.rows if copy else [])
        threading.Thread(target=self._tell, args=([damage],), name="report of damage", daemon=True).start()

    def closing(self) -> None:
        """Copy what is new, while the engine can tell the rows of parts."""
        self._stopping.set()
        if self._recorder.is_alive():
            self._recorder.join()
        self._record(settled=0)
        self._database = None

    def closed(self) -> None:
        """Copy what is new still, now that the engine changes nothing any more, and note that it ended properly."""
        self._record(settled=0)
        with _going_on("The proper end could not be noted"):
            clean_stop(self._warehouse).touch()

    def _tell(self, damages: list[Damage]) -> None:
        try:
            self._report(damages)
        except Exception:  # a fault of the control database must not keep the engine from starting
            log.exception("Damage of the warehouse could not be reported")

    def _record_often(self) -> None:
        while not self._stopping.wait(RECORD_SECONDS):
            self._record()

    def _record(self, settled: float = SETTLED_SECONDS) -> None:
        try:
            self._copies.record(self._extents, settled=settled)
        except Exception:  # whatever it is: the next time may succeed, and the engine goes on without
            log.warning("Small files of the warehouse could not be copied", exc_info=True)

    def _extents(self, table: str, part: str) -> list[PartRows]:
        """The rows of a part by app; none when the engine cannot tell."""
        from tenure.warehouse.engine.errors import DatabaseError
        from tenure.warehouse.engine.statement import parse

        if self._database is None or table in _WITHOUT_APP:
            return []
        try:
            with self._database.session({"max_threads": "1"}) as session:
                result = session.execute(parse(extents_of(table, part).encode()), "JSONCompactEachRow", {})
                lines = b"".join(result.chunks).splitlines()
        except DatabaseError:
            return []
        return [PartRows(*msgspec.json.decode(line, type=tuple[str, int, int | None, int | None])) for line in lines]


@contextmanager
def _going_on(failed: str) -> Iterator[None]:
    """A disk that is full or read-only keeps the engine from nothing but this."""
    try:
        yield
    except OSError as error:
        log.warning("%s: %s", failed, error)


def extents_of(table: str, part: str) -> str:
    """The query for the rows of a part by app: count, first and last time. Both names are ours."""
    at = TIMES.get(table)
    times = f"toInt64(toUnixTimestamp64Milli(toDateTime64(%s({at}), 3, 'UTC')))" if at else "NULL"
    first, last = (times % "min", times % "max") if at else ("NULL", "NULL")
    return (
        f"SELECT app, toUInt32(count()), {first}, {last} FROM {table} WHERE _part = '{part}' GROUP BY app "  # noqa: S608
        "SETTINGS output_format_json_quote_64bit_integers = 0"
    )


def suspects(copies: FileCopies) -> list[str]:
    """Files of the tables that the engine cannot understand."""
    found = []
    for table in copies.tables():
        version = table.path / "format_version.txt"
        if not version.is_file() or version.read_bytes() != FORMAT_VERSION:
            found.append(version)
        found += [path for path in table.path.glob("mutation_*.txt") if not is_mutation(path.read_bytes())]
    found += copies.unreadable_statements()
    return [str(path.relative_to(copies.root.parent)) for path in found]
