"""What the loader has to fill in once, after an upgrade, from what was loaded before there was any of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, delete, select

from tenure.control.database import writing
from tenure.control.tables import backfill

SUBSCRIBED: Final = "subscribed"
"""When the subscriptions of billing ids began and ended: see `control.link`."""


class Backfills:
    """What is left to be filled in. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)

    def waits(self, name: str) -> bool:
        """Whether this is left to be done."""
        with self._engine.begin() as db:
            return db.execute(select(backfill.c.name).where(backfill.c.name == name)).first() is not None

    def finish(self, name: str) -> None:
        """It is done."""
        with self._writer.begin() as db:
            db.execute(delete(backfill).where(backfill.c.name == name))
