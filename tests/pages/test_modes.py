"""Test data on the pages: a switch leads to it, and nothing of it is on the pages of live data."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.clients.arrivals import until
from tests.pages.site import Site, axe, fits


def test_a_switch_leads_to_test_data_and_back(admin: Page, site: Site) -> None:
    """It is there as soon as there is any; settings are those of the app in each mode."""
    site.ingest({"event": "login", "uid": "live-jane"})
    admin.goto(f"{site.app}/customers")
    expect(admin.get_by_role("navigation", name="Which data")).to_have_count(0)
    site.ingest({"event": "login", "uid": "test-jane", "mode": "test"})
    listed = {mode: lambda mode=mode: site.server.read("/v1/customers", site.keys, mode=mode)["items"]
              for mode in ("live", "test")}  # fmt: skip
    for mode, items in listed.items():
        until(items, f"a customer of {mode}")
    admin.reload()
    expect(admin.get_by_text("live-jane")).to_have_count(1)
    expect(admin.get_by_text("test-jane")).to_have_count(0)
    admin.get_by_role("link", name="Test data").click()
    expect(admin.get_by_text("test-jane")).to_have_count(1)
    expect(admin.get_by_text("live-jane")).to_have_count(0)
    expect(admin.get_by_text("Nothing of this counts in live numbers.")).to_be_visible()
    axe(admin)
    fits(admin)
    pages = admin.get_by_role("navigation", name="Pages of")
    for page in ("Events", "Live", "Revenue", "Retention"):
        pages.get_by_role("link", name=page, exact=True).click()
        expect(admin.get_by_role("link", name="Test data")).to_have_attribute("aria-current", "true")
    pages.get_by_role("link", name="Settings", exact=True).click()
    live = f"/apps/{site.keys['app']}/live"
    expect(pages.get_by_role("link", name="Live", exact=True)).to_have_attribute("href", live)
    expect(admin.locator("body")).to_contain_text(re.compile("Keys"))
    admin.goto(f"{site.app}/customers")
    expect(admin.get_by_role("link", name="Test data")).not_to_have_attribute("aria-current", "true")
