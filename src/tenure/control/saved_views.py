"""Views of the list of customers that were saved under a name, for everybody who looks at an app."""

from __future__ import annotations

import secrets
import time
from typing import Final, NamedTuple

from sqlalchemy import Engine, func, select

from tenure.control import audit
from tenure.control.database import writing
from tenure.control.tables import saved_view
from tenure.errors import BadRequest, NotFound

MAX_VIEWS: Final = 100
"""Of one app."""
NAME_LIMIT: Final = 80


class SavedView(NamedTuple):
    """A name, and the query string of the list; what it asks is checked again each time that it is used."""

    id: str
    name: str
    query: str


class SavedViews:
    """The views of all apps. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)

    def of(self, app_id: str) -> list[SavedView]:
        """The views of an app, by name."""
        columns = (saved_view.c.id, saved_view.c.name, saved_view.c.query)
        with self._engine.begin() as db:
            query = select(*columns).where(saved_view.c.app_id == app_id).order_by(func.lower(saved_view.c.name))
            return [SavedView(*row) for row in db.execute(query)]

    def save(self, app_id: str, name: str, query: str) -> str:
        """Keep a view, in the place of one of the same name; returns its id. Raises BadRequest."""
        if not (name := name.strip()) or len(name) > NAME_LIMIT or not name.isprintable():
            raise BadRequest(f"a view's name has 1 to {NAME_LIMIT} characters", field="name")
        of_app = saved_view.c.app_id == app_id
        view_id, now = secrets.token_hex(8), time.time_ns() // 1_000_000
        row = {"id": view_id, "app_id": app_id, "name": name, "query": query, "created_at": now}
        with self._writer.begin() as db:
            db.execute(saved_view.delete().where(of_app, saved_view.c.name == name))
            if db.execute(select(func.count()).where(of_app)).scalar_one() >= MAX_VIEWS:
                raise BadRequest(f"an app has {MAX_VIEWS} views at the most; delete one first", field="name")
            db.execute(saved_view.insert().values(row))
            audit.record(db, "view.save", app_id, view_id)
        return view_id

    def delete(self, app_id: str, view_id: str) -> None:
        """Delete a view. Raises NotFound."""
        this = (saved_view.c.app_id == app_id, saved_view.c.id == view_id)
        with self._writer.begin() as db:
            if not db.execute(saved_view.delete().where(*this)).rowcount:
                raise NotFound("there is no such view; somebody may have deleted it", code="unknown_view")
            audit.record(db, "view.delete", app_id, view_id)
