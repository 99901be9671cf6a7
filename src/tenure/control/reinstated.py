"""Copies of events that a retry window made duplicates, and that somebody said are events of their own."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Engine, select, update

from tenure.control.audit import record
from tenure.control.database import writing
from tenure.control.tables import reinstated

CHUNK = 5_000


class Asked(NamedTuple):
    """A copy that is to be stored."""

    app: str
    event_id: bytes


class Reinstated:
    """What was reinstated, for good: what is loaded again comes to the same. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)

    def ask(self, app: str, receipt: str, event_ids: Iterable[bytes]) -> None:
        """Have these copies, which one request brought, stored; those of which that was said before are left alone."""
        wanted = {event_id.hex() for event_id in event_ids}
        with self._writer.begin() as db:
            known = select(reinstated.c.event_id).where(reinstated.c.app_id == app, reinstated.c.event_id.in_(wanted))
            new = sorted(wanted - set(db.execute(known).scalars()))
            if new:
                db.execute(reinstated.insert(), [{"app_id": app, "event_id": event_id} for event_id in new])
                record(db, "event.reinstate", app, receipt, events=new)

    def among(self, event_ids: Collection[bytes]) -> set[bytes]:
        """Which of these copies are reinstated."""
        found: set[bytes] = set()
        wanted = sorted(one.hex() for one in event_ids)
        with self._engine.begin() as db:
            for start in range(0, len(wanted), CHUNK):
                some = wanted[start : start + CHUNK]
                query = select(reinstated.c.event_id).where(reinstated.c.event_id.in_(some))
                found.update(bytes.fromhex(event_id) for event_id in db.execute(query).scalars())
        return found

    def pending(self) -> list[Asked]:
        """Those that are not stored yet."""
        query = select(reinstated.c.app_id, reinstated.c.event_id).where(reinstated.c.done_at.is_(None)).limit(CHUNK)
        with self._engine.begin() as db:
            return [Asked(app, bytes.fromhex(event_id)) for app, event_id in db.execute(query)]

    def finish(self, done: Iterable[Asked]) -> None:
        """These are stored, or gone."""
        with self._writer.begin() as db:
            for app, event_id in done:
                own = (reinstated.c.app_id == app, reinstated.c.event_id == event_id.hex())
                db.execute(update(reinstated).where(*own).values(done_at=time.time_ns() // 1_000_000))
