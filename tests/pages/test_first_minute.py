"""The first minute: from an empty directory to an event that has arrived, in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tenure.snippets import CLIENTS, LANGUAGES
from tenure.warehouse.client import Warehouse
from tests.clients.arrivals import until
from tests.harness import Server
from tests.pages.site import ADMIN, PASSWORD, Site, axe, fits, watch

ROOT = Path(__file__).parents[2]
WATCHED = {"native": "python", "churnkey": "node", "windback": "curl", "customerscore": "python", "whisperr": "node"}
"""Clients whose event is watched as it arrives; the other snippets run at once."""


def test_from_an_empty_directory_to_an_event_that_has_arrived(
    new_server: Callable[..., Server], chromium: Browser
) -> None:
    """An app is created, its keys are shown once, every snippet works as it stands, and the page says what arrived."""
    server = new_server()
    store = Store(connect(Settings.load({"data": server.data}, {})))
    context = chromium.new_context(base_url=server.url, permissions=["clipboard-read", "clipboard-write"])
    watch(context)
    page = context.new_page()
    page.goto(printed_link(server))
    page.get_by_label("E-mail").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/start$"))
    axe(page)
    page.get_by_label("Name of the app").fill("My shop ☕")
    page.get_by_role("button", name="Create the app").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Send events to My shop ☕")
    (app,) = store.apps()
    expect(page).to_have_url(f"{server.url}/apps/{app.id}/start")
    expect(page.locator("#arrived")).to_contain_text("Waiting for an event")
    axe(page)
    fits(page)
    page.get_by_role("button", name="Copy the secret key").click()
    expect(page.locator("#notice")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator(".keys code").first.inner_text()

    texts = {(client, language): snippet(page, client, language) for client in CLIENTS for language in LANGUAGES}
    for client, language in WATCHED.items():
        before = last_seen(page)
        assert run(client, language, texts.pop((client, language))).wait(60) == 0
        expect(page.locator("#arrived input")).not_to_have_value(before, timeout=30_000)
        expect(page.locator("#arrived")).to_contain_text(f"sent by {CLIENTS[client]}, verified")
    unusable = {"events": [{"event": "of_nobody"}]}
    server.http.post("/v1/ingest", json=unusable, headers={"X-API-Key": page.locator(".keys code").first.inner_text()})
    expect(page.locator("#arrived .problem")).to_contain_text("could not be used", timeout=30_000)
    axe(page)
    running = [run(client, language, text) for (client, language), text in texts.items()]
    assert [process.wait(120) for process in running] == [0] * len(running)
    server.wait_loaded()
    tenant = Warehouse(Settings.load({"data": server.data}, {})).tenant(app.id)
    requests = tenant.rows("SELECT DISTINCT receipt, dialect FROM arrival WHERE outcome = 'accepted'")
    assert Counter(dialect for _, dialect in requests) == dict.fromkeys(CLIENTS, len(LANGUAGES))

    page.reload()
    expect(page.locator("pre:visible")).to_contain_text("YOUR_SECRET_KEY")
    assert len(store.list_keys(app.id)) == 4
    page.goto("/")
    expect(page).to_have_url(re.compile(f"/apps/{app.id}/"))
    context.close()


def test_a_viewer_cannot_create_an_app(site: Site, viewer: Page) -> None:
    """The page says who can; the first page leads to the app that was looked at last."""
    viewer.goto("/start")
    expect(viewer.get_by_role("main")).to_contain_text("Only an admin can create an app")
    expect(viewer.get_by_label("Name of the app")).to_have_count(0)
    axe(viewer)
    viewer.goto(f"{site.app}/start")
    expect(viewer.get_by_role("button", name="Make keys")).to_have_count(0)
    viewer.goto("/")
    expect(viewer).to_have_url(re.compile(f"/apps/{site.keys['app']}/"))


@pytest.mark.soak
def test_a_name_that_is_taken_is_said_beside_the_field(site: Site, admin: Page) -> None:
    """What was typed stays, and nothing is made."""
    taken = site.store.app(site.keys["app"]).name
    before = len(site.store.apps())
    admin.goto("/start")
    admin.get_by_label("Name of the app").fill(taken)
    admin.get_by_role("button", name="Create the app").click()
    expect(admin.locator(".field.wrong")).to_contain_text("already")
    expect(admin.get_by_label("Name of the app")).to_have_value(taken)
    axe(admin)
    assert len(site.store.apps()) == before


def printed_link(server: Server) -> str:
    """The way in that `tenure serve` prints when nobody has an account."""
    until(lambda: "/welcome#" in server.log.read_text(), "a link is printed")
    found = re.search(r"\S+/welcome#\S+", server.log.read_text())
    assert found is not None
    return found[0]


def snippet(page: Page, client: str, language: str) -> str:
    """The text of a snippet, as a person sees it after choosing both."""
    page.get_by_role("radio", name=CLIENTS[client], exact=True).check()
    page.get_by_role("radio", name=LANGUAGES[language], exact=True).check()
    expect(page.locator("pre:visible")).to_have_count(1)
    return page.locator("pre:visible").inner_text()


def run(client: str, language: str, text: str) -> subprocess.Popen[bytes]:
    """Run a snippet's text, where the packages that it needs are installed."""
    commands = {
        "curl": ["bash", "-c", text],
        "python": [sys.executable, "-c", text],
        "node": ["node", "--input-type=module", "--eval", text],
    }
    packages = ROOT / "sdk" / "js" if client == "native" else ROOT / "tests" / "clients" / "node"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "sdk" / "python" / "src")}
    return subprocess.Popen(commands[language], cwd=packages, env=environment)


def last_seen(page: Page) -> str:
    """The receipt of what the page says arrived last."""
    seen = page.locator("#arrived input")
    return seen.input_value() if seen.count() else ""
