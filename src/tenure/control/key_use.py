"""When keys and webhook secrets were last used: noted in memory, and written from time to time.

A use costs a request no more than an entry in a dictionary. What is written lags behind by `WRITE_SECONDS`; of a
process that is killed, the uses since it last wrote are missing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine, Table, Update, bindparam, or_, update

from tenure.control.database import writing
from tenure.control.tables import api_key, stripe_secret

WRITE_SECONDS: Final = 30.0
AHEAD_MS: Final = 60_000
"""A use that is later than now by more than this was noted while the clock was ahead."""


class KeyUse:
    """The uses of all keys, in the control database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._writer = writing(engine)
        self._noted: dict[str, int] = {}

    def note(self, key_id: str) -> None:
        """This key, or webhook secret, is used now."""
        self._noted[key_id] = time.time_ns() // 1_000_000

    def write(self) -> None:
        """Write what was noted since the last time. What cannot be written is kept for the next time."""
        uses: dict[str, int] = {}
        while self._noted:
            key_id, at = self._noted.popitem()  # one by one, since others note meanwhile
            uses[key_id] = at
        try:
            self._write(uses)
        except Exception:
            for key_id, at in uses.items():
                self._noted.setdefault(key_id, at)
            raise

    def _write(self, uses: Mapping[str, int]) -> None:
        if not uses:
            return
        ahead = time.time_ns() // 1_000_000 + AHEAD_MS
        values = [{"key_id": key_id, "at": min(at, ahead), "ahead": ahead} for key_id, at in sorted(uses.items())]
        with self._writer.begin() as db:
            for table in (api_key, stripe_secret):
                db.execute(_later(table), values)


def _later(table: Table) -> Update:
    """Of several processes, the latest use counts; one that was noted while the clock was ahead counts for nothing."""
    used_at = table.c.used_at
    earlier = or_(used_at.is_(None), used_at < bindparam("at"), used_at > bindparam("ahead"))
    return update(table).where(table.c.id == bindparam("key_id"), earlier).values(used_at=bindparam("at"))
