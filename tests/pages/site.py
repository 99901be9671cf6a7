"""What tests of pages need: a server with people, a browser that is signed in, and axe-core."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tests.chromium import WAIT_MS
from tests.harness import Server, create_app

AXE = Path(__file__).parent.parent / "browser" / "node" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
ADMIN, VIEWER, PASSWORD = "admin@example.com", "viewer@example.com", "correct horse battery"


@dataclass
class Site:
    """A server with one app, an admin and a viewer."""

    server: Server
    keys: dict[str, str]
    store: Store

    @property
    def app(self) -> str:
        """Where the app's pages are, as a URL."""
        return f"{self.server.url}/apps/{self.keys['app']}"

    def ingest(self, *events: dict[str, Any], wait: bool = True) -> None:
        """Send events as a server does, and wait until they can be read."""
        answer = self.server.http.post("/v1/ingest", json={"events": list(events)},
                                       headers={"X-API-Key": self.keys["secret_key"]})  # fmt: skip
        assert answer.status_code == 202, answer.text
        if wait:
            self.server.wait_loaded()


def make_site(server: Server) -> Site:
    """A fresh app on a running server, and the people, if there are none yet."""
    keys = create_app(server.data, f"app {len(Store(connect(Settings.load({'data': server.data}, {}))).apps())}")
    store = Store(connect(Settings.load({"data": server.data}, {})))
    if not store.people.any():
        store.people.create(ADMIN, PASSWORD, "admin")
        store.people.create(VIEWER, PASSWORD, "viewer")
    return Site(server, keys, store)


_cookies: dict[tuple[str, str], list[Any]] = {}
"""Of those who are signed in, by server and e-mail address."""


def visit(browser: Browser, site: Site, email: str = ADMIN) -> Page:
    """A page of somebody who is signed in from before, if the session is still good: signing in takes its time."""
    known = _cookies.get((site.server.url, email), [])
    jar = {one["name"]: one["value"] for one in known}
    if not known or httpx.get(f"{site.server.url}/settings/account", cookies=jar, timeout=30).status_code != 200:
        page = signed_in(browser, site, email)
        _cookies[site.server.url, email] = page.context.cookies()
        return page
    page = new_page(browser, site)
    page.context.add_cookies(known)
    return page


def new_page(browser: Browser, site: Site, **options: Any) -> Page:
    """A page of a new visitor, watched."""
    context = browser.new_context(base_url=site.server.url, timezone_id="Europe/Berlin", locale="en-GB", **options)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    watch(context)
    return page


def signed_in(browser: Browser, site: Site, email: str = ADMIN, **options: Any) -> Page:
    """A page of a new visitor who has signed in by the form."""
    page = new_page(browser, site, **options)
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    return page


def watch(context: BrowserContext) -> None:
    """A script that fails, or anything that the content security policy stops, fails the test at its next `calm`."""
    context.tenure_problems = []  # type: ignore[attr-defined]

    def note(message: Any) -> None:
        if message.type == "error" and ("Content Security Policy" in message.text or "Uncaught" in message.text):
            context.tenure_problems.append(message.text)  # type: ignore[attr-defined]

    context.on("console", note)
    context.on("weberror", lambda error: context.tenure_problems.append(str(error.error)))  # type: ignore[attr-defined]
    context.on("dialog", lambda dialog: (context.tenure_problems.append(dialog.message), dialog.dismiss()))  # type: ignore[attr-defined]


def calm(page: Page) -> None:
    """Nothing has failed or was stopped in this visitor's pages so far."""
    assert not page.context.tenure_problems, page.context.tenure_problems  # type: ignore[attr-defined]


def axe(page: Page, only: str = "") -> None:
    """axe-core finds nothing wrong with the page as it is shown, by WCAG 2.2 A and AA or by one rule. It is calm.

    It looks from the top: on a page that is scrolled, the header, which stays in place, covers part of something.
    """
    page.evaluate("() => scrollTo(0, 0)")
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    by = {"type": "rule", "values": [only]} if only else {"type": "tag", "values": RULES}
    found = page.evaluate("by => axe.run(document, {runOnly: by, resultTypes: ['violations']})", by)
    wrong = [
        f"{one['id']} ({one['impact']}): {one['help']}: " + "; ".join(node["html"][:200] for node in one["nodes"][:5])
        for one in found["violations"]
    ]
    assert not wrong, "\n".join([page.url, *wrong])
    calm(page)


def fits(page: Page) -> None:
    """Nothing is wider than the screen, apart from what scrolls by itself."""
    over = page.evaluate(_TOO_WIDE)
    assert not over, f"{page.url}: too wide: {over}"


_TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > width);
    return ['the page', ...wide.map((one) => one.outerHTML.slice(0, 150))];
}"""
