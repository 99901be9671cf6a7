"""The page of a customer, from a browser's clicks to the database and back."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tenure.customers.customer import find_customer
from tenure.customers.ledger import Change
from tenure.pages.customer.activity import calendar, levels, year
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.pages.site import VIEWER, Site, axe, calm, fits, signed_in

WHO = "acme/1 & <b>co</b>?#"
HOSTILE = '<img src=x onerror="alert(1)">'
TODAY = datetime.now(UTC)
VIEWERS_ZONE = ZoneInfo("Europe/Berlin")


def ago(days: float) -> str:
    """The time so many days ago."""
    return (TODAY - timedelta(days=days)).isoformat()


def events(who: str) -> list[dict[str, Any]]:
    """A customer who has used the product for months, with a user, a plan that changed and two identifiers."""
    made: list[dict[str, Any]] = [
        {"customer_id": who, "event": "report_opened", "occurred_at": ago(day / 2 + 0.1), "message_id": f"{who}{day}",
         "properties": {"page": day}, "user": {"id": "ann", "traits": {"role": "owner"}}}
        for day in range(130)
    ]  # fmt: skip
    made.append({"customer_id": who, "event": HOSTILE, "occurred_at": ago(3), "properties": {"exact": 1.10}})
    made.append({"customer_id": who, "event": "payment_failed", "occurred_at": ago(2)})
    made.append({"customer_id": who, "traits": {"plan": "free", "name": f"Acme {HOSTILE}"}, "occurred_at": ago(50)})
    made.append({"customer_id": who, "email": "jane@acme.example", "traits": {"plan": "pro"}, "occurred_at": ago(9)})
    return made


@pytest.fixture(scope="module")
def acme(site: Site) -> str:
    """A customer with a history, and a subscription; the address of their page."""
    site.ingest(*events(WHO))
    states = [
        {"customer_id": WHO, "subscription": "s1", "status": "active", "currency": "USD", "effective_at": ago(days),
         "items": [{"amount": amount, "interval": "month", "plan": plan}], "started_at": ago(60)}
        for days, amount, plan in ((60, 2900, "small"), (20, 4900, "large"))
    ]  # fmt: skip
    answer = site.server.http.post("/v1/subscriptions", json={"subscriptions": states},
                                   headers={"X-API-Key": site.keys["secret_key"]})  # fmt: skip
    assert answer.status_code == 202, answer.text
    site.server.wait_loaded()
    return page_of(site, f"customer_id:{WHO}")


@pytest.fixture
def phone(chromium: Browser, site: Site) -> Iterator[Page]:
    """An admin's phone."""
    page = signed_in(chromium, site, viewport={"width": 390, "height": 800})
    yield page
    page.context.close()


def page_of(site: Site, who: str) -> str:
    """The address of a customer's page."""
    return f"{site.app}/customers/{quote(who, safe='')}"


def whole(page: Page) -> None:
    """Every part of the page has been loaded."""
    expect(page.locator(".later")).to_have_count(0)


def test_a_customer_as_a_whole(admin: Page, acme: str) -> None:
    """Who it is, what they pay, how they are doing and what they did are on one page; a name that looks like a tag is
    only text."""
    admin.goto(acme)
    whole(admin)
    expect(admin.get_by_role("heading", level=1)).to_have_text(f"Acme {HOSTILE}")
    numbers = admin.locator("dl.numbers")
    for text in ("active", "large", "49.00 USD", "of 100", "ago"):
        expect(numbers).to_contain_text(text)
    expect(admin.get_by_role("img", name=re.compile("Monthly recurring revenue"))).to_be_visible()
    expect(admin.get_by_role("img", name=re.compile("Events by day"))).to_be_visible()
    drawn = admin.locator("figure[data-group=customer] tbody")
    rows = [drawn.nth(at).locator("tr").count() for at in (0, 1)]
    assert rows[0] == rows[1] > 360
    expect(drawn.nth(0).locator("tr").last).to_contain_text("49.00 USD")
    expect(admin.get_by_role("region", name="Table of users")).to_contain_text("role: owner")
    expect(admin.get_by_role("region", name="States of s1")).to_contain_text("29.00 USD")
    axe(admin)


def test_a_customer_on_a_phone(phone: Page, acme: str) -> None:
    """Nothing is wider than the screen, and nothing is wrong with it."""
    phone.goto(acme)
    whole(phone)
    fits(phone)
    axe(phone)


