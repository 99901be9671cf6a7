"""People and the audit log, as an admin and as a viewer see them."""

from __future__ import annotations

import concurrent.futures
import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tenure.control.actor import acting
from tenure.control.audit import record
from tenure.control.database import connect, writing
from tenure.control.people import ADMIN, VIEWER
from tenure.settings import Settings
from tests.pages.site import ADMIN as ADMIN_EMAIL
from tests.pages.site import PASSWORD, Site, axe, fits, watch

PHONE = {"width": 390, "height": 800}


def change(page: Page, email: str, button: str) -> None:
    """Press a button in the dialog of one person."""
    page.get_by_role("row").filter(has_text=email).get_by_role("button", name="Change").click()
    axe(page)
    page.get_by_role("dialog").get_by_role("button", name=button).click()


def test_an_admin_lets_somebody_in_and_out_again(site: Site, admin: Page, chromium: Browser) -> None:
    """Add, hand over the link, change the role, disable and enable: each takes effect at once and is written down."""
    admin.goto("/settings/people")
    axe(admin)
    admin.get_by_label("E-mail").fill("new@example.com")
    admin.get_by_role("radio", name="Viewer").check()
    admin.get_by_role("button", name="Add, and make").click()
    link = admin.locator(".done code").inner_text()
    axe(admin)
    admin.goto("/settings/people")
    expect(admin.locator(".done")).to_have_count(0)

    context = chromium.new_context(base_url=site.server.url)
    watch(context)
    guest = context.new_page()
    guest.goto(link)
    guest.get_by_label("E-mail").fill("new@example.com")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Continue").click()
    guest.wait_for_url(lambda url: "/welcome" not in url)
    guest.goto("/settings/people")
    expect(guest.get_by_role("heading", name="People")).to_be_visible()

    admin.get_by_role("row").filter(has_text="new@example.com").get_by_role("button", name="Change").click()
    admin.get_by_role("dialog").get_by_label("Role").select_option("admin")
    admin.get_by_role("dialog").get_by_role("button", name="Set role").click()
    expect(admin.get_by_role("row").filter(has_text="new@example.com")).to_contain_text("admin")
    guest.reload()
    expect(guest).to_have_url(re.compile("/sign-in"))

    change(admin, "new@example.com", "Disable")
    expect(admin.get_by_role("row").filter(has_text="new@example.com")).to_contain_text("disabled")
    guest.get_by_label("E-mail").fill("new@example.com")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Sign in").click()
    expect(guest.get_by_role("alert")).to_contain_text("nobody with this e-mail")
    change(admin, "new@example.com", "Let them sign in again")
    expect(admin.get_by_role("row").filter(has_text="new@example.com")).not_to_contain_text("disabled")
    context.close()

    made = [entry.action for entry in site.store.audit.entries(actor=ADMIN_EMAIL).items]
    assert [action for action in made if action.startswith("person.")][:5] == [
        "person.enable",
        "person.disable",
        "person.role",
        "person.link",
        "person.create",
    ]


def test_what_cannot_be_is_said(site: Site, admin: Page) -> None:
    """An address that is there already; the last admin."""
    for other in site.store.people.list():
        if other.role == ADMIN and other.email != ADMIN_EMAIL:
            site.store.people.set_role(other.id, VIEWER)
    admin.goto("/settings/people")
    admin.get_by_label("E-mail").fill(ADMIN_EMAIL)
    admin.get_by_role("button", name="Add, and make").click()
    expect(admin.locator(".field.wrong")).to_contain_text("already")
    change(admin, ADMIN_EMAIL, "Disable")
    expect(admin.get_by_role("alert")).to_contain_text("make another one first")
    axe(admin)
    admin.set_viewport_size(PHONE)
    fits(admin)


