"""The ways in: the first link, links of people, and signing in; and what keeps others out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tenure.control.people import VIEWER
from tenure.settings import Settings
from tenure.web.body import MAX_BODY
from tenure.welcome import first_link
from tests.harness import Server, tenure
from tests.pages.site import ADMIN, PASSWORD, Site, axe, calm, fits, make_site, watch

OTHER = "a quite different one"
PHONE = {"width": 390, "height": 800}


def post(site: Site, path: str, data: dict[str, Any], **headers: str) -> httpx.Response:
    """A form as a browser sends it from a page of ours."""
    ours = {"Origin": site.server.url, "Sec-Fetch-Site": "same-origin"}
    return httpx.post(f"{site.server.url}{path}", data=data, headers=ours | headers, timeout=30)


def sign_in(site: Site, email: str = ADMIN, password: str = PASSWORD, **headers: str) -> httpx.Response:
    return post(site, "/sign-in", {"email": email, "password": password}, **headers)


def printed_link(server: Server) -> str:
    """The link that the server prints when it answers."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = re.search(r"http://\S+/welcome#\S+", server.log.read_text())
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(server.log.read_text())


@pytest.mark.soak
def test_first_minute_from_the_printed_link(new_server: Callable[..., Server], chromium: Browser) -> None:
    """The link of an empty install makes the first admin, once; no log line has it, and looking does not use it up."""
    server = new_server()
    link = printed_link(server)
    token = link.partition("#")[2]
    assert link.startswith(f"{server.url}/welcome#")
    for _ in range(2):
        assert httpx.get(link).status_code == 200
    assert [line for line in server.log.read_text().splitlines() if token in line] == [f"  {link}"]

    context = chromium.new_context(base_url=server.url, viewport=PHONE)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(f"{request.url} {request.headers}"))
    watch(context)
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_label("E-mail")).to_be_focused()
    assert (page.url, page.get_by_label("Code").is_visible()) == (f"{server.url}/welcome", False)
    axe(page)
    fits(page)
    page.get_by_label("E-mail").fill("Founder@Example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url(lambda url: not url.endswith("/welcome"))
    page.goto("/settings/people")
    expect(page.get_by_role("row").filter(has_text="founder@example.com")).to_contain_text("admin")
    calm(page)
    assert not [one for one in asked if token in one]

    again = httpx.post(f"{server.url}/welcome", data={"code": token, "email": "eve@example.com", "password": OTHER},
                       headers={"Origin": server.url})  # fmt: skip
    assert (again.status_code, "set-cookie" in again.headers) == (401, False)
    assert first_link(Settings.load({"data": server.data}, {})) is None
    context.close()


def test_first_link_of_another_address_is_of_the_public_one(tmp_path: Path) -> None:
    """Behind a proxy the link leads where browsers find the server."""
    environment = {"TENURE_PUBLIC_URL": "https://tenure.example.com"}
    printed = tenure("user", "link", data=tmp_path / "data", environment=environment)
    assert re.fullmatch(r"https://tenure\.example\.com/welcome#[\w-]{43}\n", printed)


def test_link_without_a_script_and_with_mistakes(site: Site, chromium: Browser) -> None:
    """The code can be typed; what is wrong is said beside its field; the link stays good until all is right."""
    person = site.store.people.create("typed@example.com", None, VIEWER)
    token = site.store.people.sign_in_link(person.id)
    context = chromium.new_context(base_url=site.server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/welcome#{token}")
    page.get_by_label("Code").fill(f" {token} ")
    for email, password, problem in (
        ("other@example.com", PASSWORD, "another e-mail address"),
        ("typed@example.com", "x" * 257, "12 to 256 characters"),
        ("typed@example.com", PASSWORD, None),
    ):
        page.get_by_label("E-mail").fill(email)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Continue").click()
        if problem:
            expect(page.locator(".field.wrong")).to_contain_text(problem)
    expect(page).to_have_url(re.compile("/apps/"))
    assert len(site.store.people.sessions(person.id)) == 1
    context.close()


def test_link_sent_from_another_site_is_not_used_up(site: Site) -> None:
    """Another site can neither redeem a link nor learn whether it is good."""
    person = site.store.people.create("elsewhere@example.com", None, VIEWER)
    data = {"code": site.store.people.sign_in_link(person.id), "email": person.email, "password": PASSWORD}
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert post(site, "/welcome", data, **evil).status_code == 403
    assert post(site, "/welcome", data).status_code == 303
    assert post(site, "/welcome", data).status_code == 401


def test_what_is_wrong_is_not_told(site: Site) -> None:
    """Unknown, without a password, disabled, mistyped: the same answer but for the address that was given."""
    people = site.store.people
    people.create("nopassword@example.com", None, VIEWER)
    people.disable(people.create("disabled@example.com", PASSWORD, VIEWER).id)
    answers = set()
    for email, password in (
        (ADMIN, OTHER),
        ("nopassword@example.com", PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("unknown@example.com", PASSWORD),
    ):
        answer = sign_in(site, email, password)
        assert "set-cookie" not in answer.headers
        answers.add((answer.status_code, answer.text.replace(email, "…")))
    assert len(answers) == 1
    assert sign_in(site, "no address", PASSWORD).status_code == 400


def test_guessing_is_slowed_down(site: Site) -> None:
    """After ten failures an address has to wait, known or not; others sign in meanwhile."""
    answers = [sign_in(site, "guessed@example.com", f"guess number {number}") for number in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert "too many attempts" in answers[-1].text
    assert 0 < int(answers[-1].headers["retry-after"]) <= 15 * 60
    assert sign_in(site).status_code == 303


def test_a_form_holds_only_so_much(site: Site) -> None:
    """More is refused while it is being sent, whether or not its length was told before."""
    field = b"name=" + b"x" * 10_000 + b"&"
    count = MAX_BODY // 10_000
    for body in (field * count, iter([field] * count)):
        headers = {"Origin": site.server.url, "Content-Type": "application/x-www-form-urlencoded"}
        answer = httpx.post(f"{site.server.url}/sign-in", content=body, headers=headers, timeout=30)
        assert (answer.status_code, "Too much" in answer.text) == (413, True)


@pytest.mark.parametrize(
    ("headers", "cookie", "secure"),
    [({}, "tenure_session", False), ({"X-Forwarded-Proto": "https"}, "__Host-tenure_session", True)],
)
def test_cookie_keeps_the_session_to_the_browser(
    site: Site, headers: dict[str, str], cookie: str, secure: bool
) -> None:
    """No script reads it, no other site sends it along; over TLS it is this host's alone."""
    text = sign_in(site, **headers).headers["set-cookie"]
    name, *flags = (part.strip() for part in text.split(";"))
    assert name.startswith(f"{cookie}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(flags)
    assert ("Secure" in flags) is secure
    assert not any(flag.lower().startswith("domain") for flag in flags)


def test_a_session_that_was_put_into_the_browser_is_not_taken(site: Site) -> None:
    """Signing in makes a token of its own, and ends the session that the browser had before."""
    fixed = sign_in(site, Cookie="tenure_session=chosen-by-somebody-else")
    first = fixed.cookies["tenure_session"]
    assert first != "chosen-by-somebody-else"
    second = sign_in(site, Cookie=f"tenure_session={first}").cookies["tenure_session"]
    assert site.store.people.session(first) is None
    assert site.store.people.session(second) is not None


def test_a_cookie_over_tls_is_not_one_without(site: Site) -> None:
    """A cookie that a neighbour without TLS could have set is not looked at behind TLS."""
    token = sign_in(site).cookies["tenure_session"]
    plain = {"Cookie": f"tenure_session={token}"}
    assert httpx.get(site.app, headers=plain).headers["location"].startswith("/apps/")
    over_tls = httpx.get(site.app, headers=plain | {"X-Forwarded-Proto": "https"})
    assert over_tls.headers["location"].startswith("/sign-in")


def test_ways_in_are_not_framed_kept_or_told_to_others(site: Site) -> None:
    """Both forms: in no frame, in no cache, with no address for other sites."""
    for path in ("/sign-in", "/welcome"):
        headers = httpx.get(f"{site.server.url}{path}").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "form-action 'self'" in headers["content-security-policy"]
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "same-origin")


def test_an_account_can_be_tidied_up(site: Site, chromium: Browser) -> None:
    """A person sees where they are signed in, ends one of those, and with a new password all others."""
    person = site.store.people.create("tidy@example.com", PASSWORD, VIEWER)
    elsewhere = [site.store.people.open_session(person, agent) for agent in ("curl/8", "Mozilla/5.0 Firefox/140 Linux")]
    context = chromium.new_context(base_url=site.server.url, viewport=PHONE)
    watch(context)
    page = context.new_page()
    page.goto("/sign-in?next=/settings/account")
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    axe(page)
    fits(page)
    page.get_by_role("row").filter(has_text="Firefox on Linux").get_by_role("button", name="End").click()
    expect(page.get_by_role("row")).to_have_count(3)
    assert [site.store.people.session(token) is None for token in elsewhere] == [False, True]
    for current, password, problem in ((OTHER, OTHER, "not your password"), (PASSWORD, OTHER, None)):
        page.get_by_label("Current password").fill(current)
        page.get_by_label("New password").fill(password)
        page.get_by_role("button", name="Change password").click()
        if problem:
            expect(page.locator(".field.wrong")).to_contain_text(problem)
            axe(page)
    expect(page.get_by_text("Your password is changed")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)
    assert site.store.people.session(elsewhere[0]) is None
    assert site.store.people.check_password(person.email, OTHER) == person
    calm(page)
    context.close()


def test_nobody_ends_the_session_of_somebody_else(site: Site) -> None:
    """An id of another person's session ends nothing."""
    people = site.store.people
    mine = people.create("mine@example.com", PASSWORD, VIEWER)
    theirs = people.open_session(people.find(ADMIN), "")
    session, own = people.session(theirs), people.open_session(mine, "")
    csrf = people.session(own)
    assert session is not None
    assert csrf is not None
    answer = post(site, f"/settings/account/sessions/{session.id}/end", {"csrf": csrf.csrf},
                  Cookie=f"tenure_session={own}")  # fmt: skip
    assert answer.status_code == 303
    assert people.session(theirs) is not None


def test_signing_in_is_in_the_audit_log(site: Site, server: Server) -> None:
    """By whom, and from which address."""
    person = make_site(server).store.people.create("logged@example.com", PASSWORD, VIEWER)
    sign_in(site, person.email)
    entry = site.store.audit.entries(actor=person.email).items[0]
    assert (entry.action, entry.subject, entry.address) == ("session.open", person.email, "127.0.0.1")