def test_the_timeline_goes_on_and_is_filtered(admin: Page, acme: str) -> None:
    """Scrolling brings the older events and doubles no day; a filter is in the address."""
    admin.goto(f"{acme}/timeline")
    found = admin.locator("tr.event")
    expect(found).to_have_count(50)
    for count in (100, 134):
        admin.mouse.wheel(0, 100_000)
        expect(found).to_have_count(count)
    days = admin.locator("tr.day").all_inner_texts()
    assert len(days) == len(set(days)) >= 60
    oldest = found.last
    oldest.locator("summary").click()
    expect(oldest.locator("pre")).to_contain_text('"page": 129')

    admin.goto(acme)
    admin.get_by_role("search").get_by_role("combobox").select_option(HOSTILE)
    admin.get_by_role("button", name="Filter").click()
    expect(found).to_have_count(1)
    expect(admin).to_have_url(re.compile(r"name=%3Cimg"))
    found.locator("summary").click()
    expect(found.locator("pre")).to_contain_text('"exact": 1.1')
    admin.reload()
    expect(found).to_have_count(1)

    day = (TODAY - timedelta(days=30)).date()
    admin.goto(f"{acme}/timeline?since={day}&until={day}")
    expect(admin.locator("tr.day")).to_have_count(1)
    admin.goto(f"{acme}/timeline?since=2001-01-01&until=2001-01-01")
    expect(admin.locator("main")).to_contain_text("No events")
    calm(admin)


def test_a_reason_of_the_score_leads_to_its_events(admin: Page, acme: str) -> None:
    """Every name in the evidence opens the timeline of that name, within the days that the reason is about."""
    admin.goto(acme)
    health = admin.get_by_role("region", name="Health")
    health.locator("details").filter(has_text="Bad sign").get_by_role("link", name="payment_failed").click()
    expect(admin).to_have_url(re.compile(r"/timeline\?name=payment_failed&since="))
    expect(admin.locator("tr.event")).to_have_count(1)
    axe(admin)


def test_an_attribute_has_its_history(admin: Page, acme: str) -> None:
    """What an attribute was before, when and by whom it was said; on a day before anything was received
    there was no such customer."""
    admin.goto(acme)
    plan = admin.get_by_role("region", name="Table of attributes").locator("tr").filter(has_text="plan")
    expect(plan.locator("summary")).to_have_text("pro")
    plan.locator("summary").click()
    expect(plan.locator("li")).to_have_text([re.compile("set pro; by native"), re.compile("set free; by native")])
    admin.get_by_label("As of").fill(str(datetime.now(VIEWERS_ZONE).date()))
    admin.get_by_role("button", name="Show").click()
    expect(admin.get_by_role("status").first).to_contain_text("As Tenure would have answered")
    expect(plan.locator("summary")).to_have_text("pro")
    admin.get_by_label("As of").fill(str((TODAY - timedelta(days=2)).date()))
    admin.get_by_role("button", name="Show").click()
    expect(admin.get_by_role("heading", level=1)).to_have_text("Not found")


def test_merging_and_splitting_by_hand(site: Site, admin: Page) -> None:
    """Two customers become one, which says why; undone they are two again; identifiers are split off; a problem is told
    where it happened."""
    site.ingest({"customer_id": "left", "event": "login"}, {"customer_id": "right", "event": "logout"},
                {"customer_id": "left", "email": "l@left.example"})  # fmt: skip
    admin.goto(f"{page_of(site, 'left')}/identity")
    merge(admin, "nobody-has-this")
    expect(admin.get_by_role("alert")).to_contain_text("No customer of this app has that identifier")
    merge(admin, "right")
    expect(admin.get_by_role("status").first).to_contain_text("They are one customer now")
    assert identifiers(site, "right") == {"left", "right", "l@left.example"}
    axe(admin)
    admin.get_by_role("button", name=re.compile("Undo")).click()
    admin.get_by_role("dialog").get_by_role("button", name="Undo", exact=True).click()
    expect(admin.locator(".done")).to_contain_text("customers of their own")
    admin.locator(".done").get_by_role("link").click()
    assert identifiers(site, "right") == {"right"}

    admin.goto(f"{page_of(site, 'left')}/identity")
    admin.get_by_role("checkbox", name="email: l@left.example").check()
    admin.get_by_role("button", name="Split off what is chosen").click()
    axe(admin)
    admin.get_by_role("dialog").get_by_role("button", name="Split", exact=True).click()
    expect(admin.locator(".done")).to_contain_text("email:l@left.example")
    assert identifiers(site, "left") == {"left"}
    calm(admin)


def merge(page: Page, other: str) -> None:
    """Merge the customer whose identity is open with another."""
    page.get_by_role("button", name="Merge with another customer").click()
    page.get_by_label("Any identifier of the other customer").fill(other)
    page.get_by_role("dialog").get_by_role("button", name="Merge", exact=True).click()


def identifiers(site: Site, who: str) -> set[str]:
    """The values of a customer's identifiers, in the database."""
    tenant = Warehouse(Settings.load({"data": site.server.data}, {})).tenant(site.keys["app"])
    return {one.value for one in find_customer(tenant, site.store, who).identifiers}


def test_a_customer_is_exported_and_erased(site: Site, admin: Page, tmp_path: Path) -> None:
    """The zip has their events; erasing needs their identifier typed, goes to its end while one looks, and leaves
    nobody."""
    site.ingest({"customer_id": "gone", "event": "login"}, {"customer_id": "gone", "traits": {"plan": "pro"}})
    admin.goto(page_of(site, "gone"))
    whole(admin)
    with admin.expect_download() as download:
        admin.get_by_role("link", name="Export all that is kept").click()
    download.value.save_as(tmp_path / "customer.zip")
    with zipfile.ZipFile(tmp_path / "customer.zip") as archive:
        assert b'"login"' in archive.read("event.jsonl")

    erase(admin, "cus_somebody_else")
    expect(admin.get_by_role("alert")).to_contain_text("Nothing was erased")
    assert identifiers(site, "gone") == {"gone"}
    erase(admin, "gone")
    expect(admin.get_by_role("heading", level=1)).to_have_text("Certificate of an erasure")
    expect(admin.locator("#certificate")).to_contain_text("Erased.", timeout=60_000)
    expect(admin.get_by_role("region", name="What was removed")).to_contain_text("event")
    axe(admin)
    admin.goto(page_of(site, "gone"))
    expect(admin.get_by_role("heading", level=1)).to_have_text("Not found")


