"""What a server can be made to do wrong, and what becomes of the events: a scripted server stands for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest
from playwright.sync_api import Error as PlaywrightError

from tests.browser.conftest import Tab
from tests.browser.pages import Plan, Scripted, Site, tag, wait_until

UNAVAILABLE = {"error": "not_ready", "message": "the journal is full"}


def start(tab: Tab, site: Site, scripted: Scripted) -> Tab:
    return tab.open(site.put(tag(scripted.url)))


def test_503_is_tried_again_no_earlier_than_asked(tab: Tab, site: Site, scripted: Scripted) -> None:
    """After 503 with Retry-After nothing is sent before that time, not even by flush(); then the same event is."""
    scripted.plan.append((503, {"Retry-After": "2"}, UNAVAILABLE))
    start(tab, site, scripted)
    assert tab.run("tenure.track('Kept'), tenure.flush()") == 1
    assert tab.run("tenure.flush()") == 1
    assert len(scripted.requests) == 1
    scripted.wait_for(2)
    assert scripted.elements[0] == scripted.elements[1]
    wait_until(lambda: tab.stored("tenure.event.") == [], "the event is still stored")
    waited = tab.run("performance.getEntriesByType('resource').filter((r) => r.name.endsWith('/v1/ingest'))"
                     ".map((r) => r.startTime)")  # fmt: skip
    assert isinstance(waited, list)
    assert waited[-1] - waited[0] >= 2_000


def test_a_retry_may_be_asked_for_by_date(tab: Tab, site: Site, scripted: Scripted) -> None:
    """Proxies write Retry-After as a date; it holds as well."""
    later = formatdate(time.time() + 60, usegmt=True)
    scripted.plan.append((503, {"Retry-After": later}, b"busy"))
    start(tab, site, scripted)
    assert tab.run("tenure.track('Kept'), tenure.flush()") == 1
    assert tab.run("tenure.flush()") == 1
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("plan", [Scripted.RESET, (500, {}, {}), (429, {}, UNAVAILABLE), (408, {}, {})])
def test_what_may_pass_is_tried_again(plan: Plan, tab: Tab, site: Site, scripted: Scripted) -> None:
    """A connection that breaks, 500, 429 and 408 keep the event, and the next attempt comes by itself."""
    scripted.plan.extend([plan, plan])
    start(tab, site, scripted)
    tab.run("tenure.track('Kept'), tenure.flush()")
    wait_until(lambda: tab.stored("tenure.event.") == [], "the event is still stored")
    assert {element["message_id"] for element in scripted.elements} == {scripted.elements[0]["message_id"]}
    assert tab.run("tenure.dropped") == 0


@pytest.mark.parametrize("plan", [(200, {}, b"<!doctype html>"), (302, {"Location": "/elsewhere"}, {})])
def test_what_is_not_tenure_takes_no_events(plan: Plan, tab: Tab, site: Site, scripted: Scripted) -> None:
    """A page in place of an answer drops no event, and a redirect, which would turn the POST into a GET, neither."""
    scripted.plan.append(plan)
    start(tab, site, scripted)
    assert tab.run("tenure.track('Kept'), tenure.flush()") == 1
    assert tab.run("tenure.flush()") == 0


@pytest.mark.parametrize("again", ["tenure.identify('user_1')", "tenure.init({key: 'pub_right'})", "reload"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_pauses(status: int, again: str, tab: Tab, site: Site, scripted: Scripted) -> None:
    """401 and 403 keep the events, and nothing is sent until identify(), init() or the next page."""
    scripted.plan.append((status, {}, {"error": "unknown_key", "message": "no such key"}))
    start(tab, site, scripted)
    assert tab.run("tenure.track('Kept'), tenure.flush()") == 1
    assert tab.run("tenure.track('Kept'), tenure.flush()") == 2
    assert len(scripted.requests) == 1
    assert tab.said == [f"error: Tenure: not accepted, events wait for the next page: {status} no such key"]
    if again == "reload":
        tab.page.reload()
    else:
        tab.run(again)
    wait_until(lambda: tab.stored("tenure.event.") == [], "the events are still stored")
    assert [element["event"] for element in scripted.elements] == ["Kept"] * 3


def test_wrong_signatures_do_not_hold_up_the_queue(tab: Tab, site: Site, scripted: Scripted) -> None:
    """A 401 about the signatures of a whole request drops that request and goes on."""
    scripted.plan.append((401, {}, {"error": "wrong_auth_hash", "message": "not the signature"}))
    start(tab, site, scripted)
    tab.run("tenure.track('Wrong'), tenure.flush()")
    assert tab.run("tenure.track('Right'), tenure.flush()") == 0
    assert tab.run("tenure.dropped") == 1
    assert tab.said == ["warning: Tenure: 1 dropped: 401 not the signature "]


def test_what_can_never_be_taken_is_dropped(tab: Tab, site: Site, scripted: Scripted) -> None:
    """A 400 drops its request with a word in the console, and the count says so."""
    scripted.plan.append((400, {}, {"error": "bad", "message": "cannot be used"}))
    start(tab, site, scripted)
    assert tab.run("tenure.track('Bad'), tenure.flush()") == 0
    assert tab.run("tenure.dropped") == 1
    assert tab.said == ["warning: Tenure: 1 dropped: 400 cannot be used "]


def test_events_wait_out_an_outage_and_a_reload(tab: Tab, site: Site, scripted: Scripted) -> None:
    """Offline, 250 events and a reload later: online again sends them at once, in order, in batches of 100."""
    start(tab, site, scripted)
    tab.page.context.set_offline(True)
    tab.run("{ for (let n = 0; n < 250; n++) tenure.track('Seen', { n }); tenure.flush() }")
    assert len(tab.stored("tenure.event.")) == 250
    tab.page.context.set_offline(False)
    wait_until(lambda: tab.stored("tenure.event.") == [], "events are still stored")
    assert [element["properties"]["n"] for element in scripted.elements] == list(range(250))
    assert [len(body["events"]) for _, body in scripted.requests] == [100, 100, 50]


def test_reload_with_a_full_queue(tab: Tab, site: Site, scripted: Scripted) -> None:
    """What a page could not send, the next page sends, in order and each once."""
    scripted.plan.extend([(503, {"Retry-After": "60"}, UNAVAILABLE)])
    start(tab, site, scripted)
    tab.run("tenure.track('First'), tenure.flush()")
    tab.run("{ for (let n = 0; n < 120; n++) tenure.track('Seen', { n }) }")
    scripted.requests.clear()
    tab.page.reload()
    wait_until(lambda: tab.stored("tenure.event.") == [], "events are still stored")
    assert [e["properties"].get("n") for e in scripted.elements] == [None, *range(120)]


def test_the_queue_is_bounded(tab: Tab, site: Site, scripted: Scripted) -> None:
    """Of 1,010 events that cannot be sent the newest 1,000 stay, and the page is told how many went."""
    scripted.plan.append((503, {"Retry-After": "60"}, UNAVAILABLE))
    start(tab, site, scripted)
    tab.run("tenure.track('First'), tenure.flush()")
    tab.run("{ for (let n = 0; n < 1010; n++) tenure.track('Seen', { n }) }")
    stored = tab.stored("tenure.event.")
    assert len(stored) == 1_000
    assert tab.run("(name) => JSON.parse(localStorage.getItem(name)).properties.n", stored[0]) == 10
    assert tab.run("tenure.dropped") == 11


def test_the_queue_is_bounded_in_size(tab: Tab, site: Site, scripted: Scripted) -> None:
    """Large events are kept up to a million characters in all."""
    scripted.plan.append((503, {"Retry-After": "60"}, UNAVAILABLE))
    start(tab, site, scripted)
    tab.run("tenure.track('First'), tenure.flush()")
    tab.run("{ for (let n = 0; n < 30; n++) tenure.track('Large', { text: 'x'.repeat(50000) }) }")
    size = tab.run("Object.keys(localStorage).reduce((sum, name) => sum + localStorage.getItem(name).length, 0)")
    assert isinstance(size, int)
    assert 900_000 < size <= 1_000_100
    assert len(tab.stored("tenure.event.")) == 19


def test_an_event_leaves_with_its_page(tab: Tab, site: Site, scripted: Scripted) -> None:
    """What is tracked as the page goes is sent although no page with the script comes after it.

    The page's last words may repeat what is on its way already: under the same message id, which makes it one.
    """
    elsewhere = site.put("<p>No script here", "/elsewhere")
    start(tab, site, scripted)
    tab.page.goto(site.put(tag(scripted.url), "/again"))
    tab.run("(url) => { tenure.track('Left'); location.href = url }", elsewhere)
    tab.page.wait_for_url(elsewhere)
    scripted.wait_for(1)
    assert {element["event"] for element in scripted.elements} == {"Left"}
    assert len({element["message_id"] for element in scripted.elements}) == 1


def test_a_page_that_goes_sends_what_fits(tab: Tab, site: Site, scripted: Scripted) -> None:
    """Of more than keepalive takes, the first part goes with the page and the next page sends the rest."""
    elsewhere = site.put("<p>No script here", "/elsewhere")
    home = site.put(tag(scripted.url))
    tab.open(home)
    tab.run("(url) => { for (let n = 0; n < 8; n++) tenure.track('Large', { n, text: 'x'.repeat(14000) });"
            " location.href = url }", elsewhere)  # fmt: skip
    tab.page.wait_for_url(elsewhere)
    scripted.wait_for(1)
    assert len(scripted.elements) == 4
    tab.open(home)
    wait_until(lambda: tab.stored("tenure.event.") == [], "events are still stored")
    assert {element["properties"]["n"] for element in scripted.elements} == set(range(8))


def test_a_killed_tab_leaves_its_events_to_the_next(new_tab: Callable[[], Tab], site: Site, scripted: Scripted) -> None:
    """A tab whose process dies while its request is under way: another tab sends its events."""
    first, second = new_tab(), new_tab()
    start(first, site, scripted)
    scripted.free.clear()
    first.run("{ tenure.track('Survives', { n: 1 }); tenure.flush(); tenure.track('Survives', { n: 2 }) }")
    scripted.wait_for(1)
    with first.page.expect_event("crash"), contextlib.suppress(PlaywrightError):
        first.page.goto("chrome://crash")
    scripted.free.set()
    scripted.requests.clear()
    second.open(site.put(tag(scripted.url)))
    wait_until(lambda: second.stored("tenure.event.") == [], "events are still stored")
    assert [element["properties"]["n"] for element in scripted.elements] == [1, 2]


def test_another_tab_is_not_sent_twice(new_tab: Callable[[], Tab], site: Site, scripted: Scripted) -> None:
    """While one tab's request is under way another tab waits for it instead of sending the same events.

    The browser may show it the answer a moment late; what it then sends again carries the same message id.
    """
    first, second = start(new_tab(), site, scripted), start(new_tab(), site, scripted)
    scripted.free.clear()
    first.run("tenure.track('Once'), void tenure.flush()")
    scripted.wait_for(1)
    second.run("void (window.done = tenure.flush())")
    wait_until(lambda: second.run("navigator.locks.query().then((q) => q.pending.length)") == 1, "nobody waits")
    assert len(scripted.requests) == 1
    scripted.free.set()
    assert second.run("window.done") == 0
    assert len({element["message_id"] for element in scripted.elements}) == 1


def test_opting_out_forgets_what_waits(tab: Tab, site: Site, scripted: Scripted) -> None:
    """optOut() leaves nothing in storage but the choice, over a reload; optIn() begins anew with another visitor."""
    scripted.plan.append((503, {"Retry-After": "60"}, UNAVAILABLE))
    start(tab, site, scripted)
    tab.run("tenure.identify('user_1', { plan: 'pro' }), tenure.track('Forgotten'), tenure.flush()")
    visitor = tab.run("localStorage.getItem('tenure.anonymous')")
    tab.run("tenure.optOut()")
    assert tab.stored("") == ["tenure.off"]
    scripted.requests.clear()
    tab.page.reload()
    tab.run("tenure.identify('user_1', { plan: 'pro' }), tenure.track('Forgotten'), tenure.page(), tenure.flush()")
    assert tab.stored("") == ["tenure.off"]
    tab.run("tenure.optIn(), tenure.track('Remembered'), tenure.flush()")
    assert [element["event"] for element in scripted.elements] == ["Remembered"]
    assert scripted.elements[0]["anonymous_id"] != visitor
    assert "uid" not in scripted.elements[0]


def test_storage_that_is_blocked(tab: Tab, site: Site, scripted: Scripted) -> None:
    """Where localStorage throws, events wait in the page and arrive under one anonymous id."""
    tab.open(site.put(tag(scripted.url), Content_Security_Policy="sandbox allow-scripts"))
    assert (
        tab.run("(() => { try { localStorage; return 'there' } catch (error) { return error.name } })()")
        == "SecurityError"
    )
    tab.run("tenure.track('Kept'), tenure.track('Kept'), tenure.flush()")
    assert len({element["message_id"] for element in scripted.elements}) == 2
    assert len({element["anonymous_id"] for element in scripted.elements}) == 1
    assert tab.run("tenure.optOut(), tenure.track('Lost'), tenure.flush()") == 0
    assert len(scripted.elements) == 2


def test_storage_that_is_full(tab: Tab, site: Site, scripted: Scripted) -> None:
    """Where the page has used up its quota, events wait in the page, and none of the page's own data goes."""
    start(tab, site, scripted)
    filled = tab.run("""(() => {
        let size = 2 ** 22, name = 0;
        while (size >= 1) try { localStorage.setItem('host.' + name++, 'x'.repeat(size)) } catch (error) { size /= 2 }
        return localStorage.length;
    })()""")
    assert tab.run("tenure.identify('user_1'), tenure.track('Kept'), tenure.flush()") == 0
    assert [(element["event"], element["uid"]) for element in scripted.elements] == [("Kept", "user_1")]
    assert tab.run("localStorage.length") == filled
    assert tab.run("tenure.dropped") == 0
