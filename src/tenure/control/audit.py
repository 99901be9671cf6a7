"""The audit log: who changed what, and when. An entry is written in the transaction of the change that it tells of.

Who acts is a context variable, which `acting` sets around what a command does. For a request `act_as` must be called in
the request's own task, by an `async` dependency or middleware: each thread that runs an endpoint gets a copy of its
context. What a dependency sets that is a plain function is lost with the copy of its own thread.

Nothing in the log tells of a customer or holds a secret, so that erasing a customer leaves it alone: the ids of facts
and erasures are random, keys are named by what may be shown of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, select

from tenure import receipt
from tenure.control.tables import audit

TENURE = "Tenure"
"""Who acts when nobody else does: the program itself."""
COMMAND_LINE = "command line"


class Actor(NamedTuple):
    """Who acts, and the network address that it is asked from."""

    name: str
    address: str | None


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


_ITSELF = Actor(TENURE, None)
_actor: ContextVar[Actor] = ContextVar("actor", default=_ITSELF)


def act_as(actor: str, address: str | None = None) -> Token[Actor]:
    """What is changed from here on, in this context, is done by this actor; without an address, from that of whoever
    acts already."""
    return _actor.set(Actor(actor, address or _actor.get().address))


@contextmanager
def acting(actor: str, address: str | None = None) -> Iterator[None]:
    """The same, for what is changed within."""
    token = act_as(actor, address)
    try:
        yield
    finally:
        _actor.reset(token)


def record(db: Connection, action: str, app_id: str | None, subject: str | None, **details: Any) -> None:
    """Write an entry, which is there if and only if the transaction is."""
    actor, address = _actor.get()
    text = msgspec.json.encode(details).decode()
    row = {"id": receipt.new(), "at": time.time_ns() // 1_000_000, "actor": actor, "action": action, "app_id": app_id}
    db.execute(audit.insert(), row | {"subject": subject, "details": text, "address": address})


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs, by its key: the value before and the value after, None where there was none."""
    keys = sorted(was.keys() | now.keys())
    return {key: [was.get(key), now.get(key)] for key in keys if was.get(key) != now.get(key)}


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
        """Entries of one app or of all, of one actor or of all, of one action (`key.revoke`) or one kind (`key`)."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
        if app_id is not None:
            query = query.where(audit.c.app_id == app_id)
        if actor is not None:
            query = query.where(audit.c.actor == actor)
        if action is not None:
            query = query.where((audit.c.action == action) | audit.c.action.startswith(f"{action}.", autoescape=True))
        if cursor is not None:
            query = query.where(audit.c.id < cursor)
        with self._engine.begin() as db:
            rows = [Entry(*row) for row in db.execute(query)]
        found = [row._replace(details=msgspec.json.decode(row.details)) for row in rows]
        return Entries(found[:limit], found[limit - 1].id if len(found) > limit else None)
