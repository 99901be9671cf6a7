"""Opens the control database and brings its tables up to date."""

from __future__ import annotations

import sqlite3
import time
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect

from tenure.control.faults import POOL_SECONDS, Pool, map_faults, mapped_sqlite
from tenure.data_directory import explained
from tenure.directories import make_directory
from tenure.errors import DataUnusable, Unavailable
from tenure.settings import Settings

WAL_SECONDS = 10.0
"""How long to wait for another process that is switching the control database to WAL."""


def control_url(settings: Settings) -> str | URL:
    """The URL in force: the setting, or a SQLite file in the data directory, whatever characters its name has."""
    if settings.control_url is not None:
        return settings.control_url.get_secret_value()
    return URL.create("sqlite", database=str(settings.data / "control.sqlite"))


def connect(settings: Settings) -> Engine:
    """An engine for the control database. Creates the data directory, never a table.

    Raises DataUnusable when the directory cannot be made. The engine raises Unavailable when the database cannot be
    used.
    """
    if settings.control_url is None:
        with explained(settings.data):
            make_directory(settings.data)
    engine = create_engine(control_url(settings), pool_pre_ping=True, poolclass=Pool, pool_timeout=POOL_SECONDS)
    map_faults(engine)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write: SQLite takes its write lock at their start, so that none
    fails half way because another wrote first."""
    return engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")


def migrate(engine: Engine, revision: str = "head") -> None:
    """Apply the migrations that are missing. Two processes that start at once wait for each other.

    Raises DataUnusable when the database cannot be opened, read or written.
    """
    try:
        _migrate(engine, revision)
    except Unavailable as error:
        where = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
        reason = error.message.rpartition(": ")[2]
        advice = _ADVICE.get(reason, "look whether it is there, runs, and lets this user in")
        raise DataUnusable(f"cannot use the control database {where}: {reason}; {advice}") from error


def _migrate(engine: Engine, revision: str) -> None:
    if revision == "head" and _revision(engine) == _newest():
        return
    from alembic import command  # a quarter of a second and some megabytes, which most starts do without
    from alembic.config import Config

    config = Config()
    migrations = resources.files("tenure.control") / "migrations"
    config.set_main_option("script_location", str(Path(str(migrations))).replace("%", "%%"))
    with writing(engine).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(8750)")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


_ADVICE = {
    "its disk is full": "free some space, then start again",
    "its disk fails": "look at the system's log, and restore a backup to another disk",
    "its file is read-only": "let this user write the file and the directory that it is in",
    "its file may not be opened": "let this user read and write the file and the directory that it is in",
    "its file cannot be opened": "let this user read and write the file and the directory that it is in",
    "its file is damaged": "restore it from a backup",
    "another program keeps it locked": "end that program, then start again",
    "there is too little memory": "end other programs, then start again",
}
"""What to do at a start, by what `faults` says is wrong."""


def _revision(engine: Engine) -> str | None:
    """The last migration that was applied."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def _newest() -> str:
    """The last migration that there is: their files begin with their revisions."""
    files = (resources.files("tenure.control") / "migrations" / "versions").iterdir()
    return max(file.name.partition("_")[0] for file in files if file.name[0].isdigit())


@mapped_sqlite()
def _tune_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # pysqlite must not begin transactions by itself: `_begin_sqlite` does
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA busy_timeout=10000")
    connection.execute("PRAGMA cache_size=-32000")  # KiB: links go all over their indexes; taken only as it fills
    connection.execute("PRAGMA secure_delete=ON")  # what is erased is overwritten, not only unlinked


def _use_wal(connection: Any) -> None:
    """Switch to WAL. SQLite does not wait for another process that switches at the same moment: so this does."""
    deadline = time.monotonic() + WAL_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def forget_log(engine: Engine) -> bool:
    """Empty SQLite's log of changes, which holds what was deleted; whether it is done, for readers may be in the way.

    PostgreSQL recycles its log by itself.
    """
    if engine.dialect.name != "sqlite":
        return True
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return bool(cursor.fetchone()[0] == 0)  # type: ignore[index]
    finally:
        connection.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
