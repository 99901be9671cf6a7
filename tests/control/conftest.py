"""Control databases to test with: SQLite, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tenure.settings import Settings
from tests.postgresql import PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A server for as long as the tests last; makes empty databases, and gives their URLs."""
    with PostgreSQL() as server:
        yield server.create_database


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Settings]:
    """Makes settings of which each has a control database of its own, empty still."""

    def make() -> Settings:
        data = {"data": tmp_path_factory.mktemp("control")}
        if request.param == "sqlite":
            return Settings.load(data, {})
        return Settings.load({**data, "control_url": request.getfixturevalue("postgresql")()}, {})

    return make
