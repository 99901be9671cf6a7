"""chDB itself: how it is opened, sessions of one statement each, results, errors."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import IO, Any, cast

# `chdb.connect` hides two things that we need: the bytes of a chunk without rows (`StreamingResult` drops
# them), and `classify_query`. So this module, and only this one, uses the layer below.
from chdb import _chdb

from tenure.errors import CopiedWithoutLinks
from tenure.warehouse.durability import DURABLE
from tenure.warehouse.engine.directory_sync import DirectorySync
from tenure.warehouse.engine.errors import (
    ACCESS_DENIED,
    CANNOT_FSYNC,
    INTO_OUTFILE_NOT_ALLOWED,
    READONLY,
    SYNTAX_ERROR,
    UNKNOWN_EXCEPTION,
    UNKNOWN_SETTING,
    DatabaseError,
    translated_errors,
)
from tenure.warehouse.engine.insert_file import from_file, names_infile, spooled
from tenure.warehouse.engine.statement import Statement, names, quoted

log = logging.getLogger(__name__)

# Formats without a header or a footer: chDB writes each block on its own, and the pieces are the whole.
_STREAMED_FORMATS = frozenset(
    {"Native", "RowBinary", "TSV", "TabSeparated", "TSVRaw", "TabSeparatedRaw", "CSV"}
    | {"JSONEachRow", "JSONLines", "NDJSON", "JSONCompactEachRow"}
)
# The function file() reads any file and asks for no grant; eval() runs the text that it is given.
_UNSAFE_NAMES = frozenset({b"FILE", b"EVAL"})
_PERHAPS_UNSAFE = re.compile(rb"file|eval|\\", re.IGNORECASE)  # a backslash can begin an escaped name
# chDB lays the machine's files over its database `default`, and asks for the right to read them wherever a table
# is looked up there. So `default`, as clients call it, is one of our own.
_DEFAULT_DATABASE = "tenure"
_CLASS = cast(Any, _chdb).query_class
_QUERY_VERBS = frozenset({"SELECT", "WITH", "FROM"})
_USERS = Path(__file__).with_name("users.xml")
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OUTFILE = re.compile(rb"\bOUTFILE\b", re.IGNORECASE)
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class ExternalTable:
    """A table that a query brings with it: `structure` as in CREATE TABLE, `data` in the format `format`."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass
class Progress:
    """What a statement has done so far."""

    read_rows: int = 0
    read_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0

    def add(self, part: Any) -> None:
        """Add a `query_result` of chDB, whose counters are those of one chunk."""
        self.read_rows += part.storage_rows_read()
        self.read_bytes += part.storage_bytes_read()
        self.result_rows += part.rows_read()
        self.result_bytes += part.size()
        self.written_rows += part.rows_written()
        self.written_bytes += part.bytes_written()


@dataclass
class Result:
    """The rows of a statement.

    `format` is None when a statement has no rows to give (DDL, INSERT). `complete` is true when the statement
    has ended; otherwise it runs, and can fail, while `chunks` is read.
    """

    format: str | None
    chunks: Iterator[bytes]
    complete: bool = True
    progress: Progress = field(default_factory=Progress)


class Database:
    """chDB on one directory. A process can open one."""

    def __init__(self, path: Path, memory_limit_mb: int) -> None:
        """Open `path`, created when it is missing. Where it is relative, the current directory is to stay the same.

        Raises DatabaseError if the directory cannot be opened, CopiedWithoutLinks where it is known why.
        """
        if "?" in str(path):
            raise ValueError(f"chDB cannot open a directory with a question mark in its name: {path}")
        database = path / "metadata" / _DEFAULT_DATABASE
        if database.is_dir() and not database.is_symlink():  # chDB itself would say nothing but that it cannot
            message = f"{path} was copied with symbolic links followed; copy the data directory again, with cp -a"
            raise CopiedWithoutLinks(message)
        self._directories = DirectorySync(path.absolute())
        self.scratch = path.absolute() / "scratch"
        rmtree(self.scratch, ignore_errors=True)  # what a killed predecessor left
        self.scratch.mkdir(parents=True)
        options = _options(path, memory_limit_mb)
        self._location = f"{path}?" + "&".join(f"{name}={value}" for name, value in options.items())
        # The engine lives as long as a connection does. This one also stops the queries of others.
        self._root = self._connect()
        with translated_errors():
            self._root.query(f"CREATE DATABASE IF NOT EXISTS {_DEFAULT_DATABASE}", "Null")
        self._directories.sync()
        self._require_durable_defaults()
        self.version = self._root.query("SELECT version()", "TSV").bytes().decode().strip()

    def _require_durable_defaults(self) -> None:
        """Check that tables are durable unless they say otherwise, by the configuration. Raises DatabaseError."""
        names = ", ".join(quoted(name) for name in DURABLE)
        sql = f"SELECT name, value FROM system.merge_tree_settings WHERE name IN ({names})"  # noqa: S608 - names of ours
        with translated_errors():
            lines = self._root.query(sql, "TSV").bytes().decode().splitlines()
        found = dict(line.split("\t") for line in lines)
        if found != {name: str(value) for name, value in DURABLE.items()}:
            raise DatabaseError.because(UNKNOWN_EXCEPTION, f"Tables would not be durable: {found}", "NOT_DURABLE")

    def _connect(self) -> Any:
        with translated_errors():
            return cast(Any, _chdb).connect(self._location)

    @contextmanager
    def session(
        self, settings: Mapping[str, str], database: str | None = None, tables: Iterable[ExternalTable] = ()
    ) -> Iterator[Session]:
        """A connection of its own, with `settings`, for one statement, which also sees `tables`."""
        connection = self._connect()
        try:
            with translated_errors():
                for table in tables:  # before the settings, which may say that nothing can be created any more
                    _create(connection, table, self.scratch)
                for preparation in _preparations(settings, database):
                    connection.query(preparation, "Null")
            readonly = settings.get("readonly", "0") != "0"
            yield Session(connection, self.scratch, self._directories, readonly=readonly)
        finally:
            connection.close()

    def cancel(self, query_id: str | None) -> None:
        """Ask the statement whose session has this `log_comment`, or all of them, to stop. Never fails, never waits."""
        which = f"Settings['log_comment'] = {quoted(query_id)}" if query_id else "1"
        try:
            self._root.query(f"KILL QUERY WHERE {which} ASYNC", "Null")
        except RuntimeError:
            log.warning("A query could not be cancelled", exc_info=True)

    def close(self) -> None:
        """Close the directory."""
        self._root.close()


