"""Repair rules: which quarantined elements, what to do to them, and how far each rule has come.

A rule is applied once, to what was in quarantine when it was made. The loader does it (`loader.replaying`), one rule of
all apps after the other, oldest first: so that no element is replayed by two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Engine, Row, func, select, update
from uuid_utils import uuid7

from tenure import clock
from tenure.control import audit
from tenure.control.database import writing
from tenure.control.tables import repair
from tenure.control.unchanged import Unchanged
from tenure.errors import NotFound
from tenure.repair.steps import Step, check

KEPT = 100
"""Rules of an app that are listed."""


class Match(msgspec.Struct, frozen=True):
    """Which elements a rule is for: those that were refused for the same reason."""

    dialect: str
    path: str
    """Of the operation; empty for elements from before paths were kept."""
    code: str
    field: str
    """Empty where the reason names none."""


class Repair(msgspec.Struct, frozen=True):
    """A rule. Times are in microseconds since 1970 UTC."""

    id: str
    app: str
    match: Match
    steps: list[Step]
    made_at: int
    """By the hybrid clock: elements received until then are repaired. It is the time of receipt of the replays, too."""
    made_by: str
    """Who made it, as an e-mail address."""
    total: int | None
    """How many elements it is for; None until that has been counted."""
    replayed: int
    unusable: int
    """Elements that could not be used after it either."""
    done_at: int | None


class Repairs:
    """Repair rules in the control database. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = writing(engine)
        self._unchanged = Unchanged(engine)

    def add(self, app_id: str, match: Match, steps: Sequence[Step], made_by: str) -> Repair:
        """A rule, to be applied at once. Durable when it returns. Raises BadRequest."""
        check(steps, match.code)
        row = {
            "id": uuid7().hex,
            "app_id": app_id,
            "match": _text(match),
            "steps": _text(steps),
            "made_at": clock.now(),
            "made_by": made_by,
            "replayed": 0,
            "unusable": 0,
        }
        with self._writer.begin() as db:
            db.execute(repair.insert(), row)
            audit.record(db, "repair.add", app_id, str(row["id"]), **_described(match, steps))
        return self.find(app_id, str(row["id"]))

    def find(self, app_id: str, repair_id: str) -> Repair:
        """A rule of this app. Raises NotFound."""
        with self._engine.begin() as db:
            row = db.execute(select(repair).where(repair.c.id == repair_id, repair.c.app_id == app_id)).first()
        if row is None:
            raise NotFound("this app has no repair rule with that id", code="unknown_repair")
        return _repair(row)

    def of(self, app_id: str) -> list[Repair]:
        """The last rules of an app, newest first."""
        query = select(repair).where(repair.c.app_id == app_id).order_by(repair.c.made_at.desc(), repair.c.id.desc())
        with self._engine.begin() as db:
            return [_repair(row) for row in db.execute(query.limit(KEPT))]

    def next(self) -> Repair | None:
        """The oldest rule of all apps that is not done. Costs next to nothing while nothing changes."""
        return self._unchanged.answer("next", None, self._next)

    def _next(self) -> Repair | None:
        query = select(repair).where(repair.c.done_at.is_(None)).order_by(repair.c.made_at, repair.c.id).limit(1)
        with self._engine.begin() as db:
            row = db.execute(query).first()
        return None if row is None else _repair(row)

    def begin(self, found: Repair, total: int) -> None:
        """Note how many elements there are to repair, beside those that were before a crash."""
        values = {"total": func.coalesce(repair.c.total, total), "unusable": 0}
        with self._writer.begin() as db:
            db.execute(update(repair).where(repair.c.id == found.id).values(values))

    def count(self, found: Repair, replayed: int, unusable: int) -> None:
        """Note how many elements there are of both kinds by now."""
        with self._writer.begin() as db:
            db.execute(update(repair).where(repair.c.id == found.id).values(replayed=replayed, unusable=unusable))

    def finish(self, found: Repair) -> None:
        """Record that all is done: what was replayed is in the warehouse."""
        with self._writer.begin() as db:
            db.execute(update(repair).where(repair.c.id == found.id).values(done_at=_now()))


def _described(match: Match, steps: Sequence[Step]) -> dict[str, Any]:
    """What the audit log says of a rule: no value, which may be somebody's identifier."""
    return msgspec.structs.asdict(match) | {"steps": [f"{step.kind} {step.field}" for step in steps]}


def _repair(row: Row[Any]) -> Repair:
    return Repair(
        id=row.id,
        app=row.app_id,
        match=msgspec.json.decode(row.match, type=Match),
        steps=msgspec.json.decode(row.steps, type=list[Step]),
        made_at=row.made_at,
        made_by=row.made_by,
        total=row.total,
        replayed=row.replayed,
        unusable=row.unusable,
        done_at=row.done_at,
    )


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _now() -> int:
    return clock.wall_us()
