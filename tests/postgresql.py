"""A real PostgreSQL on a free loopback port, which tests may stop and start."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psycopg

from tests.harness import free_port

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian puts the programs of each version."""


class PostgreSQL:
    """One server with a directory of its own; runs while the block runs."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="tenure-postgresql-"))
        self._port = free_port()
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        if not os.geteuid():  # it refuses to be root
            shutil.chown(self._directory, "postgres")
        _run("initdb", "--pgdata", self._data, "--auth=trust", "--username=tenure", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if (self._directory / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._directory)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        log = str(self._directory / "log")
        _run("pg_ctl", "start", "--wait", "--pgdata", self._data, "--log", log, "--options", options)

    def stop(self) -> None:
        """End at once, as if it had been killed."""
        _run("pg_ctl", "stop", "--mode=immediate", "--pgdata", self._data)

    def create_database(self) -> str:
        """Make an empty database; returns its URL for SQLAlchemy."""
        name = f"tenure{next(self._numbers)}"
        with psycopg.connect(f"postgresql://tenure@127.0.0.1:{self._port}/postgres", autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://tenure@127.0.0.1:{self._port}/{name}"

    @property
    def _data(self) -> str:
        return str(self._directory / "data")


def _run(program: str, *arguments: str) -> None:
    found = max(DEBIAN.glob(f"*/bin/{program}"), default=Path(program), key=lambda path: int(path.parts[-3]))
    user = [] if os.geteuid() else ["runuser", "-u", "postgres", "--"]
    subprocess.run([*user, str(found), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")
