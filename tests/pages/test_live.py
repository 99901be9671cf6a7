"""The live page: what comes, what is turned away, and where an event went."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.site import Site, axe, calm, fits, signed_in

BULK = "/v1/api/events/bulk"


@pytest.fixture
def live(admin: Page, site: Site) -> Page:
    """The page, connected."""
    admin.goto(f"{site.app}/live")
    expect(admin.locator("#live-state")).to_have_text(re.compile("^Live"))
    return admin


def item(page: Page, text: str) -> Any:
    """The requests in the list that have a text."""
    return page.locator("#live > li").filter(has_text=text)


def send(site: Site, path: str, body: Any, **headers: str) -> httpx.Response:
    return site.server.http.post(path, json=body, headers=headers)


def test_an_event_is_seen_as_it_comes_and_again_as_a_duplicate(live: Page, site: Site) -> None:
    """Name, customer, key and outcome, without a reload; opened, the request tells all; axe finds nothing."""
    said = {"event": "report_opened", "customer_id": "acme <b>&", "message_id": "m-1", "properties": {"a": "<i>"}}
    site.ingest(said, wait=False)
    first = item(live, "report_opened").first
    expect(first).to_contain_text("accepted")
    expect(first).to_contain_text("acme <b>&")
    expect(first).to_contain_text(f"{site.keys['secret_key'][:12]}… · verified")
    site.ingest(said, wait=False)
    expect(item(live, "report_opened").filter(has_text="duplicate")).to_have_count(1)
    first.locator("summary").click()
    site.server.wait_loaded()
    item(live, "report_opened").last.locator("summary").click()
    expect(item(live, "report_opened").last.locator("pre")).to_contain_text('"a": "<i>"')
    axe(live)
    fits(live)


def test_what_is_turned_away_is_seen_with_the_reason(live: Page, site: Site) -> None:
    """A key that is cut off, one of somebody else, and one that was revoked are told apart; no key is shown whole."""
    old = site.store.rotate_key(next(row.id for row in site.store.list_keys(site.keys["app"]) if row.kind == "secret"))
    secret = site.keys["secret_key"]
    send(site, "/v1/ingest", {"events": []}, **{"X-API-Key": secret[:-4]})
    cut = item(live, "unknown_key")
    expect(cut).to_contain_text(f"401 unknown_key native · {secret[:12]}…", use_inner_text=False)
    cut.locator("summary").click()
    expect(cut).to_contain_text("is it cut off, or mistyped?")
    send(site, "/v1/ingest", {"events": []}, **{"X-API-Key": "sk_of_somebody_else"})
    expect(item(live, "unknown_key")).to_have_count(2)
    assert "somebody" not in live.content()
    assert old.key[:20] not in live.content()
    calm(live)


def test_filters_are_in_the_address_and_hold_for_what_comes(admin: Page, site: Site) -> None:
    """Only what is asked for is shown, at first and from then on."""
    site.ingest({"event": "kept", "uid": "f1"}, {"event": "other", "uid": "f2"})
    site.ingest({"event": "other", "uid": "f2"})
    admin.goto(f"{site.app}/live")
    admin.get_by_label("Event", exact=True).fill("kept")
    admin.get_by_role("button", name="Filter").click()
    expect(admin).to_have_url(re.compile("name=kept"))
    expect(item(admin, "kept")).to_have_count(1)
    expect(admin.locator("#live-state")).to_have_text(re.compile("^Live"))
    site.ingest({"event": "other", "uid": "f3"}, wait=False)
    site.ingest({"event": "kept", "uid": "f4"}, wait=False)
    expect(item(admin, "f4")).to_have_count(1)
    expect(admin.locator("#live > li")).to_have_count(2)


def test_a_paused_page_holds_what_comes(live: Page, site: Site) -> None:
    """Nothing moves while one reads; then all of it is there."""
    live.get_by_role("button", name="Pause").click()
    site.ingest({"event": "held_back", "uid": "p"}, wait=False)
    expect(live.locator("#live-state")).to_have_text("Paused. 1 came meanwhile.")
    expect(item(live, "held_back")).to_have_count(0)
    live.get_by_role("button", name="Go on").click()
    expect(item(live, "held_back")).to_have_count(1)


def test_where_is_my_event(admin: Page, site: Site) -> None:
    """Found by receipt, message id and customer: before it is loaded or after, stored or in quarantine."""
    answer = send(site, BULK, [{"name": "misnamed", "customerId": 4711}, {"event": "fine", "customerId": "s-1"}],
                  **{"x-ck-api-key": site.keys["secret_key"], "x-ck-app": site.keys["app"]})  # fmt: skip
    receipt = answer.headers["Tenure-Receipt"]
    site.ingest({"event": "with_id", "uid": "s-2", "message_id": "order-99"}, wait=False)
    for text, shown in ((receipt, "missing_field"), ("4711", "missing_field"), ("s-1", "fine"), ("order-99", "with_id"),
                        ("uid:s-2", "with_id")):  # fmt: skip
        admin.goto(f"{site.app}/live")
        admin.get_by_label("Where is my event?").fill(text)
        admin.get_by_role("button", name="Search").click()
        expect(admin.locator("ol.seen > li").filter(has_text=shown).first).to_be_visible()
        site.server.wait_loaded()
        admin.reload()
        expect(admin.locator("ol.seen > li").filter(has_text=shown).first).to_be_visible()
    axe(admin)
    admin.goto(f"{site.app}/live?q=nothing-of-the-kind")
    expect(admin.locator(".empty")).to_contain_text("Nothing that was received")
    axe(admin)


def test_the_page_works_without_scripts(site: Site, chromium: Browser) -> None:
    """The last requests are there, each with a page of its own."""
    site.ingest({"event": "plain", "uid": "q"})
    page = signed_in(chromium, site)
    without = chromium.new_context(base_url=site.server.url, java_script_enabled=False)
    without.add_cookies(page.context.cookies())
    plain = without.new_page()
    plain.goto(f"{site.app}/live")
    found = plain.locator("#live > li").filter(has_text="plain").first
    found.locator("summary").click()
    found.get_by_role("link", name="All about this request").click()
    expect(plain.get_by_role("heading", level=1)).to_have_text("Request")
    without.close()
    page.context.close()
