"""The audit log: who changed what, and when. An entry is written in the transaction of the change that it tells of.

Nothing in the log tells of a customer or holds a secret, so that erasing a customer leaves it alone: the ids of facts
and erasures are random, keys are named by what may be shown of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Row, select

from tenure import receipt
from tenure.control.actor import current
from tenure.control.tables import audit


class Entry(NamedTuple):
    """One change."""

    id: str
    at: int
    """Milliseconds since 1970 UTC."""
    actor: str
    action: str
    """What was done, such as `key.revoke`."""
    app_id: str | None
    subject: str | None
    """What it was done to: an id, or the e-mail address of one of the people who use Tenure."""
    details: dict[str, Any]
    address: str | None


class Entries(NamedTuple):
    """A page of entries, the newest first."""

    items: list[Entry]
    next: str | None
    """The cursor of the next page; None on the last."""


def record(db: Connection, action: str, app_id: str | None, subject: str | None, **details: Any) -> None:
    """Write an entry, which is there if and only if the transaction is."""
    actor, address = current()
    text = msgspec.json.encode(details).decode()
    row = {
        "id": receipt.in_order(),
        "at": time.time_ns() // 1_000_000,
        "actor": actor,
        "action": action,
        "app_id": app_id,
    }
    db.execute(audit.insert(), row | {"subject": subject, "details": text, "address": address})


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What differs, by its key: the value that `was` and that is `now`, None where there was none."""
    keys = sorted(was.keys() | now.keys())
    return {key: {"was": was.get(key), "now": now.get(key)} for key in keys if was.get(key) != now.get(key)}


class AuditLog:
    """The entries of all apps. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def entries(
        self,
        app_id: str | None = None,
        *,
        actor: str | None = None,
        action: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Entries:
        """Entries of one app or of all, of one actor or of all, of one action or of all."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
        if app_id is not None:
            query = query.where(audit.c.app_id == app_id)
        if actor is not None:
            query = query.where(audit.c.actor == actor)
        if action is not None:
            query = query.where(audit.c.action == action)
        if cursor is not None:
            query = query.where(audit.c.id < cursor)
        with self._engine.begin() as db:
            found = [_entry(row) for row in db.execute(query)]
        return Entries(found[:limit], found[limit - 1].id if len(found) > limit else None)


def _entry(row: Row[Any]) -> Entry:
    return Entry(row.id, row.at, row.actor, row.action, row.app_id, row.subject, msgspec.json.decode(row.details),
                 row.address)  # fmt: skip
