"""What each app says of its signals and the weights of its health score."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from sqlalchemy import Connection, Engine, func, select

from tenure.control.audit import difference, record
from tenure.control.database import writing
from tenure.control.tables import app, health_settings, settings_of
from tenure.control.unchanged import Unchanged
from tenure.health.settings import HealthSettings


class HealthBook:
    """The settings of all apps. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._unchanged = Unchanged(engine)

    def of(self, app_id: str) -> HealthSettings:
        """The settings of an app; the defaults when it said nothing."""
        with self._engine.begin() as db:
            return _of(db, app_id)

    def every(self) -> Mapping[str, HealthSettings]:
        """The settings of each app that said something, and of its other modes, by the id. Costs next to nothing while
        nothing changes."""
        return self._unchanged.answer("every", None, self._every)

    def _every(self) -> dict[str, HealthSettings]:
        columns = health_settings.c
        with self._engine.begin() as db:
            whose = columns.app_id == func.coalesce(app.c.live_app_id, app.c.id)
            rows = db.execute(select(app.c.id, columns.settings).join(app, whose)).all()
        return {app_id: msgspec.json.decode(text, type=HealthSettings) for app_id, text in rows}

    def change(self, app_id: str, change: Callable[[HealthSettings], HealthSettings]) -> HealthSettings:
        """Make an app's settings into others, at once and alone; returns the new ones."""
        with self._writer.begin() as db:
            app_id = db.execute(select(settings_of(app_id))).scalar_one() or app_id
            was = _of(db, app_id)
            settings = change(was)
            db.execute(health_settings.delete().where(health_settings.c.app_id == app_id))
            if settings != HealthSettings():
                text = msgspec.json.encode(settings).decode()
                db.execute(health_settings.insert().values(app_id=app_id, settings=text))
            before, after = msgspec.to_builtins(was), msgspec.to_builtins(settings)
            changes = {part: difference(before[part], after[part]) for part in ("signals", "weights")}
            changes |= difference({"no_use": before["no_use"]}, {"no_use": after["no_use"]})
            record(db, "health.settings", app_id, None, **changes)
        return settings


def _of(db: Connection, app_id: str) -> HealthSettings:
    columns = health_settings.c
    text = db.execute(select(columns.settings).where(columns.app_id == settings_of(app_id))).scalar()
    return HealthSettings() if text is None else msgspec.json.decode(text, type=HealthSettings)