def test_viewers_look_and_change_nothing(site: Site, viewer: Page) -> None:
    """They see who there is, no form, and no address of the network; what they send all the same is refused."""
    viewer.goto("/settings/people")
    expect(viewer.get_by_role("row").filter(has_text=ADMIN_EMAIL)).to_contain_text("admin")
    expect(viewer.locator("main form, main button")).to_have_count(0)
    axe(viewer)
    viewer.goto("/settings/audit")
    expect(viewer.get_by_role("row").nth(1)).to_be_visible()
    expect(viewer.get_by_text("127.0.0.1")).to_have_count(0)
    person = site.store.people.find(ADMIN_EMAIL).id
    csrf = viewer.evaluate("JSON.parse(document.body.getAttribute('hx-headers'))['X-CSRF-Token']")
    cookies = {one["name"]: one["value"] for one in viewer.context.cookies()}
    before = site.store.audit.entries().items
    for path in ("", f"/{person}/link", f"/{person}/role", f"/{person}/disable", f"/{person}/enable",
                 f"/{person}/end-sessions"):  # fmt: skip
        answer = httpx.post(f"{site.server.url}/settings/people{path}", cookies=cookies,
                            headers={"Origin": site.server.url},
                            data={"csrf": csrf, "email": "x@example.com", "role": "admin"})  # fmt: skip
        assert (answer.status_code, "Only an admin" in answer.text) == (403, True), path
    assert site.store.audit.entries().items == before


def test_changes_need_the_form_of_the_session(site: Site, admin: Page) -> None:
    """The cookie of an admin alone adds nobody."""
    cookies = {one["name"]: one["value"] for one in admin.context.cookies()}
    for csrf in ("", "x" * 32):
        answer = httpx.post(f"{site.server.url}/settings/people", cookies=cookies,
                            headers={"Origin": site.server.url},
                            data={"csrf": csrf, "email": "x@example.com", "role": "admin"})  # fmt: skip
        assert answer.status_code == 403
    assert "x@example.com" not in {person.email for person in site.store.people.list()}


@pytest.fixture
def many_changes(site: Site) -> Site:
    """A page of changes and some more, by somebody and to something with names that are markup."""
    engine = connect(Settings.load({"data": site.server.data}, {}))
    with acting("a script <b>&", "192.0.2.7"), writing(engine).begin() as db:
        for number in range(60):
            record(db, "app.limit", site.keys["app"], "native", per_minute=number + 1)
        record(db, "app.create", None, "<img src=x onerror=alert(1)>")
    return site


def test_the_audit_log_tells_who_changed_what(many_changes: Site, admin: Page) -> None:
    """By app, by action, by whom, page by page; the address holds the choice; names are shown as they are."""
    site = many_changes
    admin.goto("/settings/audit")
    expect(admin.get_by_role("row").filter(has_text="<img src=x onerror=alert(1)>")).to_have_count(1)
    axe(admin)
    admin.locator("select[name=action]").select_option("set a rate limit")
    admin.locator("select[name=app]").select_option(value=site.keys["app"])
    admin.get_by_role("button", name="Show").click()
    expect(admin.get_by_role("row").nth(1)).to_contain_text("set a rate limit")
    expect(admin.get_by_role("row").nth(1)).to_contain_text("per minute: 60")
    expect(admin.get_by_role("row").nth(1)).to_contain_text("192.0.2.7")
    admin.get_by_role("link", name="a script <b>&").first.click()
    expect(admin).to_have_url(re.compile(r"actor=a\+script"))
    expect(admin.get_by_role("row")).to_have_count(52)
    admin.get_by_role("link", name="Show more").click()
    expect(admin.get_by_role("row")).to_have_count(61)
    axe(admin)
    admin.set_viewport_size(PHONE)
    fits(admin)
    admin.goto("/settings/audit?actor=nobody-of-this-name")
    expect(admin.get_by_text("No changes here")).to_be_visible()
    axe(admin)


def test_changes_at_once_are_each_by_their_own_admin(site: Site) -> None:
    """Requests that are answered at the same time do not take each other's names."""
    people = site.store.people

    def make_links(number: int) -> str:
        admin = people.create(f"admin{number}@example.com", None, ADMIN)
        guest = people.create(f"guest{number}@example.com", None, VIEWER)
        token = people.open_session(admin, "")
        session = people.session(token)
        assert session is not None
        for _ in range(4):
            answer = httpx.post(f"{site.server.url}/settings/people/{guest.id}/link", data={"csrf": session.csrf},
                                headers={"Origin": site.server.url, "Cookie": f"tenure_session={token}"},
                                timeout=30)  # fmt: skip
            assert answer.status_code == 200
        return guest.email

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        guests = list(threads.map(make_links, range(4)))
    made = site.store.audit.entries(action="person.link").items
    found = sorted((entry.subject, entry.actor) for entry in made if entry.subject in guests)
    assert found == [(f"guest{n}@example.com", f"admin{n}@example.com") for n in range(4) for _ in range(4)]
