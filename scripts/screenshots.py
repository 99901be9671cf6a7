"""`make screenshots`: every page, light and dark, of the demo, into `docs/images/`. Takes a few minutes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import expect
from tests.chromium import headless_chromium
from tests.harness import Server, tenure
from tests.pages.every import Shown, paths
from tests.pages.site import ADMIN, PASSWORD, Site, signed_in

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings

IMAGES = Path(__file__).parent.parent / "docs" / "images"
THEMES = ("light", "dark")
SIZE = {"width": 1_200, "height": 780}
PARTS_SECONDS = 30


def main() -> None:
    """Make the demo in a directory that goes, serve it, and look at each page."""
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "demo"
        tenure("demo", data=data)
        store = Store(connect(Settings.load({"data": data}, {})))
        store.people.create(ADMIN, PASSWORD, "admin")
        app = store.apps()[0].id
        server = Server(data)
        server.start()
        try:
            site = Site(server, {"app": app, "read_key": store.create_key(app, "read")}, store)
            take(site)
        finally:
            server.stop()


def take(site: Site) -> None:
    """The pictures."""
    best = site.server.read("/v1/customers", site.keys, sort="-mrr", limit=1)["items"][0]["id"]
    names = site.server.read("/v1/events", site.keys)["items"]
    shown = Shown(site.keys["app"], quote(best, safe=""), quote(names[0]["name"], safe=""))
    IMAGES.mkdir(exist_ok=True)
    with headless_chromium() as browser:
        for theme in THEMES:
            page = signed_in(browser, site, viewport=SIZE, color_scheme=theme)
            for name, path in paths(shown).items():
                page.goto(path)
                expect(page.locator(".later")).to_have_count(0, timeout=PARTS_SECONDS * 1_000)
                page.wait_for_timeout(300)  # charts are drawn within a frame or two
                page.screenshot(path=IMAGES / f"{name}-{theme}.png")
                sys.stdout.write(f"docs/images/{name}-{theme}.png\n")
            page.context.close()


if __name__ == "__main__":
    main()
