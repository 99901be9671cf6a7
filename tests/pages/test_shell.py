"""What all pages have in common."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tenure.control.incidents import Incident, Kind
from tests.pages.site import PASSWORD, Site, axe, fits, signed_in, watch

EVIL = "https://evil.example"


def cookies_of(page: Page) -> dict[str, str]:
    """The cookies that this visitor's browser has."""
    return {one["name"]: one["value"] for one in page.context.cookies()}


def test_a_page_asks_to_sign_in_first_and_then_shows_itself(site: Site, chromium: Browser) -> None:
    """Who opens a page without a session signs in, and is on that page then."""
    context = chromium.new_context(base_url=site.server.url)
    page = context.new_page()
    watch(context)
    page.goto(f"{site.app}?saved=1")
    expect(page).to_have_url(re.compile(rf"/sign-in\?next=%2Fapps%2F{site.keys['app']}%3Fsaved%3D1"))
    axe(page)
    fits(page)
    page.get_by_label("E-mail").fill("admin@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("nobody with this e-mail")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(f"{site.app}/"))
    context.close()


def test_the_zone_is_the_viewers(admin: Page) -> None:
    """After the first page the server knows the time zone of the browser."""
    admin.goto("/")
    admin.reload()
    assert cookies_of(admin)["tenure_zone"] == "Europe/Berlin"
    expect(admin.locator("html")).to_have_attribute("data-zone", "Europe/Berlin")


def test_colours_can_be_chosen_and_stay(admin: Page) -> None:
    """Light, dark or as the system has it, on the next page too."""
    admin.goto("/settings/nothing")
    admin.locator("details.menu summary").click()
    admin.get_by_role("button", name="Dark").click()
    expect(admin.locator("html")).to_have_attribute("data-theme", "dark")
    admin.reload()
    expect(admin.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_page_that_is_not_there_says_so(admin: Page) -> None:
    """An unknown app and an unknown address are pages too, with what to do."""
    for path in ("/apps/app_0", "/apps/app_0/customers", "/settings/nothing"):
        answer = admin.goto(path)
        assert answer is not None
        assert answer.status == 404
        expect(admin.get_by_role("heading", level=1)).to_have_text("Not found")
        axe(admin)
        fits(admin)


def test_signing_out_ends_the_session(site: Site, chromium: Browser) -> None:
    """The cookie that was there opens nothing any more."""
    page = signed_in(chromium, site)
    cookies = cookies_of(page)
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    answer = httpx.get(site.app, cookies=cookies)
    assert answer.headers["location"].startswith("/sign-in?")
    page.context.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": EVIL},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": EVIL},
        {"Origin": "null"},
        {},
    ],
)
def test_a_form_of_another_site_changes_nothing(site: Site, headers: dict[str, str]) -> None:
    """Signing in is refused too, so that nobody is signed in to somebody else's account."""
    sent = {"email": "admin@example.com", "password": PASSWORD}
    answer = httpx.post(f"{site.server.url}/sign-in", data=sent, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_change_needs_the_token_of_the_session(site: Site, admin: Page) -> None:
    """The cookie alone, even from our own origin, does not end the session."""
    ours = {"Origin": site.server.url}
    jar = cookies_of(admin)
    for data in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
        assert httpx.post(f"{site.server.url}/sign-out", data=data, headers=ours, cookies=jar).status_code == 403
    assert httpx.get(site.app, cookies=jar).status_code == 303  # to the app's first page


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil.example", "x:y", "/\tx"])
def test_signing_in_leads_nowhere_else(site: Site, next_: str) -> None:
    """`next` is a path of this site, or none."""
    sent = {"email": "admin@example.com", "password": PASSWORD, "next": next_}
    answer = httpx.post(f"{site.server.url}/sign-in", data=sent, headers={"Origin": site.server.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_headers_keep_the_pages_safe(site: Site) -> None:
    """Every response of the site has the policy that allows our own files alone; pages are kept by no cache."""
    for path in ("/sign-in", "/nothing-here", "/settings/apps", "/assets/app.css", "/apps/x"):
        answer = httpx.get(f"{site.server.url}{path}")
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy or path == "/nothing-here"
        assert answer.headers["x-frame-options"] == "DENY"
    assert httpx.get(f"{site.server.url}/sign-in").headers["cache-control"] == "no-store"
    assert "immutable" in httpx.get(f"{site.server.url}/assets/app.css").headers["cache-control"]


def test_every_page_shows_what_is_wrong_with_the_installation(site: Site, admin: Page) -> None:
    """An open incident is on the page, in `/readyz` and in the metrics, with what to do, until it is resolved."""
    wrong = Incident(
        kind=Kind.MISSING_ELEMENTS, place="event", app=site.keys["app"], text="Run <tenure restore-parts>.", count=7,
        incomplete=True,
    )  # fmt: skip
    http = site.server.http
    try:
        site.store.incidents.report(wrong)
        expect_soon(lambda: wrong.id in incidents(http))
        assert 'tenure_incidents{kind="missing_elements"} 1.0' in http.get("/metrics").text
        admin.goto(f"{site.app}/customers")
        shown = admin.locator("#incidents")
        expect(shown).to_contain_text("Answers may be incomplete")
        shown.locator("summary").click()
        expect(shown).to_contain_text("Run <tenure restore-parts>. Affected: 7 elements")
        axe(admin)
        fits(admin)
    finally:
        site.store.incidents.resolve(wrong.kind, wrong.place, wrong.app)
    expect_soon(lambda: wrong.id not in incidents(http))
    assert 'tenure_incidents{kind="missing_elements"} 0.0' in http.get("/metrics").text
    admin.goto(f"{site.app}/customers")
    expect(admin.get_by_text("Run <tenure restore-parts>")).to_have_count(0)


def incidents(http: httpx.Client) -> list[str]:
    """What the server says is wrong. Other tests may have made something wrong, too."""
    return [one["id"] for one in http.get("/readyz").json()["incidents"]]


def expect_soon(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
