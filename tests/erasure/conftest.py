"""One server for a module's erasures, each of an app of its own: what is looked for in its files is unique."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.erasure.person import Keys
from tests.harness import Server, create_app


@pytest.fixture(scope="module")
def eraser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("erasing") / "data", {"TENURE_HTTP_WORKERS": "2"})
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def own(eraser: Server, request: pytest.FixtureRequest) -> tuple[Server, Keys]:
    """A server whose files are looked through, and an app there."""
    return eraser, create_app(eraser.data, request.node.nodeid[-190:])
