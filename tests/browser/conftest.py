"""A visitor's tabs, a site for their pages, and a server that fails on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.browser.pages import READY, Scripted, Site
from tests.chromium import WAIT_MS


@pytest.fixture
def site() -> Iterator[Site]:
    """The host's site."""
    with Site().running() as site:
        yield site


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server that can be told to fail."""
    with Scripted().running() as scripted:
        yield scripted
        scripted.free.set()


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser profile of its own."""
    context = chromium.new_context()
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


class Tab:
    """One tab of the visitor's: what its console said, and that nothing was thrown into the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.thrown: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.thrown.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.text.startswith("Tenure: "):
            self.said.append(f"{message.type}: {message.text}")

    def open(self, url: str) -> Tab:
        """Go to a page, until its script runs."""
        self.page.goto(url)
        self.page.wait_for_function(READY)
        return self

    def run(self, script: str, argument: object = None) -> object:
        """The value of a JavaScript expression in the page; a promise is waited for."""
        return self.page.evaluate(script, argument)

    def stored(self, prefix: str = "tenure.") -> list[str]:
        """The names in the page's localStorage that begin with `prefix`."""
        names: list[str] = self.page.evaluate("Object.keys(localStorage)")
        return sorted(name for name in names if name.startswith(prefix))


@pytest.fixture
def new_tab(visitor: BrowserContext) -> Iterator[Callable[[], Tab]]:
    """Opens tabs; at the end, none of their pages has seen an exception."""
    tabs: list[Tab] = []

    def make() -> Tab:
        tabs.append(Tab(visitor.new_page()))
        return tabs[-1]

    yield make
    assert [thrown for tab in tabs for thrown in tab.thrown] == []


@pytest.fixture
def tab(new_tab: Callable[[], Tab]) -> Tab:
    """The visitor's first tab."""
    return new_tab()
