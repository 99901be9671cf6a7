"""Revenue and retention in a browser: from a number to the subscriptions that it is made of."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.pages.site import Site, axe, calm, fits, signed_in
from tests.subscriptions.histories import active
from tests.test_metrics_api import HISTORIES, put

PERIOD = "period=month&from=2025-01-01&to=2025-06-30"
FIRST_LOOK_MS = 60_000
"""How long the estimator may take to start."""
EVIL = '"><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def book(site: Site) -> Site:
    """The book of the API's tests, and a customer whose every name is hostile."""
    plan = [{"amount": 700, "plan": EVIL}]
    hostile = {f"{EVIL}/{number}": [active("2025-03-05", 700, items=plan, subscription=EVIL)] for number in range(2)}
    put(site.server, site.keys, HISTORIES | hostile)
    return site


def cells(table: Locator) -> list[list[str]]:
    """What a table says to machines: the values of its body."""
    found: list[list[str]] = table.evaluate(
        "t => [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.dataset.v ?? c.textContent.trim()))"
    )
    return found


def chart(page: Page, title: str) -> Locator:
    return page.locator("figure", has=page.locator("figcaption", has_text=title)).first


def opened(page: Page, title: str) -> Locator:
    """The table of a chart, opened."""
    figure = chart(page, title)
    expect(figure.locator("canvas")).to_be_visible()
    figure.get_by_text("Table", exact=True).click()
    return figure.locator("table")


def test_a_number_leads_to_its_subscriptions(book: Site, admin: Page) -> None:
    """Choose a period, see what moved MRR, click a movement, and its subscriptions add up to it; each leads to its
    customer."""
    admin.goto(f"{book.app}/revenue")
    admin.get_by_label("From", exact=True).fill("2025-01-01")
    admin.get_by_label("To", exact=True).fill("2025-06-30")
    admin.get_by_role("button", name="Show").first.click()
    admin.get_by_label("What moved MRR").select_option("2025-03-31")
    admin.get_by_role("button", name="Show").nth(1).click()
    table = opened(admin, "From opening to closing MRR")
    waterfall = {row[0]: row[1] for row in cells(table)}
    assert waterfall == {
        "Opening": "115.00", "New": "17.33", "Expansion": "20.00", "Contraction": "-10.00", "Churned": "-35.00",
        "Closing": "107.33",
    }  # fmt: skip
    table.get_by_role("link", name="-35.00").click()
    expect(admin.get_by_role("heading", level=1)).to_contain_text("Churned MRR")
    rows = cells(admin.locator("main table"))
    assert sum(Decimal(row[-1]) for row in rows) == Decimal("-35")
    assert admin.locator("#number").get_attribute("data-v") == "-35.00"
    axe(admin)
    link = admin.get_by_role("link", name="customer_id:leaves")
    assert link.get_attribute("href") == f"/apps/{book.keys['app']}/customers/customer_id%3Aleaves"


def test_tables_are_what_the_api_answers(book: Site, admin: Page) -> None:
    """MRR, churn, plans, cohorts: each table has the API's numbers; the page's link to exactly this has them again."""
    question: dict[str, Any] = {"period": "month", "from": "2025-01-01", "to": "2025-06-30", "currency": "USD"}
    told = book.server.read("/v1/metrics/mrr", book.keys, **question)["rows"]
    admin.goto(f"{book.app}/revenue?{PERIOD}&currency=USD&at=2025-03-31")
    names = ("closing", "opening", "new", "expansion", "reactivated", "transfer", "resumed", "paused", "contraction",
             "churned")  # fmt: skip
    assert [row[1:] for row in cells(opened(admin, "MRR"))] == [[row[name] for name in names] for row in told]
    churn = book.server.read("/v1/metrics/churn", book.keys, **question)["rows"]
    shown = cells(opened(admin, "Churn"))
    rates = [[row[name] for name in ("customer_churn", "gross_revenue_churn", "net_revenue_churn")] for row in churn]
    assert [row[1:4] for row in shown] == [[rate["rate"] if rate else "" for rate in row] for row in rates]
    assert [row[4:8] for row in shown] == [
        [str(row[name]) for name in ("customers", "lost", "voluntary", "involuntary")] for row in churn
    ]
    march = question | {"from": "2025-03-01", "to": "2025-03-31", "by": "plan"}
    plans = book.server.read("/v1/metrics/mrr", book.keys, **march)["rows"]
    by_plan = {row[0]: row[-1] for row in cells(opened(admin, "MRR by plan"))}
    assert by_plan == {row["plan"] or "(no plan)": row["closing"] for row in plans}
    opened(admin, "Churn by plan")
    axe(admin)
    expect(admin.get_by_role("navigation", name="Currency").get_by_role("link")).to_have_text(["EUR", "USD"])
    exact = admin.get_by_role("link", name="A link to exactly this").get_attribute("href") or ""
    assert parse_qs(urlsplit(exact).query) == {
        "period": ["month"], "from": ["2025-01-01"], "to": ["2025-06-30"], "currency": ["USD"], "at": ["2025-03-31"],
    }  # fmt: skip


