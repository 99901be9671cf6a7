"""A number that grows with every change that processes hold in memory: they ask for it to know when to look again."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, union_all, update

from tenure.control.tables import api_key, app


def revision(db: Connection) -> int:
    """The number of the last change."""
    changes = union_all(select(api_key.c.changed), select(app.c.changed)).subquery()
    return int(db.execute(select(func.coalesce(func.max(changes.c.changed), 0))).scalar_one())


def next_revision(db: Connection) -> int:
    """The number of the change that is being made."""
    return revision(db) + 1


def touch(db: Connection, app_id: str) -> None:
    """Something that belongs to an app has changed."""
    db.execute(update(app).where(app.c.id == app_id).values(changed=next_revision(db)))
