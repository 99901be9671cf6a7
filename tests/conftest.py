"""Fixtures that more than one part of the tests uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from playwright.sync_api import Browser
from xdist.scheduler import LoadScopeScheduling

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tests.chromium import headless_chromium
from tests.harness import Server, create_app
from tests.rules import proven_by

EXAMPLES = int(os.environ.get("TENURE_TEST_EXAMPLES", "40"))
"""How many examples Hypothesis tries, where a test does not say; `make soak` takes more."""
settings.register_profile("tenure", deadline=None, max_examples=EXAMPLES)  # a slow machine is no failure
settings.load_profile("tenure")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that neither stop nor kill it; each makes its own app."""
    running = Server(tmp_path_factory.mktemp("server") / "data")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers of a test's own, started, with settings as keyword arguments; ends what is left of them."""
    made: list[Server] = []

    def make(**environment: str) -> Server:
        made.append(Server(tmp_path / f"data{len(made)}", environment))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        if server.process is not None:
            server.kill_tree()


@pytest.fixture
def keys(server: Server, request: pytest.FixtureRequest) -> dict[str, str]:
    """A fresh app of the shared server, with one key of each kind."""
    return create_app(server.data, request.node.nodeid[-190:])


@pytest.fixture(scope="session")
def shared_keys(server: Server) -> dict[str, str]:
    """One app for all tests that look at answers only: a process looks for new keys a few times a second at most.

    Its keys may send as often as they like.
    """
    keys = create_app(server.data, "shared")
    Store(connect(Settings.load({"data": server.data}, {}))).set_limit(keys["app"], "customerscore", None)
    return keys


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium for a module's tests, gone after them with its event loop; each makes contexts of its own."""
    with headless_chromium() as browser:
        yield browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each marker names a rule; pure tests go first, then those that take long, so that no worker is left with one.

    Long are those with a server of their own, which kill it, or say so; those in a browser come last.
    """
    for item in items:
        proven_by(item)

    def slowness(item: pytest.Item) -> int:
        fixtures = set(getattr(item, "fixturenames", ()))
        starts = {"server", "eraser"} & fixtures or item.path.name == "test_command.py"
        return 3 if "chromium" in fixtures else 1 if is_long(item) else 2 if starts else 0

    items.sort(key=slowness)


def is_long(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    alone = "new_server" in fixtures and not {"server", "chromium"} & fixtures
    return alone or "crash" in item.path.parts or item.get_closest_marker("long") is not None


class ByModule(LoadScopeScheduling):
    """A module's tests go to one worker, with their fixtures; those of `APART` each to any."""

    APART = ("tests/crash/", "tests/importer/test_command.py", "tests/test_rate_limits.py", "tests/test_serve.py")

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(self.APART) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    return ByModule(config, log)
