"""What each journal acknowledged, as of a second ago: so that of a journal that is gone it is known what it had.

A journal counts for itself, in the transaction of each append. Whoever writes a journal copies its counts to here.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Engine, Table, select
from sqlalchemy.exc import SQLAlchemyError

from tenure.control.database import writing
from tenure.control.tables import journal, journal_count
from tenure.errors import Unavailable
from tenure.journal.received import Changes, Counts, Place

log = structlog.get_logger()

BEFORE = "before-counting"
"""The id under which everything stands that was loaded before journals counted: taken from the warehouse once."""
ROWS = 1_000
"""Rows written by one statement."""
_NUMBERS = ("events", "identifies", "quarantined", "rejected", "receipt_sum", "last_at")


class KnownJournal(NamedTuple):
    """What is known of one journal."""

    id: str
    node: str
    """The data directory that it belongs to; empty for `BEFORE`."""
    position: int
    """The last position that was acknowledged, at the least."""
    written_at: int
    """Milliseconds since 1970 UTC."""


class ReceivedLedger:
    """The counts of all journals, in the control database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)

    def position(self, journal_id: str) -> int | None:
        """The last position that a journal is known to have acknowledged; None when that cannot be told."""
        try:
            with self._engine.begin() as db:
                query = select(journal.c.position).where(journal.c.id == journal_id)
                return int(db.execute(query).scalar_one_or_none() or 0)
        except (Unavailable, SQLAlchemyError) as error:
            log.warning("it is not known what a journal acknowledged", journal=journal_id, error=type(error).__name__)
            return None

    def write(self, changes: Changes, node: str) -> None:
        """Take over what a journal counted. What is known already of a later position stays. Raises SQLAlchemyError."""
        head = {"id": changes.journal, "node": node, "position": changes.position, "written_at": _now()}
        rows = [
            {"journal_id": changes.journal, "app_id": app, "hour": hour, **counts._asdict()}
            for (app, hour), counts in changes.counts.items()
        ]
        with self._writer.begin() as db:
            query = select(journal.c.position).where(journal.c.id == changes.journal)
            known = db.execute(query).scalar_one_or_none()
            if known is not None and known > changes.position:
                return
            db.execute(self._upsert(journal, ("id",), ("node", "position", "written_at")), head)
            for start in range(0, len(rows), ROWS):
                db.execute(
                    self._upsert(journal_count, ("journal_id", "app_id", "hour"), _NUMBERS), rows[start : start + ROWS]
                )

    def journals(self) -> list[KnownJournal]:
        """Every journal that was ever written to. Raises SQLAlchemyError, as all below."""
        with self._engine.begin() as db:
            columns = (journal.c.id, journal.c.node, journal.c.position, journal.c.written_at)
            return [KnownJournal(*row) for row in db.execute(select(*columns).order_by(journal.c.id))]

    def counts(self) -> dict[str, dict[Place, Counts]]:
        """What each journal counted, by its id."""
        found: dict[str, dict[Place, Counts]] = {}
        with self._engine.begin() as db:
            columns = [journal_count.c[name] for name in ("journal_id", "app_id", "hour", *_NUMBERS)]
            for name, app, hour, *numbers in db.execute(select(*columns)):
                found.setdefault(name, {})[app, hour] = Counts(*numbers)
        return found

    def _upsert(self, table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> Any:
        dialect = import_module(f"sqlalchemy.dialects.{self._engine.dialect.name}")  # each is large, and one is needed
        wanted = dialect.insert(table)
        return wanted.on_conflict_do_update(
            index_elements=list(key), set_={name: wanted.excluded[name] for name in columns}
        )


def _now() -> int:
    return time.time_ns() // 1_000_000
