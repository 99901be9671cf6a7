"""A real headless Chromium, that of the system: nothing is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserType, sync_playwright

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 20_000
"""Longest that a page is waited for."""


@contextmanager
def headless_chromium() -> Iterator[Browser]:
    """The browser, with a user data directory of its own. Each context of it (`new_context`) is another visitor.

    Until it is closed an event loop counts as running in this thread, so `asyncio.run` is refused.
    """
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


def launch(chromium: BrowserType, **options: Any) -> Browser:
    """Start it, with more options of Playwright's."""
    executable = shutil.which("chromium")
    assert executable is not None, "chromium is missing: `scripts/system-packages chromium` installs it"
    # Root, as in a container, has no sandbox; the pages are our own.
    return chromium.launch(executable_path=executable, chromium_sandbox=False, args=FLAGS, **options)
