"""What holds for every page there is."""

from __future__ import annotations

import re
from functools import reduce

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.every import PAGES, Shown, paths
from tests.pages.site import Site, axe, calm, fits, signed_in

PARTS_SECONDS = 20
LOOKED_AT = (
    "/apps/{app}/quarantine/reason",  # test_quarantine
    "/apps/{app}/live/requests/{event}",  # test_live
    "/apps/{app}/customers/{customer}/attributes",  # test_customer
    "/apps/{app}/customers/{customer}/export",  # likewise: a zip
    "/apps/{app}/customer-list/export.csv",  # test_customers_csv
    "/apps/{app}/revenue/behind",  # test_revenue
    "/apps/{app}/revenue/{event}.csv",  # likewise
    "/apps/{app}/retention/behind",  # likewise
    "/apps/{app}/retention/{event}.csv",  # likewise
    "/docs",  # test_serve
)
"""Pages and files that other tests look at."""


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
    axe(page, only="color-contrast")  # nothing else is different in the dark
    page.set_viewport_size({"width": 390, "height": 844})
    fits(page)
    calm(page)


def test_every_page_is_listed(site: Site, page: Page, shown: Shown) -> None:
    """Whatever page another links to is one of those that are tested here, or one that has a test of its own."""
    anything = {re.escape(one): "[^/]+" for one in shown}  # other apps than this one are listed, too
    known = ["/", f"/apps/{shown.app}", *paths(shown).values(), *(path.format(**shown._asdict()) for path in LOOKED_AT)]
    patterns = [reduce(lambda path, one: path.replace(*one), anything.items(), re.escape(path)) for path in known]
    found = set()
    for path in paths(shown).values():
        page.goto(path)
        found |= set(page.eval_on_selector_all("header a, nav a, main a", _OWN_LINKS))
    assert not {one for one in found if not any(re.fullmatch(pattern, one) for pattern in patterns)}


_OWN_LINKS = "all => all.filter((one) => one.host === location.host).map((one) => one.pathname)"


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_shown_to_strangers(site: Site, shown: Shown, name: str) -> None:
    """Without a session every page leads to signing in, and says nothing else."""
    answer = httpx.get(f"{site.server.url}{paths(shown)[name]}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?")
    assert "cus_1" not in answer.text
