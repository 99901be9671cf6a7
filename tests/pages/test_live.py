"""The live page: what comes, what is turned away, and where an event went."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tenure.pages.live import STREAMS_OF_SESSION
from tests.clients.arrivals import until
from tests.harness import Server
from tests.pages.site import ADMIN, PASSWORD, Site, axe, calm, fits, make_site, signed_in

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


def ingest(site: Site, key: str) -> int:
    """The status of a request with this key."""
    return send(site, "/v1/ingest", {"events": []}, **{"X-API-Key": key}).status_code


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


def test_what_was_taken_for_a_retry_is_stored_after_all(admin: Page, site: Site) -> None:
    """By its receipt; the page says why it was a duplicate, and offers it no more when it is stored."""
    body = {"event": "looked_twice", "customer_email": "twice@example.com"}
    key = {"X-API-Key": site.keys["secret_key"]}
    _, receipt = (send(site, "/api/v1/track", body, **key).headers["tenure-receipt"] for _ in range(2))
    site.server.wait_loaded()
    address = f"{site.app}/live/requests/{receipt}"
    admin.goto(address)
    expect(admin.get_by_role("main")).to_contain_text("duplicate")
    axe(admin)
    admin.get_by_role("button", name="Store it as an event of its own").click()
    until(lambda: _is_stored(admin, address), "it is stored")
    expect(admin.get_by_role("button", name="Store it")).to_have_count(0)


def _is_stored(page: Page, address: str) -> bool:
    page.goto(address)
    return page.get_by_role("main").get_by_text("stored", exact=True).count() > 0


def test_a_placeholder_is_marked_and_explained(live: Page, site: Site) -> None:
    """In the list, waiting and loaded, and in words where the request is opened."""
    site.ingest({"event": "bought", "customer_id": "undefined", "uid": "u-77", "message_id": "m-77"}, wait=False)
    expect(item(live, "bought").first).to_contain_text("placeholder id")
    expect(item(live, "bought").first).to_contain_text("u-77")
    site.server.wait_loaded()
    live.reload()
    expect(item(live, "bought").first).to_contain_text("placeholder id")
    item(live, "bought").first.locator("summary").click()
    expect(item(live, "bought").first).to_contain_text("customer_id 'undefined' is a placeholder")
    axe(live)


def test_what_is_turned_away_is_seen_with_the_reason(live: Page, site: Site) -> None:
    """A key that is cut off, one of somebody else, and one that was revoked are told apart; no key is shown whole."""
    secret = site.store.create_key(site.keys["app"], "secret")
    until(lambda: ingest(site, secret) != 401, "the new key is known")
    ingest(site, secret[:-4])
    cut = item(live, f"{secret[:12]}…").filter(has_text="unknown_key")
    expect(cut).to_contain_text("401 unknown_key")
    cut.locator("summary").click()
    expect(cut).to_contain_text("is it cut off, or mistyped?")
    ingest(site, "sk_of_somebody_else")
    expect(item(live, "begins like none of this installation").first).to_be_visible()
    site.store.revoke_key(secret[:12])
    until(lambda: ingest(site, secret) == 401, "the key is known to be revoked")
    expect(item(live, "a key of this app that has been revoked")).to_have_count(1)
    assert "somebody" not in live.content()
    assert secret[:20] not in live.content()
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
    live.goto(f"{site.app}/live?name=held_back")
    expect(live.locator("#live-state")).to_have_text(re.compile("^Live"))
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


@pytest.mark.soak
def test_a_stream_ends_with_its_server_and_goes_on_with_the_next(new_server: Callable[..., Server]) -> None:
    """A stop does not wait for those who watch; what they missed meanwhile they are told then."""
    site = make_site(new_server(TENURE_HTTP_WORKERS="1"))
    with a_visitor(site) as visitor, visitor.stream("GET", f"{site.app}/live/stream") as stream:
        lines = stream.iter_lines()
        wait_for(lines, "still here")
        site.ingest({"event": "before", "uid": "u"}, wait=False)
        last = wait_for(lines, "before")
        assert site.server.stop() == 0
        assert [line for line in lines if line.startswith("retry")] == []  # it has come to its end
    site.server.start()
    site.ingest({"event": "meanwhile", "uid": "u"})
    with a_visitor(site) as visitor:
        with visitor.stream("GET", f"{site.app}/live/stream", headers={"Last-Event-ID": last}) as stream:
            wait_for(stream.iter_lines(), "meanwhile")
        answers = [visitor.send(visitor.build_request("GET", f"{site.app}/live/stream"), stream=True)
                   for _ in range(STREAMS_OF_SESSION + 2)]  # fmt: skip
        assert answers[-1].status_code == 429
        for answer in answers:
            answer.close()


@contextmanager
def a_visitor(site: Site) -> Iterator[httpx.Client]:
    """The admin, signed in, without a browser."""
    sent = {"email": ADMIN, "password": PASSWORD}
    with httpx.Client(base_url=site.server.url, timeout=30) as visitor:
        assert visitor.post("/sign-in", data=sent, headers={"Origin": site.server.url}).status_code == 303
        yield visitor


def wait_for(lines: Iterator[str], text: str) -> str:
    """Read a stream until something has this text; returns the id that was sent last."""
    last = ""
    for line in lines:
        last = line.removeprefix("id: ") if line.startswith("id: ") else last
        if text in line:
            return last
    raise AssertionError(f"the stream ended without {text!r}")
