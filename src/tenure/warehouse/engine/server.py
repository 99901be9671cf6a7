"""The engine's process: one directory, one listening socket, until it is told to stop."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from waitress import wasyncore
from waitress.server import create_server

from tenure.directories import make_directory
from tenure.errors import AlreadyRunning
from tenure.stop_signals import on_stop
from tenure.warehouse.damage import Damage
from tenure.warehouse.engine.guard import EngineGuard

_LOCK_SECONDS = 15.0
_DRAIN_SECONDS = 10.0
_CANCEL_SECONDS = 2.0
_MAX_BODY_BYTES = 4 * 1024**3


def run(
    data_dir: Path,
    listener: socket.socket,
    secret: str,
    memory_limit_mb: int,
    threads: int,
    *,
    report: Callable[[list[Damage]], None] = lambda _: None,
    opened: Callable[[], None] = lambda: None,
) -> None:
    """Serve the ClickHouse protocol for `data_dir` on `listener` until told to stop; then finish and return.

    `opened` is called once the directory is open, which takes longer the more it holds.

    `listener` is bound and stays open for the next engine. User `tenure`, password `secret`. `threads` statements
    run at a time, more wait. ClickHouse refuses statements (code 241) once it has allocated `memory_limit_mb`, in
    MB; its program adds about 210 MB of file pages, and several large aggregations at once overshoot for a moment.

    `report` is told of damaged files and parts (see `guard`).

    Must run in the main thread of a process that has not imported chDB. Raises AlreadyRunning if another
    engine keeps the directory for 15 s.
    """
    data_dir = data_dir.absolute()
    make_directory(data_dir)
    os.chdir(data_dir)  # chDB would take a question mark in the name of its directory for the end of the name
    os.umask(0o077)
    with _locked(data_dir / "engine.lock"):
        # chDB takes its time zone from the environment when it is loaded.
        os.environ["TZ"] = "UTC"
        time.tzset()
        sys.modules["pyarrow"] = None  # type: ignore[assignment] # chDB loads it where it can: 36 MB that nobody uses
        from tenure.warehouse.engine.database import Database
        from tenure.warehouse.engine.interface import Interface

        guard = EngineGuard(data_dir, report)
        guard.before_open()
        try:
            database = Database(Path("chdb"), memory_limit_mb)
        except Exception as error:
            guard.failed(error)
            raise
        guard.opened(database)
        opened()
        # Large bodies and results go to files, which in many a /tmp would be memory.
        tempfile.tempdir = str(database.scratch)
        try:
            _serve(Interface(database, secret, guard.noticed), database, listener, threads)
        finally:
            guard.closing()
            database.close()
            guard.closed()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; waits for an engine that is about to end."""
    with path.open("w") as file:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AlreadyRunning(f"Another engine uses {path.parent}") from None
                time.sleep(0.05)
        yield


def _serve(application: Any, database: Any, listener: socket.socket, threads: int) -> None:
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # requests that wait are no news
    channels: dict[int, Any] = {}
    server: Any = create_server(
        application,
        map=channels,
        sockets=[listener],
        threads=threads,
        ident="",
        connection_limit=1000,
        channel_timeout=600,
        channel_request_lookahead=1,  # so that it notices a client that goes away while its query runs
        recv_bytes=256 * 1024,
        inbuf_overflow=8 * 1024 * 1024,
        outbuf_high_watermark=4 * 1024 * 1024,
        max_request_header_size=1024 * 1024,
        max_request_body_size=_MAX_BODY_BYTES,
        clear_untrusted_proxy_headers=False,
    )
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True
        server.pull_trigger()

    on_stop(stop)

    def turn() -> None:
        wasyncore.loop(timeout=1, use_poll=True, map=channels, count=1)
        application.cancel_abandoned()

    while not stopping:
        turn()
    server.accepting = False  # what now connects waits in the listener for the next engine
    if not _drained(server, turn, _DRAIN_SECONDS):
        database.cancel(None)
        _drained(server, turn, _CANCEL_SECONDS)
    server.task_dispatcher.shutdown(timeout=1)


def _drained(server: Any, turn: Any, seconds: float) -> bool:
    """Turn until no request is left, or `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while any(channel.requests or channel.total_outbufs_len for channel in server.active_channels.values()):
        if time.monotonic() > deadline:
            return False
        turn()
    return True
