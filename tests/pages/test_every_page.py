"""What holds for every page there is."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.every import PAGES, Shown, paths
from tests.pages.site import Site, axe, calm, fits, signed_in

PARTS_SECONDS = 20


@pytest.fixture(scope="module")
def shown(site: Site) -> Shown:
    """An app with a little of everything: a customer who did, paid and is known for something."""
    site.ingest(*({"event": f"Report {number % 3}", "customer_id": "cus_1", "email": "jo@example.com",
                   "properties": {"format": "pdf", "n": number}, "traits": {"name": "Jo", "plan": "pro"},
                   "user": {"id": "u1", "traits": {"role": "admin"}}} for number in range(30)))  # fmt: skip
    item = {"plan": "pro", "amount": 4900, "quantity": 1, "interval": "month"}
    item = {"plan": "pro", "amount": 4900, "quantity": 1, "interval": "month"}
    paying = {"customer_id": "cus_1", "subscription": "sub_1", "status": "active", "currency": "USD",
              "started_at": "2026-01-14", "items": [item]}  # fmt: skip
    headers = {"X-API-Key": site.keys["secret_key"]}
    assert site.server.http.post("/v1/subscriptions", json={"subscriptions": [paying]}, headers=headers).is_success
    site.server.wait_loaded()
    return Shown(site.keys["app"], "cus_1", "Report%201")


@pytest.fixture(scope="module")
def page(site: Site, chromium: Browser) -> Page:
    """A browser in which the admin is signed in."""
    return signed_in(chromium, site)


def settle(page: Page, path: str) -> None:
    """Open a page and wait until its parts are there."""
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200, f"{path}: {answer.status}"
    expect(page.locator(".later")).to_have_count(0, timeout=PARTS_SECONDS * 1_000)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_for_everybody(page: Page, shown: Shown, name: str) -> None:
    """On a desk, in the dark and on a phone: axe-core finds nothing by WCAG 2.2 AA, nothing is too wide, each page has
    one heading and a title of its own, and no script has failed or was stopped."""
    page.set_viewport_size({"width": 1_280, "height": 900})
    page.emulate_media(color_scheme="light")
    settle(page, paths(shown)[name])
    assert page.locator("h1").count() == 1
    axe(page)
    page.emulate_media(color_scheme="dark")
    axe(page)
    page.set_viewport_size({"width": 390, "height": 844})
    fits(page)
    calm(page)


def test_every_page_is_listed(site: Site, page: Page, shown: Shown) -> None:
    """Whatever page another links to is one of those that are tested here."""
    known = [re.escape(path).replace("cus_1", ".+").replace("Report%201", ".+") for path in paths(shown).values()]
    found = set()
    for path in paths(shown).values():
        page.goto(path)
        found |= set(
            page.eval_on_selector_all("header a, nav a, main a", "all => all.map(one => one.getAttribute('href'))")
        )
    strangers = {
        one for one in found
        if one.startswith("/") and not one.startswith("/docs")
        and not any(re.fullmatch(f"{path}(/[^?]*)?([?#].*)?", one) for path in [*known, "/", f"/apps/{shown.app}"])
    }  # fmt: skip
    assert not strangers


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_shown_to_strangers(site: Site, shown: Shown, name: str) -> None:
    """Without a session every page leads to signing in, and says nothing else."""
    answer = httpx.get(f"{site.server.url}{paths(shown)[name]}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?")
    assert "cus_1" not in answer.text
