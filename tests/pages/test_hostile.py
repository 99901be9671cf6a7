"""Whatever is sent, nothing of it runs, and no page is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.every import Shown, paths
from tests.pages.payloads import PAYLOADS
from tests.pages.site import Site, calm, signed_in

OUR_TAGS = frozenset({
    "a", "abbr", "body", "br", "button", "caption", "circle", "code", "dd", "details", "dialog", "div", "dl", "dt",
    "em", "fieldset", "figcaption", "figure", "footer", "form", "g", "h1", "h2", "h3", "head", "header", "hr", "html",
    "input", "label", "legend", "li", "line", "link", "main", "mark", "meta", "meter", "nav", "ol", "optgroup",
    "option", "output", "p", "path", "polyline", "pre", "progress", "rect", "script", "section", "select", "small",
    "span", "strong", "summary", "svg", "table", "tbody", "td", "text", "textarea", "tfoot", "th", "thead", "time",
    "title", "tr", "ul",
})  # fmt: skip
"""What templates write. A payload's other elements show that it was taken for markup."""
ADDRESSES = ("href", "src", "action", "hx-get", "hx-post", "formaction")
PARTS_SECONDS = 20
IN_BROWSER = 5
"""Payloads whose own pages are opened in the browser too; the others' pages are read as markup."""


class Markup(HTMLParser):
    """Reads a page and notes what no template of ours writes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        there = dict(attrs)
        if tag not in OUR_TAGS:
            self.wrong.append(f"<{tag}>")
        if tag == "script" and not (there.get("src") or "").startswith("/assets/"):
            self.wrong.append("a script that is not ours")
        for name, value in attrs:
            if name.startswith("on") or name == "style" or name.startswith(("hx-on", "data-hx")):
                self.wrong.append(f"{tag} {name}")
            if name in ADDRESSES and value and not value.startswith(("/", "?", "#", "http://127.0.0.1", "mailto:")):
                self.wrong.append(f"{tag} {name}={value}")


def read(html: str) -> list[str]:
    """What is wrong with a page."""
    markup = Markup()
    markup.feed(html)
    return markup.wrong


@pytest.fixture(scope="module")
def hostile(site: Site) -> Site:
    """An app in which 200 payloads are names of events, properties, attributes, identifiers, users, and refused."""
    site.ingest(*(
        {
            "event": text[:256], "customer_id": text, "uid": "victim" if number % 2 else f"u{number}",
            "anonymous_id": text, "properties": {text: text, "nested": {text: [text]}}, "context": {"page": text},
            "traits": {text[:100]: text, "name": text, "plan": text},
            "user": {"id": text, "traits": {text[:100]: text}},
        }
        for number, text in enumerate(PAYLOADS)
    ), wait=False)  # fmt: skip
    for text in PAYLOADS[::4]:
        whisperr = {
            "events": [{"external_user_id": text, "event_type": text, "properties": text, "context": {text: text}}]
        }
        headers = {"X-API-Key": site.keys["publishable_key"], "User-Agent": "x"}
        site.server.http.post("/v1/events/batch", json=whisperr, headers=headers)
        site.server.http.post("/v1/ingest", json={"events": [{"event": text, text: text}]},
                              headers={"X-API-Key": site.keys["secret_key"]})  # fmt: skip
    site.server.wait_loaded()
    return site


@pytest.fixture(scope="module")
def page(hostile: Site, chromium: Browser) -> Iterator[Page]:
    """A browser in which the admin is signed in; it notes each request for what only a payload asks for."""
    opened = signed_in(chromium, hostile)
    problems = opened.context.tenure_problems  # type: ignore[attr-defined]
    opened.context.on("request", lambda request: "/pwned" in request.url and problems.append(request.url))
    yield opened
    opened.context.close()


def open_and_look(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.locator(".later")).to_have_count(0, timeout=PARTS_SECONDS * 1_000)
    for summary in page.locator("main summary").all()[:8]:
        summary.click()
    assert page.title() != "pwned"
    calm(page)


def test_no_page_runs_what_was_sent(hostile: Site, page: Page) -> None:
    """All pages, with 200 payloads wherever a sender can put text, in a browser: no dialog opens, nothing is asked for,
    and the content security policy has nothing to stop."""
    everywhere = Shown(hostile.keys["app"], "uid:victim", quote(PAYLOADS[0][:256], safe=""))
    for path in paths(everywhere).values():
        open_and_look(page, path)
    for text in PAYLOADS[:: len(PAYLOADS) // IN_BROWSER]:
        open_and_look(page, f"/apps/{hostile.keys['app']}/events/{quote(text[:256], safe='')}")
        open_and_look(page, f"/apps/{hostile.keys['app']}/customers/{quote(text, safe='')}")
        open_and_look(page, f"/apps/{hostile.keys['app']}/customers?q={quote(text, safe='')}")


@pytest.mark.soak
def test_no_page_is_made_of_what_was_sent(hostile: Site, page: Page) -> None:
    """Each payload's own pages hold elements and attributes of our templates alone, and show it as text."""
    cookies = {one["name"]: one["value"] for one in page.context.cookies()}
    base = f"/apps/{hostile.keys['app']}"
    with httpx.Client(base_url=hostile.server.url, cookies=cookies, timeout=30) as http:
        for text in PAYLOADS:
            for path in (
                f"{base}/events/{quote(text[:256], safe='')}",
                f"{base}/customers/{quote('customer_id:' + text, safe='')}",
            ):
                answer = http.get(path)
                assert answer.status_code == 200, path
                assert not read(answer.text), (path, read(answer.text))