class Session:
    """One connection, for one statement."""

    def __init__(self, connection: Any, scratch: Path, directories: DirectorySync, *, readonly: bool) -> None:
        self._connection = connection
        self._directories = directories
        self._readonly = readonly
        self._scratch = scratch

    def execute(self, statement: Statement, default_format: str, parameters: Mapping[str, str]) -> Result:
        """Run anything but an INSERT with data.

        A query in a format that can be concatenated is read while it runs. In another format it is first
        written to a file, since chDB would hold all of it in memory.
        """
        readable = self._checked_class(statement) == _CLASS.READ_ONLY
        format_name = statement.format or default_format
        if not readable or statement.verb not in _QUERY_VERBS:
            return self._whole(statement, default_format, parameters, readable)
        if format_name in _STREAMED_FORMATS:
            return self._streamed(statement, format_name, parameters)
        return self._filed(statement, format_name, parameters)

    def insert(self, statement: Statement, chunks: Iterable[bytes], parameters: Mapping[str, str]) -> Progress:
        """Run an INSERT whose data are `chunks`, in the statement's format. All of it, or an error.

        Raises DatabaseError; and whatever `chunks` raises, in which case nothing is inserted.
        """
        if names_infile(statement):
            raise DatabaseError.because(ACCESS_DENIED, "FROM INFILE is not allowed", "ACCESS_DENIED")
        at = len(statement.text) if statement.settings_at is None else statement.settings_at
        progress = Progress()
        with spooled(chunks, self._scratch) as name:
            text = statement.text[:at] + from_file(name) + statement.text[at:] + f"\nFORMAT {statement.format}".encode()
            with translated_errors():
                progress.add(self._connection.query(text, "Null", params=dict(parameters)))
        self._sync_directories()
        return progress

    def _sync_directories(self) -> None:
        try:
            self._directories.sync()
        except OSError as error:
            reason = f"Cannot sync a directory: {error.strerror}"
            raise DatabaseError.because(CANNOT_FSYNC, reason, "CANNOT_FSYNC") from error

    def _checked_class(self, statement: Statement) -> Any:
        """What ClickHouse's parser takes the statement for, of `_CLASS`, once nothing in it is refused."""
        if not statement.verb:
            raise DatabaseError.because(SYNTAX_ERROR, "Syntax error: Empty query", "SYNTAX_ERROR")
        found = self._connection.classify_query(statement.text)
        kind = found["query_class"]
        if found["statement_count"] > 1:
            raise DatabaseError.because(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)", "SYNTAX_ERROR")
        # chDB writes the file even for a session that is readonly.
        if kind == _CLASS.CONTROL and _OUTFILE.search(statement.text):
            raise DatabaseError.because(INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed", "NOT_ALLOWED")
        if statement.verb == "INSERT" and names_infile(statement):
            raise DatabaseError.because(ACCESS_DENIED, "FROM INFILE is not allowed", "ACCESS_DENIED")
        if self._readonly and kind not in (_CLASS.READ_ONLY, _CLASS.UNKNOWN):
            raise DatabaseError.because(READONLY, "Cannot execute query in readonly mode", "READONLY")
        if self._readonly and self._is_unsafe(statement):
            raise DatabaseError.because(ACCESS_DENIED, "file and eval need the right to write", "ACCESS_DENIED")
        return kind

    def _is_unsafe(self, statement: Statement) -> bool:
        """Whether an unsafe name is in it. ClickHouse's own parser takes away every way to hide a name."""
        if not _PERHAPS_UNSAFE.search(statement.text):
            return False
        literal = statement.text.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
        with translated_errors():
            plain = self._connection.query(b"SELECT formatQuerySingleLine('" + literal + b"')", "TSVRaw").bytes()
        return not names(plain).isdisjoint(_UNSAFE_NAMES)

    def _whole(
        self, statement: Statement, default_format: str, parameters: Mapping[str, str], readable: bool
    ) -> Result:
        if not readable:
            self._sync_directories()  # a statement may remove what has its successor in a directory
        with translated_errors():
            done = self._connection.query(statement.text, default_format, params=dict(parameters))
        if not readable:
            self._sync_directories()
        has_rows = readable or done.size() > 0
        result = Result((statement.format or default_format) if has_rows else None, iter([done.bytes()]))
        result.progress.add(done)
        return result

    def _streamed(self, statement: Statement, format_name: str, parameters: Mapping[str, str]) -> Result:
        result = Result(format_name, iter(()), complete=False)
        result.chunks = self._chunks(statement, format_name, parameters, result.progress)
        return result

    def _chunks(
        self, statement: Statement, format_name: str, parameters: Mapping[str, str], progress: Progress
    ) -> Iterator[bytes]:
        with translated_errors():
            stream = self._connection.send_query(statement.text, format_name, params=dict(parameters))
        try:
            while True:
                with translated_errors():
                    chunk = self._connection.streaming_fetch_result(stream)
                if not chunk.size():
                    return
                progress.add(chunk)
                yield chunk.bytes()
        finally:
            self._connection.streaming_cancel_query(stream)

    def _filed(self, statement: Statement, format_name: str, parameters: Mapping[str, str]) -> Result:
        at = len(statement.text) if statement.format_at is None else statement.format_at
        clause = statement.text[at:] or f"FORMAT {format_name}".encode()
        path = self._scratch / uuid.uuid4().hex
        into = f"\nINTO OUTFILE {quoted(str(path))} ".encode()
        text = statement.text[:at].rstrip(b"; \t\r\n") + into + clause
        try:
            with translated_errors():
                done = self._connection.query(text, format_name, params=dict(parameters))
            file = path.open("rb")
        finally:
            path.unlink(missing_ok=True)
        result = Result(format_name, _read(file))
        result.progress.add(done)
        result.progress.result_bytes = os.fstat(file.fileno()).st_size
        return result


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _options(path: Path, memory_limit_mb: int) -> dict[str, int | Path]:
    """The connection's options: ClickHouse's server settings, and the defaults of a session."""
    limit = memory_limit_mb * 1024 * 1024
    return {
        # Without a file of its own, chDB takes ./config.xml or the one in ~/.clickhouse-local.
        "config-file": _USERS,
        "users_config": _USERS,
        "max_server_memory_usage": limit,
        "max_thread_pool_free_size": 16,
        "mark_cache_size": limit // 16,
        "primary_index_cache_size": limit // 16,
        "index_mark_cache_size": limit // 64,
        "query_condition_cache_size": limit // 64,
        "compiled_expression_cache_size": limit // 64,
        "background_pool_size": 2,
        # As a server has it; chDB would take `1 + 1` for a query.
        "implicit_select": 0,
        "max_threads": min(4, os.cpu_count() or 1),
        # By default it takes a thread for each free GiB, so that an engine of ours would never take a second one.
        "max_threads_min_free_memory_per_thread": limit // 32,
        "max_execution_time": 300,
        "max_memory_usage": limit // 2,
        "max_bytes_before_external_group_by": limit // 4,
        "max_bytes_before_external_sort": limit // 4,
        "max_insert_threads": 1,
        "output_format_parquet_row_group_size_bytes": limit // 16,
    }


def _create(connection: Any, table: ExternalTable, scratch: Path) -> None:
    """A temporary table lives as long as its connection."""
    if not _SETTING_NAME.fullmatch(table.name):
        raise DatabaseError.because(SYNTAX_ERROR, "An external table's name is not an identifier", "SYNTAX_ERROR")
    connection.query(f"CREATE TEMPORARY TABLE {table.name} ({table.structure})", "Null")
    if not table.data:
        return
    with spooled([table.data], scratch) as path:
        connection.query(
            b"INSERT INTO %s%sFORMAT %s" % (table.name.encode(), from_file(path), table.format.encode()), "Null"
        )


def _preparations(settings: Mapping[str, str], database: str | None) -> list[str]:
    """The statements that make a connection a session. All settings go into one, for `readonly` ends them."""
    unknown = next((name for name in settings if not _SETTING_NAME.fullmatch(name)), None)
    if unknown is not None:
        raise DatabaseError.because(UNKNOWN_SETTING, "A setting's name is not an identifier", "UNKNOWN_SETTING")
    name = _DEFAULT_DATABASE if database in (None, "", "default") else str(database)
    use = "USE `" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
    return [use, _assignments(settings)] if settings else [use]


def _assignments(values: Mapping[str, str]) -> str:
    return "SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in values.items())
