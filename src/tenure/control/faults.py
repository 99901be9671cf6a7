"""Faults of the control database, as errors that say what is wrong: the one place where they are mapped.

A full or broken disk, a read-only or locked file, a PostgreSQL that is away: each becomes `Unavailable` with the code
`control_unavailable`. Errors in what was asked, such as a violated constraint, stay as they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from tenure.errors import Unavailable

log = structlog.get_logger()

CODE: Final = "control_unavailable"
RETRY_SECONDS: Final = 5
POOL_SECONDS: Final = 10
"""How long a request waits for a connection."""

_SQLITE: Final = {
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_IOERR: "its disk fails",
    sqlite3.SQLITE_READONLY: "its file is read-only",
    sqlite3.SQLITE_PERM: "its file may not be opened",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_NOTADB: "its file is damaged",
    sqlite3.SQLITE_NOMEM: "there is too little memory",
}
_LASTING: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM})
"""Faults after which a SQLite connection is as good as before. After others it would keep the fault: a file that was
opened while its disk was read-only stays read-only."""
_POSTGRESQL: Final = {
    "OperationalError": "it cannot be reached or cannot answer",
    "InterfaceError": "its connection was lost",
    "ReadOnlySqlTransaction": "it is read-only",
}


class Pool(QueuePool):
    """Connections to the control database. Raises Unavailable when all stay in use."""

    def _do_get(self):  # type: ignore[no-untyped-def]
        try:
            return super()._do_get()
        except PoolTimeoutError as error:
            raise _unavailable("all connections to it are in use") from error


def map_faults(engine: Engine) -> None:
    """Have an engine raise Unavailable for faults of the database, and drop connections that would keep a fault."""
    event.listen(engine, "handle_error", _mapped)


@contextmanager
def mapped_sqlite() -> Iterator[None]:
    """The same for statements that SQLAlchemy does not see."""
    try:
        yield
    except sqlite3.Error as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise _unavailable(reason) from error


def _mapped(context: ExceptionContext) -> Unavailable | None:
    error = context.original_exception
    reason = _reason(error)
    if reason is None:
        return None
    if isinstance(error, sqlite3.Error) and _primary(error) not in _LASTING:
        context.is_disconnect = True
    return _unavailable(reason)


def _reason(error: BaseException) -> str | None:
    """What is wrong with the database; None when the fault is not the database's."""
    if isinstance(error, sqlite3.Error):
        return _SQLITE.get(_primary(error))
    names = [one.__name__ for one in type(error).__mro__ if one.__module__.startswith("psycopg")]
    return next((_POSTGRESQL[name] for name in names if name in _POSTGRESQL), None)


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _unavailable(reason: str) -> Unavailable:
    log.warning("control database failed", reason=reason)
    return Unavailable(f"the control database cannot be used now: {reason}", code=CODE, retry_after=RETRY_SECONDS)