def test_the_cohorts_and_what_is_left_of_them(book: Site, admin: Page) -> None:
    """A cell of the heat map is a share of its cohort, and leads to who is left; the file has what the API answers."""
    admin.goto(f"{book.app}/retention?from=2025-01-01&to=2025-06-30&currency=USD")
    table = admin.locator("#cohorts")
    expect(table.locator("tbody tr")).to_have_count(3)
    told = book.server.read("/v1/metrics/churn", book.keys, by="cohort", currency="USD",
                            **{"from": "2025-01-01", "to": "2025-06-30"})["cohorts"]  # fmt: skip
    assert [[int(value) for value in row[2:]] for row in cells(table)] == [each["customers"] for each in told]
    january = table.locator("tbody tr").first.locator("td")
    expect(january.nth(3)).to_have_text("67 %")
    expect(january.nth(1)).to_have_class("number heat-9")
    with admin.expect_download() as download:
        admin.get_by_role("link", name="Download CSV").click()
    with Path(download.value.path()).open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["mrr"] for line in lines] == [mrr for each in told for mrr in each["mrr"]]
    with admin.expect_download() as download:
        admin.get_by_role("button", name="Download PNG: Cohorts, by month").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    size, kept = (january.nth(place).get_by_role("link").get_attribute("href") for place in (0, 1))
    assert size == kept
    january.nth(3).get_by_role("link").click()
    expect(admin.get_by_text("first MRR came in January 2025")).to_be_visible()
    rows = cells(admin.locator("main table"))
    assert {row[0] for row in rows} == {"customer_id:grows", "customer_id:shrinks"}
    assert sum(Decimal(row[-1]) for row in rows) == Decimal(told[0]["mrr"][2])


def test_survival_by_plan(book: Site, admin: Page) -> None:
    """Choose by what, see curves with bands, and who left in an interval."""
    admin.goto(f"{book.app}/retention?from=2025-01-01&to=2025-06-30&interval=7")
    expect(admin.get_by_role("heading", name="How long customers go on paying")).to_be_visible(timeout=FIRST_LOOK_MS)
    admin.locator("select[name=by]").select_option("plan")
    admin.get_by_role("button", name="Show").nth(1).click()
    table = opened(admin, "Share of customers who go on paying")
    told = book.server.read("/v1/metrics/survival", book.keys, by="plan", interval=7,
                            **{"from": "2025-01-01", "to": "2025-06-30"})["curves"]  # fmt: skip
    none = next(each for each in told if not each["group"])
    assert [float(row[1]) for row in cells(table)][1:] == [row["survival"] for row in none["rows"]]
    admin.get_by_text("(no plan): ").click()
    region = admin.get_by_role("region", name="Survival of (no plan)")
    row = region.locator("tr", has=admin.get_by_role("rowheader", name="28 to 34"))
    expect(row.locator("td").nth(1)).to_have_text("2")
    axe(admin)
    row.locator("td").nth(1).get_by_role("link").click()
    assert {row[0] for row in cells(admin.locator("main table"))} == {"customer_id:leaves", "customer_id:unpaid"}
    axe(admin)


def test_a_chart_is_downloaded(book: Site, admin: Page) -> None:
    """As CSV with the table's numbers, and as a PNG."""
    admin.goto(f"{book.app}/revenue?{PERIOD}&currency=USD")
    table = opened(admin, "MRR")
    with admin.expect_download() as download:
        admin.get_by_role("button", name="Download CSV: MRR").first.click()
    with Path(download.value.path()).open(newline="") as file:
        assert list(csv.reader(file))[1:] == cells(table)
    with admin.expect_download() as download:
        admin.get_by_role("button", name="Download PNG: MRR").first.click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_pages_fit_a_phone_and_hostile_names_are_text(book: Site, chromium: Browser) -> None:
    """On a narrow screen nothing is cut off; a plan, a subscription and a customer that look like HTML are shown."""
    page = signed_in(chromium, book, viewport={"width": 360, "height": 700})
    for path in (f"revenue?{PERIOD}&currency=USD&at=2025-03-31", "retention?from=2025-01-01&to=2025-06-30&by=plan"):
        page.goto(f"{book.app}/{path}")
        expect(page.locator(".later")).to_have_count(0, timeout=FIRST_LOOK_MS)
        expect(page.locator("canvas").first).to_be_visible()
        fits(page)
    page.goto(f"{book.app}/revenue/behind?{PERIOD.replace('01-01', '03-01').replace('06-30', '03-31')}"
              "&currency=USD&question=mrr&explain=new")  # fmt: skip
    expect(page.get_by_text(EVIL).first).to_be_visible()
    fits(page)
    calm(page)
    page.context.close()


def test_an_app_without_billing_says_what_to_do(site: Site, admin: Page) -> None:
    """Where there is nothing, pages say where MRR comes from; a question that cannot be is told so."""
    admin.goto(f"{site.app}/revenue?from=2020-01-01&to=2019-01-01")
    expect(admin.get_by_text("from must not be after the last day")).to_be_visible()
    axe(admin)
