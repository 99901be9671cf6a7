"""`@whisperr/web` (npm), unmodified, in a real browser on a page of another origin than the server's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.chromium import WAIT_MS
from tests.clients.arrivals import Keys, events, identifies, import_key, names, numbers, until, wait_for_events
from tests.harness import Server

pytestmark = pytest.mark.rule("client-whisperr-web", "whisperr")

FORMS = ("script_tag.html", "module.html")


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the pages of `pages/`, and the packages of `node/`, are served: another origin than the server's."""
    handler = partial(QuietHandler, directory=str(Path(__file__).parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A visitor that was never there before."""
    with chromium.new_context(locale="da-DK", timezone_id="Europe/Copenhagen") as context:
        context.set_default_timeout(WAIT_MS)
        yield context


@pytest.fixture
def visit(visitor: BrowserContext, origin: str, server: Server, keys: Keys) -> Callable[..., Page]:
    """Opens one of the pages in a new tab of the visitor; returns when the client runs."""

    def open_page(form: str = FORMS[0], key: str = keys["publishable_key"], **query: str) -> Page:
        page = visitor.new_page()
        page.goto(f"{origin}/pages/{form}?{urlencode({'key': key, 'url': server.url} | query)}")
        page.wait_for_function("window.whisperr?.ready")
        return page

    return open_page


def anonymous_id(page: Page) -> str:
    """The id by which the client knows this visitor."""
    return str(page.evaluate("localStorage.getItem('whisperr.anon_id')"))


def queued(page: Page) -> list[Any]:
    """What the client has not delivered."""
    return list(page.evaluate("JSON.parse(localStorage.getItem('whisperr.queue.v1') ?? '[]')"))


def track(page: Page, *numbered: int) -> None:
    page.evaluate("ns => ns.forEach(n => whisperr.track('feature_used', { n }))", list(numbered))


def flush(page: Page) -> list[str]:
    """Flush; what the client has reported as errors so far."""
    page.evaluate("whisperr.flush()")
    return list(page.evaluate("reported"))


@pytest.mark.parametrize("form", FORMS)
def test_visitor_before_login(visit: Callable[..., Page], server: Server, keys: Keys, form: str) -> None:
    """Page views and events of a visitor who never logs in are kept under the anonymous id, with their page."""
    page = visit(form, early="signup_started")
    page.evaluate("history.pushState({}, '', '/pricing')")
    assert flush(page) == []
    handle = anonymous_id(page)
    items = wait_for_events(server, keys, f"anonymous_id:{handle}", 3)
    assert names(items) == ["page_viewed", "page_viewed", "signup_started"]
    assert all(item["uid"] is None and not item["verified"] for item in items)
    assert sorted(item["context"]["page"]["path"] for item in items) == [f"/pages/{form}", f"/pages/{form}", "/pricing"]
    assert {item["context"]["library"]["name"] for item in items} == {"whisperr-web"}


@pytest.mark.parametrize("form", FORMS)
def test_login_and_logout(visit: Callable[..., Page], server: Server, keys: Keys, form: str) -> None:
    """After identify events are the user's; after reset they are a new visitor's; neither takes the other's."""
    page = visit(form)
    assert flush(page) == []
    before = anonymous_id(page)
    page.evaluate("whisperr.identify('user_web', { email: 'ada@example.com', traits: { plan: 'pro' } })")
    track(page, 1)
    page.evaluate("whisperr.page('Settings', { section: 'billing' })")
    assert flush(page) == []
    page.evaluate("whisperr.reset()")
    track(page, 2)
    assert flush(page) == []
    after = anonymous_id(page)
    assert before != after
    assert numbers(wait_for_events(server, keys, f"anonymous_id:{after}", 1)) == [2]
    assert names(events(server, keys, f"anonymous_id:{before}")) == ["page_viewed"]
    items = events(server, keys, "uid:user_web")
    assert names(items) == ["feature_used", "page_viewed"]
    assert {"name": "Settings", "section": "billing"} in [item["properties"] for item in items]
    (identify,) = identifies(server, keys, "user_web")
    assert identify["anonymous_id"] == before
    assert identify["traits"] == {"plan": "pro", "timezone": "Europe/Copenhagen", "locale": "da-DK"}
    assert [channel["address"] for channel in identify["channels"]] == ["ada@example.com"]


def test_events_queued_at_login_are_the_users(visit: Callable[..., Page], server: Server, keys: Keys) -> None:
    """What the client had not sent when the user logged in arrives under the user, and once."""
    page = visit()
    assert flush(page) == []
    page.evaluate("whisperr.track('signup_started', { n: 1 }); whisperr.identify('user_web')")
    assert flush(page) == []
    assert numbers(wait_for_events(server, keys, "uid:user_web", 1)) == [1]
    assert names(events(server, keys, f"anonymous_id:{anonymous_id(page)}")) == ["page_viewed"]


def test_last_events_when_the_visitor_leaves(
    visit: Callable[..., Page], origin: str, server: Server, keys: Keys
) -> None:
    """Leaving at once, with the page view under way and events not flushed, delivers all of them, once."""
    page = visit()
    handle = anonymous_id(page)
    track(page, 1, 2, 3)
    page.goto(f"{origin}/pages/")
    items = wait_for_events(server, keys, f"anonymous_id:{handle}", 4)
    assert names(items) == ["feature_used"] * 3 + ["page_viewed"]


def test_last_events_when_the_tab_is_closed(visit: Callable[..., Page], server: Server, keys: Keys) -> None:
    """The last events, tracked and not flushed, are delivered when the visitor closes the tab."""
    page = visit()
    assert flush(page) == []
    handle = anonymous_id(page)
    track(page, 1)
    page.close(run_before_unload=True)
    assert names(wait_for_events(server, keys, f"anonymous_id:{handle}", 2)) == ["feature_used", "page_viewed"]


def test_offline_then_online(visit: Callable[..., Page], visitor: BrowserContext, server: Server, keys: Keys) -> None:
    """What was tracked offline waits in the browser, and arrives once when there is a network again."""
    page = visit()
    assert flush(page) == []
    visitor.set_offline(True)
    track(page, 1, 2, 3)
    assert flush(page) == ["retry_exhausted"]
    assert len(queued(page)) == 3
    visitor.set_offline(False)
    assert flush(page) == ["retry_exhausted"]
    assert queued(page) == []
    items = wait_for_events(server, keys, f"anonymous_id:{anonymous_id(page)}", 4)
    assert names(items) == ["feature_used"] * 3 + ["page_viewed"]


def test_unknown_key_keeps_the_queue(visit: Callable[..., Page], server: Server, keys: Keys, vendor_key: str) -> None:
    """A 401 is readable from another origin and costs nothing: once the key is imported, the same queue arrives."""
    page = visit(key=vendor_key)
    track(page, 1, 2)
    assert flush(page)[0] == "auth"
    assert len(queued(page)) == 3
    import_key(server, keys, vendor_key)
    flush(page)
    assert queued(page) == []
    items = wait_for_events(server, keys, f"anonymous_id:{anonymous_id(page)}", 3)
    assert names(items) == ["feature_used", "feature_used", "page_viewed"]


def test_queue_survives_a_reload(visit: Callable[..., Page], server: Server, keys: Keys, vendor_key: str) -> None:
    """What one page could not deliver is delivered by the next page that the visitor opens."""
    page = visit(key=vendor_key)
    handle = anonymous_id(page)
    assert flush(page)[0] == "auth"
    import_key(server, keys, vendor_key)
    next_page = visit(key=vendor_key)
    until(lambda: names(events(server, keys, f"anonymous_id:{handle}")), "the queue of the first page arrived")
    assert flush(next_page) == []
    items = wait_for_events(server, keys, f"anonymous_id:{handle}", 2)
    assert names(items) == ["page_viewed", "page_viewed"]


def test_preflight(visit: Callable[..., Page], visitor: BrowserContext, server: Server, keys: Keys) -> None:
    """Before its request the browser asks whether it may send, and is told yes, for a day."""
    page = visit()
    assert flush(page) == []
    preflights: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> None:
        if event["type"] == "Preflight":
            preflights.append(event["response"])

    devtools = visitor.new_cdp_session(page)
    devtools.on("Network.responseReceived", keep)
    devtools.send("Network.enable")
    page.evaluate("whisperr.identify('user_web')")
    assert flush(page) == []
    (preflight,) = preflights
    assert (preflight["url"], preflight["status"]) == (f"{server.url}/v1/identify", 204)
    headers = {name.lower(): value for name, value in preflight["headers"].items()}
    assert headers["access-control-max-age"] == "86400"


def test_what_a_page_may_read(visit: Callable[..., Page], server: Server, keys: Keys) -> None:
    """A page of another origin can read the status, the error and the receipt of what it sent."""
    status, receipt, message = visit().evaluate(
        """async ([url, key]) => {
            const headers = { "Content-Type": "application/json", "X-API-Key": key };
            const answer = await fetch(url + "/v1/events/batch", { method: "POST", headers, body: "{" });
            return [answer.status, answer.headers.get("Tenure-Receipt"), (await answer.json()).message];
        }""",
        [server.url, keys["publishable_key"]],
    )
    assert (status, len(receipt)) == (400, 32)
    assert message
