"""The pages of events: finding a name, seeing what is odd about it, and what is behind it."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tenure.wire.times import DAY_MS
from tests.harness import Server
from tests.pages.site import VIEWER, Site, axe, calm, fits, make_site, signed_in

NOON = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS + DAY_MS // 2
HOSTILE = """<img src=x onerror=alert(1)>'"/{{7*7}}?a=b#c%2F\u202e"""


def event(name: str, ago: int, number: int, **properties: Any) -> dict[str, Any]:
    return {"event": name, "customer_id": f"cus {number % 5}/<b>", "occurred_at": NOON - ago * DAY_MS + number,
            "message_id": f"{name}-{ago}-{number}", "properties": properties}  # fmt: skip


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    """An app whose `login` is steady, `export_made` spiked two days ago, and `report_sent` broke ten days ago."""
    made = make_site(server)
    login = [event("login", ago, n, plan=("pro", "free")[n % 2], seats=n, id=f"{ago}-{n}", note="x" * 300)
             for ago in range(1, 41) for n in range(6)]  # fmt: skip
    made.ingest(
        *login,
        *[event("export_made", ago, n, size=ago) for ago in range(1, 41) for n in range(100 if ago == 2 else 2)],
        *[event("report_sent", 10, n) for n in range(30)],
        *[event("Export Made", 3, n) for n in range(3)],
        *[event(HOSTILE, 1, n, **{HOSTILE: HOSTILE}) for n in range(3)],
    )
    return made


def row(page: Page, name: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True)).first


def loaded(page: Page) -> None:
    """Until all parts of the page are there."""
    expect(page.locator(".later")).to_have_count(0)


def test_a_name_is_found_with_what_is_odd_about_it(site: Site, admin: Page) -> None:
    """The catalogue shows counts, marks and advice; search, marks and order are in the address."""
    admin.goto(f"{site.app}/events")
    expect(row(admin, "login")).to_contain_text("240")
    label = re.compile("1[67][048] in 30 days, 0 of them today")  # today may be another day by now
    expect(row(admin, "login").get_by_role("img")).to_have_attribute("aria-label", label)
    expect(row(admin, "export_made").locator(".badge")).to_have_text("spike")
    expect(row(admin, "report_sent").locator(".badge")).to_have_text("silent")
    expect(row(admin, "login").locator(".badge")).to_have_count(0)
    expect(admin.get_by_role("region", name="Names that may be one")).to_contain_text("Export Made (3)")
    axe(admin)
    admin.get_by_label("Show").select_option("silent")
    admin.get_by_role("button", name="Show").click()
    expect(admin).to_have_url(re.compile("mark=silent"))
    expect(admin.locator("tbody th")).to_have_count(1)
    admin.goto(f"{site.app}/events?q=EXPORT&sort=name")
    assert admin.locator("tbody th > a").all_inner_texts() == ["Export Made", "export_made"]
    admin.goto(f"{site.app}/events?q=nothing")
    expect(admin.get_by_text("No name fits")).to_be_visible()


def test_one_event_from_its_name_to_its_customers(site: Site, admin: Page) -> None:
    """Volume, properties, a split by one of them, examples, and the customers who did it, each with a link."""
    admin.goto(f"{site.app}/events")
    row(admin, "login").get_by_role("link", name="login").click()
    expect(admin.get_by_role("heading", level=1)).to_have_text("login")
    figure = admin.get_by_role("figure").filter(has_text="Events a day")
    expect(figure.locator("canvas")).to_be_visible()
    counted = figure.locator("tbody td").evaluate_all("cells => cells.map(cell => Number(cell.dataset.v))")
    assert [count for count in counted if count] == [6] * 40
    assert len(counted) == 90
    properties = admin.get_by_role("region", name="Properties")
    expect(properties.get_by_role("row", name="plan")).to_contain_text("free: 50.0 %")
    expect(properties.get_by_role("row", name="id ")).to_contain_text("each another")
    expect(properties.get_by_role("row", name="note")).to_contain_text("longer values: 100.0 %")
    expect(admin.get_by_text("all 5 customers who did it then").first).to_be_visible()
    expect(admin.locator(".example pre").first).to_contain_text('"plan": "free"')
    of_customer = admin.get_by_role("region", name="Customers who did it last").get_by_role("link", name="cus 0/<b>")
    expect(of_customer).to_have_attribute("href", re.compile("customers/customer_id%3Acus%200%2F%3Cb%3E"))
    axe(admin)
    properties.get_by_role("link", name="plan").click()
    expect(admin).to_have_url(re.compile(r"days=90&by=plan"))
    split = admin.get_by_role("figure").filter(has_text="Events by plan")
    split.locator("summary").click()
    assert split.locator("thead th").all_inner_texts() == ["Day", "free", "pro"]
    cells = split.locator("tbody td").evaluate_all("cells => cells.map(cell => Number(cell.dataset.v))")
    assert cells == [3] * 60
    admin.get_by_role("link", name="All 5 customers who did it").click()
    expect(admin).to_have_url(re.compile(r"/customers\?did=login"))


@pytest.mark.soak
def test_marks_are_explained_on_the_page_of_the_event(site: Site, viewer: Page) -> None:
    """A viewer reads since when it is silent, and how large the spike was; a year is shown by weeks."""
    viewer.goto(f"{site.app}/events/report_sent")
    expect(viewer.get_by_text("Nobody has sent it for longer than can be chance")).to_be_visible()
    viewer.goto(f"{site.app}/events/export_made?days=365")
    expect(viewer.get_by_text("100 events, more than twice the 2 of the busiest of the 28 days before")).to_be_visible()
    figure = viewer.get_by_role("figure").filter(has_text="Events a week")
    assert figure.locator("tbody tr").count() == 52
    loaded(viewer)
    axe(viewer)
    missing = viewer.goto(f"{site.app}/events/nothing")
    assert missing is not None
    assert missing.status == 404
    expect(viewer.get_by_text("this app has no event of that name")).to_be_visible()


def test_a_hostile_name_is_text_everywhere_and_fits_on_a_phone(site: Site, chromium: Browser) -> None:
    """Its link leads to its own page, where nothing of it runs."""
    page = signed_in(chromium, site, VIEWER, viewport={"width": 380, "height": 800})
    page.goto(f"{site.app}/events")
    fits(page)
    page.get_by_role("link", name=HOSTILE, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    page.get_by_role("region", name="Properties").get_by_role("link").click()
    expect(page.get_by_role("figure").filter(has_text="Events by").locator("canvas")).to_be_visible()
    assert quote(HOSTILE, safe="") in page.url
    loaded(page)
    fits(page)
    axe(page)
    page.context.close()


def test_an_app_without_events_says_what_to_do(server: Server, chromium: Browser) -> None:
    """The empty catalogue leads to where events can be seen arriving."""
    empty = make_site(server)
    page = signed_in(chromium, empty)
    page.goto(f"{empty.app}/events")
    expect(page.get_by_role("link", name="Watch what arrives")).to_be_visible()
    calm(page)
    page.context.close()
