"""The page of all customers: search, sort, filters, columns, saved views and CSV."""

from __future__ import annotations

import csv
import io
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.harness import Server
from tests.pages.site import VIEWER, Site, axe, fits, make_site, signed_in

EVIL = '=HYPERLINK("//evil.example")<script>alert(1)</script>'


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def subscribed(uid: str, plan: str, amount: int) -> dict[str, Any]:
    return {"uid": uid, "event": "subscription_updated", "occurred_at": ago(60), "properties": {
        "source": "native", "subscription": f"sub_{uid}", "status": "active", "currency": "USD",
        "items": [{"amount": amount, "plan": plan, "interval": "month"}]}}  # fmt: skip


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    """Ann pays 49 and is active, Bob pays 9 and is not, Eve is hostile; sixty others did one thing once."""
    site = make_site(server)
    site.ingest(
        *({"uid": "ann", "event": "login", "occurred_at": ago(day)} for day in range(40)),
        {"uid": "ann", "traits": {"name": "Ann Onym", "seats": 12}},
        *({"uid": "bob", "event": "login", "occurred_at": ago(day)} for day in range(35, 60)),
        {"uid": "bob", "traits": {"name": "Bob", "seats": 3}},
        subscribed("ann", "pro", 4900), subscribed("bob", "basic", 900),
        {"uid": EVIL, "event": EVIL, "occurred_at": ago(80), "traits": {"name": EVIL, "seats": EVIL}},
        *({"uid": f"one{number:02}", "event": "seen", "occurred_at": ago(90 + number)} for number in range(60)),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while True:
        items = server.read("/v1/customers", site.keys, limit=1000)["items"]
        if len(items) == 63 and all(item["health"] for item in items) and sum(bool(i["billing"]) for i in items) == 2:
            return site
        assert time.monotonic() < deadline, len(items)
        time.sleep(0.1)


def names(page: Page) -> list[str]:
    """Who is on the page, in its order."""
    return page.locator("tbody th a").all_text_contents()


def head(page: Page, name: str) -> Locator:
    """The link of a column's head; an arrow may be part of its name."""
    return page.locator("thead").get_by_role("link", name=name)


def test_search_is_made_while_typing(admin: Page, site: Site) -> None:
    """The list follows what is typed, and so does the address; a reload shows the same, going on shows a customer."""
    admin.goto(f"{site.app}/customers")
    expect(admin.get_by_role("status").filter(has_text="customers")).to_have_text("63 customers")
    admin.keyboard.press("/")
    admin.keyboard.type("ann o")
    expect(admin.locator("tbody tr")).to_have_count(1)
    expect(admin).to_have_url(f"{site.app}/customers?q=ann+o")
    assert names(admin) == ["Ann Onym"]
    expect(admin.locator("#q")).to_be_focused()
    admin.reload()
    expect(admin.locator("#q")).to_have_value("ann o")
    row = admin.locator("tbody tr")
    for text in ("pro", "active", "49.00 USD", "good", "uid:ann"):
        expect(row).to_contain_text(text)
    expect(row.get_by_role("link")).to_have_attribute("href", f"/apps/{site.keys['app']}/customers/uid%3Aann")
    admin.locator("#q").fill("nobody at all")
    expect(admin.get_by_text("Nobody is like that")).to_be_visible()
    axe(admin)


def test_columns_sort_and_more_is_shown(admin: Page, site: Site) -> None:
    """A column's head sorts by it and then the other way round; the rest of the list comes when asked for."""
    admin.goto(f"{site.app}/customers")
    axe(admin)
    fits(admin)
    for heading, first, second in (
        ("MRR", "Ann Onym", "Bob"),
        ("Customer", EVIL, "uid:one59"),
        ("Plan", "Bob", "Ann"),
    ):
        head(admin, heading).click()
        expect(admin.locator("tbody th a").first).to_have_text(first)
        head(admin, heading).click()
        expect(admin.locator("tbody th a").first).to_contain_text(second)
    expect(admin.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    assert len(names(admin)) == 50
    admin.get_by_role("link", name="Show more").click()
    expect(admin.locator("tbody th a")).to_have_count(63)
    assert len(set(names(admin))) == 63


def test_filters_are_a_form_and_chips(admin: Page, site: Site) -> None:
    """What the form says is in the address and told in words, each of which can be taken away."""
    admin.goto(f"{site.app}/customers")
    admin.get_by_text("Filters and columns").click()
    expect(admin.locator("#attribute-names option")).to_have_count(2)
    admin.get_by_label("Did", exact=True).fill("login")
    admin.get_by_label("Attribute", exact=True).fill("seats")
    admin.get_by_label("… condition").select_option(label="is more than")
    admin.get_by_label("… value").fill("2")
    admin.get_by_label("Show the attribute as a column").fill("seats")
    admin.get_by_label("Inactive for days").fill("20")
    admin.get_by_role("button", name="Show these").click()
    expect(admin).to_have_url(f"{site.app}/customers?inactive_days=20&did=login&attribute=seats%3Agt%3A2&column=seats")
    assert names(admin) == ["Bob"]
    axe(admin)
    admin.get_by_role("link", name="Take away: Inactive for days: 20").click()
    expect(admin.locator("tbody tr")).to_have_count(2)
    head(admin, "seats").click()
    assert names(admin) == ["Bob", "Ann Onym"]
    head(admin, "seats").click()
    assert names(admin) == ["Ann Onym", "Bob"]
    expect(admin.locator("tbody td:last-child").first).to_have_text("12")


def test_a_view_is_saved_for_everybody(admin: Page, site: Site, chromium: Browser) -> None:
    """An admin saves and deletes it, a viewer uses it; the audit log has both."""
    admin.goto(f"{site.app}/customers?mrr_at_least=20&q=ann")
    admin.get_by_role("button", name="Save view").click()
    admin.get_by_label("Name", exact=True).fill("Large <b>accounts</b>")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin).to_have_url(f"{site.app}/customers?mrr_at_least=20")
    viewer = signed_in(chromium, site, VIEWER)
    viewer.goto(f"{site.app}/customers")
    expect(viewer.get_by_role("button", name="Save view")).to_have_count(0)
    viewer.get_by_role("link", name="Large <b>accounts</b>").click()
    expect(viewer.locator("[aria-current=page]", has_text="Large")).to_be_visible()
    assert names(viewer) == ["Ann Onym"]
    axe(viewer)
    (view,) = site.store.saved_views.of(site.keys["app"])
    refused = viewer.request.post(
        f"{site.app}/customer-list/views/{view.id}/delete",
        form={"csrf": viewer.evaluate("JSON.parse(document.body.getAttribute('hx-headers'))['X-CSRF-Token']")},
        headers={"Origin": site.server.url},
    )
    assert refused.status == 403
    viewer.context.close()
    admin.get_by_role("button", name="Delete views").click()
    admin.get_by_role("button", name="Delete “Large <b>accounts</b>”").click()
    expect(admin.get_by_role("link", name="Large")).to_have_count(0)
    log = [entry for entry in site.store.audit.entries(site.keys["app"]).items if entry.action.startswith("view.")]
    assert [(entry.action, entry.actor) for entry in log] == [
        ("view.delete", "admin@example.com"), ("view.save", "admin@example.com"),
    ]  # fmt: skip


def test_the_whole_list_is_a_csv_file(viewer: Page, site: Site) -> None:
    """Everybody whom the filters keep, with the columns that were chosen, and no formula in it."""
    viewer.goto(f"{site.app}/customers?column=seats")
    with viewer.expect_download() as download:
        viewer.get_by_role("link", name="Download as CSV").click()
    assert re.fullmatch(r"customers-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert len(rows) == 63
    ann = next(row for row in rows if row["id"] == "uid:ann")
    assert (ann["name"], ann["plans"], ann["mrr"], ann["seats"]) == ("Ann Onym", "pro", "49.00", "12")
    assert ann["health_band"] == "good"
    eve = next(row for row in rows if row["id"] == f"uid:{EVIL}")
    assert (eve["name"], eve["seats"], eve["last_event"]) == (f"'{EVIL}",) * 3


def test_what_cannot_be_asked_is_told(admin: Page, site: Site) -> None:
    """A wrong value, an unknown field and a view that has become wrong are a page that says so, not an error."""
    for query in ("mrr_below=a", "health_below=200", "colour=red", "sort=nothing", "attribute=x", "did_at_least=2",
                  "last_seen_after=soon", "column=" + "&column=".join("abcdefghijkl")):  # fmt: skip
        answer = admin.goto(f"{site.app}/customers?{query}")
        assert answer is not None
        assert answer.status == 400, query
        expect(admin.get_by_role("alert")).to_be_visible()
        expect(admin.get_by_role("link", name="Show everybody")).to_be_visible()
    axe(admin)


def test_nobody_sees_it_without_signing_in(site: Site) -> None:
    """Nor any of its parts."""
    for path in ("customers", "customer-list/rows?cursor=x", "customer-list/names", "customer-list/export.csv"):
        answer = httpx.get(f"{site.app}/{path}")
        assert answer.headers["location"].startswith("/sign-in?"), path
