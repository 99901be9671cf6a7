"""window.churnkey.event in Chromium: against a real server, and what becomes of it when the server fails."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from tests.browser.conftest import Tab
from tests.browser.pages import Plan, Scripted, Site, tag, wait_until
from tests.harness import Server

Keys = dict[str, str]
LOADED = "window.churnkey && window.churnkey.event && !window.churnkey.event.stub"
STUB = """<script>
window.churnkey = window.churnkey || {};
churnkey.event = churnkey.event || function (event) { (churnkey.event.q = churnkey.event.q || []).push(event); };
churnkey.event.stub = true;
</script>"""


def start(tab: Tab, site: Site, base: str, before: str = "") -> Tab:
    tab.page.goto(site.put(f'{before}<script src="{base}/churnkey.js" async></script>'))
    tab.page.wait_for_function(LOADED)
    return tab


def send(tab: Tab, event: dict[str, Any]) -> None:
    tab.run("(event) => { churnkey.event(event) }", event)
    wait_until(lambda: tab.stored("tenure.churnkey.") == [], "the event is still stored")


def timeline(server: Server, keys: Keys, customer: str) -> list[dict[str, Any]]:
    server.wait_loaded()
    items: list[dict[str, Any]] = server.read(f"/v1/customers/{customer}/timeline", keys)["items"]
    return items[::-1]


@pytest.mark.parametrize("who", [{"customerId": "cus_1"}, {"customerEmail": "jane@example.com"},
                                 {"customerId": "cus_1", "customerEmail": "jane@example.com"}])  # fmt: skip
@pytest.mark.parametrize("signed", [False, True])
def test_event(who: dict[str, str], signed: bool, server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """The vendor's own sample is on the customer's timeline, verified when it is signed."""
    start(tab, site, server.url)
    subject = next(iter(who.values()))
    event = {"appId": keys["app"], "event": "Post Created", "eventData": {"postType": "image"}, **who}
    if signed:
        event["authHash"] = hmac.new(keys["secret_key"].encode(), subject.encode(), "sha256").hexdigest()
    send(tab, event)
    (kept,) = timeline(server, keys, subject)
    assert (kept["name"], kept["properties"], kept["verified"]) == ("Post Created", {"postType": "image"}, signed)
    assert (kept["dialect"], kept["context"]) == ("churnkey", {})
    assert kept["message_id"]
    assert tab.said == []


def test_what_can_never_be_right_is_dropped(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """A wrong authHash and an unknown app are told in the console, and the next event arrives."""
    start(tab, site, server.url)
    event = {"appId": keys["app"], "event": "Post Created", "customerId": "cus_1"}
    send(tab, event | {"authHash": "00" * 32})
    send(tab, event | {"appId": "app_unknown"})
    send(tab, event)
    assert len(timeline(server, keys, "cus_1")) == 1
    assert len(tab.said) == 2
    assert all(said.startswith("error: Tenure: churnkey.event: 1 dropped: 401 ") for said in tab.said)


def test_members_of_the_vendors_own_embed_stay(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """What was in window.churnkey stays, on the same object, and calls made to a stub before are sent."""
    call = f"churnkey.event({{appId: '{keys['app']}', event: 'Early', customerId: 'cus_1'}})"
    vendor = (
        "<script>window.churnkey = { created: true, init: function () { return 'shown' } }; held = churnkey</script>"
    )
    start(tab, site, server.url, before=f"{vendor}{STUB}<script>{call}</script>")
    assert tab.run("[held === churnkey, churnkey.created, churnkey.init()]") == [True, True, "shown"]
    wait_until(lambda: tab.stored("tenure.churnkey.") == [], "the event is still stored")
    assert [event["name"] for event in timeline(server, keys, "cus_1")] == ["Early"]


def test_both_scripts_on_one_page(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """Each script sends its own events, and tenure.optOut() holds for both."""
    start(tab, site, server.url, before=tag(server.url, keys["publishable_key"]))
    tab.page.wait_for_function("window.tenure && tenure.dropped === 0")
    event = {"appId": keys["app"], "event": "Post Created", "customerId": "cus_1"}
    send(tab, event)
    tab.run("tenure.identify('user_1'), tenure.track('Seen'), tenure.flush()")
    tab.run("tenure.optOut()")
    send(tab, event)
    assert tab.stored("") == ["tenure.off"]
    assert [kept["name"] for kept in timeline(server, keys, "cus_1")] == ["Post Created"]
    assert [kept["name"] for kept in timeline(server, keys, "uid:user_1")] == ["Seen"]


@pytest.mark.parametrize("given", ["", "null", "{}", "{ appId: 'a', event: 'b' }", "{ event: 'b', customerId: 'c' }",
                                   "{ appId: 'a', event: 'b', customerId: 'c', eventData: window }"])  # fmt: skip
def test_calls_that_say_too_little(given: str, scripted: Scripted, site: Site, tab: Tab) -> None:
    """A call that cannot be sent is told in the console, and never thrown into the page."""
    start(tab, site, scripted.url)
    tab.run(f"churnkey.event({given})")
    assert tab.stored("tenure.churnkey.") == []
    assert len(tab.said) == 1


@pytest.mark.parametrize("plan", [(503, {"Retry-After": "1"}, {}), (429, {}, {}), Scripted.RESET])
def test_what_may_pass_is_tried_again(plan: Plan, scripted: Scripted, site: Site, tab: Tab) -> None:
    """Overload and broken connections keep the event: the same message and time arrive later."""
    scripted.plan.extend([plan, plan])
    start(tab, site, scripted.url)
    send(tab, {"appId": "app_1", "event": "Post Created", "customerId": "cus_1"})
    bodies = [body for _, body in scripted.requests]
    assert len(bodies) >= 2
    assert all(body == bodies[0] for body in bodies)
    assert {headers["x-ck-app"] for headers, _ in scripted.requests} == {"app_1"}
    assert bodies[0].keys() == {"event", "customerId", "messageId", "eventDate"}
