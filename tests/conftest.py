"""Fixtures that more than one part of the tests uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Server, create_app


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that neither stop nor kill it; each makes its own app."""
    running = Server(tmp_path_factory.mktemp("server") / "data")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def keys(server: Server, request: pytest.FixtureRequest) -> dict[str, str]:
    """A fresh app of the shared server, with one key of each kind."""
    return create_app(server.data, request.node.nodeid[-190:])
