"""Control databases to test with: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tenure.settings import Settings
from tests.harness import free_port

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian puts the programs of each version."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A server for as long as the tests last; makes empty databases, and gives their URLs."""
    directory = Path(tempfile.mkdtemp(prefix="tenure-postgresql-"))
    if not os.geteuid():  # it refuses to be root
        shutil.chown(directory, "postgres")
    port = free_port()
    _run("initdb", "--pgdata", f"{directory}/data", "--auth=trust", "--username=tenure", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    _run(
        "pg_ctl", "start", "--wait", "--pgdata", f"{directory}/data", "--log", f"{directory}/log", "--options", options
    )
    numbers = itertools.count()

    def make() -> str:
        name = f"tenure{next(numbers)}"
        with psycopg.connect(f"postgresql://tenure@127.0.0.1:{port}/postgres", autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://tenure@127.0.0.1:{port}/{name}"

    try:
        yield make
    finally:
        _run("pg_ctl", "stop", "--mode=immediate", "--pgdata", f"{directory}/data")
        shutil.rmtree(directory)


def _run(program: str, *arguments: str) -> None:
    found = max(DEBIAN.glob(f"*/bin/{program}"), default=Path(program), key=lambda path: int(path.parts[-3]))
    user = [] if os.geteuid() else ["runuser", "-u", "postgres", "--"]
    subprocess.run([*user, str(found), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Settings]:
    """Makes settings of which each has a control database of its own, empty still."""

    def make() -> Settings:
        data = {"data": tmp_path_factory.mktemp("control")}
        if request.param == "sqlite":
            return Settings.load(data, {})
        return Settings.load({**data, "control_url": request.getfixturevalue("postgresql")()}, {})

    return make