def test_an_erasure_of_several_ids_shows_what_goes(site: Site, admin: Page) -> None:
    """The list stands beside the question; what came since it was shown is shown before anything is erased."""
    site.ingest({"customer_id": "two", "uid": "u-one", "event": "login"}, {"customer_id": "two", "uid": "u-two"})
    admin.goto(f"{page_of(site, 'two')}/erase")
    site.ingest({"customer_id": "two", "uid": "u-three"})
    erase(admin, "two")
    expect(admin.get_by_role("alert").first).to_contain_text("Nothing was erased")
    expect(admin.get_by_role("alert").first).to_contain_text("u-three")
    assert identifiers(site, "two") == {"two", "u-one", "u-two", "u-three"}
    admin.get_by_role("button", name="Erase this customer").click()
    expect(admin.get_by_role("dialog")).to_contain_text("several uids")
    expect(admin.get_by_role("dialog")).to_contain_text("u-three")
    axe(admin)
    admin.get_by_label(re.compile("to confirm")).fill("two")
    admin.get_by_role("button", name="Erase for good").click()
    expect(admin.get_by_role("heading", level=1)).to_have_text("Certificate of an erasure")
    calm(admin)


def test_an_account_that_really_is_so_large_is_said_to_be(site: Site, admin: Page) -> None:
    """What joins more than ten is told on its page and under the events, and a button makes it one account."""
    site.ingest(*[{"customer_id": "campus", "uid": f"student{n}", "event": "login"} for n in range(11)])
    assert identifiers(site, "student3") == {"student3"}
    admin.goto(f"{site.app}/events")
    expect(admin.get_by_role("main")).to_contain_text("The customer_id 'campus' came with 11")
    admin.goto(f"{page_of(site, 'uid:student3')}/identity")
    axe(admin)
    admin.get_by_role("button", name="It really is so large an account").click()
    expect(admin.get_by_role("status").first).to_contain_text("really is so large")
    assert len(identifiers(site, "student3")) == 12
    calm(admin)


def erase(page: Page, typed: str) -> None:
    """Ask for the erasure of the customer whose page is open."""
    page.get_by_role("button", name="Erase this customer").click()
    page.get_by_label(re.compile("to confirm")).fill(typed)
    page.get_by_role("button", name="Erase for good").click()


def test_a_viewer_sees_and_changes_nothing(site: Site, acme: str, viewer: Page) -> None:
    """There is no form to change a customer, and the address of one refuses them."""
    viewer.goto(acme)
    whole(viewer)
    for name in ("Merge with another customer", "Split off what is chosen", "Erase this customer"):
        expect(viewer.get_by_role("button", name=name)).to_have_count(0)
    token = viewer.evaluate("JSON.parse(document.body.getAttribute('hx-headers'))['X-CSRF-Token']")
    sent = {"X-CSRF-Token": token, "Origin": site.server.url}
    jar = {one["name"]: one["value"] for one in viewer.context.cookies()}
    for part in ("merge", "split", "erase"):
        answer = httpx.post(f"{acme}/{part}", data={"with": "x", "confirmed": "x"}, headers=sent, cookies=jar)
        assert answer.status_code == 403, VIEWER
    axe(viewer)


def test_the_calendar_is_of_whole_weeks() -> None:
    """53 weeks that begin on a Monday and end on the day; months add up to the whole."""
    days = year(date(2026, 11, 21))
    assert (days[0].weekday(), days[-1]) == (0, date(2026, 11, 21))
    made = calendar(days, {date(2026, 11, 21): 8, date(2026, 11, 20): 1})
    assert (made.events, made.days, made.squares[-1].level, made.squares[-2].level) == (9, 2, 4, 1)
    assert (made.squares[-1].week, made.squares[-1].weekday) == (52, 5)


def test_mrr_by_day_begins_with_what_was_before() -> None:
    """A change before the first day counts on it, one after the last day nowhere, and days to come have none."""
    days = [date(2026, 1, day) for day in range(1, 6)]
    moved = [(date(2025, 1, 1), 0, 500), (date(2026, 1, 3), 500, 750), (date(2026, 1, 9), 750, 0)]
    changes = [
        Change(day, "new", "USD", "s", "1", "p", Fraction(before), Fraction(after)) for day, before, after in moved
    ]
    found = levels(days, changes, date(2026, 1, 4))
    assert found == {"USD": dict(zip(days, map(Decimal, ("5.00", "5.00", "7.50", "7.50")), strict=False))}
