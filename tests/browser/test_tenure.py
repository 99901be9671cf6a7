"""window.tenure in Chromium against a real server, read back from the timeline."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any

from playwright.sync_api import Browser

from tests.browser.conftest import Tab
from tests.browser.pages import Site, tag, wait_until
from tests.chromium import launch
from tests.harness import Server

Keys = dict[str, str]

STUB = """<script>
window.tenure = window.tenure || { q: [] };
["init", "track", "identify", "page", "reset", "flush", "optIn", "optOut"].forEach(function (name) {
  tenure[name] = tenure[name] || function () { tenure.q.push([name, arguments]); };
});
</script>"""


def sign(keys: Keys, identifier: str) -> str:
    return hmac.new(keys["secret_key"].encode(), identifier.encode(), "sha256").hexdigest()


def start(tab: Tab, site: Site, server: Server, keys: Keys, before: str = "", **headers: str) -> Tab:
    return tab.open(site.put(before + tag(server.url, keys["publishable_key"]), **headers))


def anonymous(tab: Tab) -> str:
    identifier = tab.run("localStorage.getItem('tenure.anonymous')")
    return f"anonymous_id:{identifier}"


def timeline(server: Server, keys: Keys, customer: str) -> list[dict[str, Any]]:
    """A customer's events, oldest first."""
    server.wait_loaded()
    items: list[dict[str, Any]] = server.read(f"/v1/customers/{customer}/timeline", keys, limit=1_000)["items"]
    return items[::-1]


def test_track(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """An event is on the visitor's timeline, unverified, with its properties and the time of the call."""
    start(tab, site, server, keys)
    called = tab.run("(tenure.track('Report Exported', { format: 'pdf', rows: 12n }), Date.now())")
    assert tab.run("tenure.flush()") == 0
    (event,) = timeline(server, keys, anonymous(tab))
    assert (event["name"], event["properties"], event["verified"]) == (
        "Report Exported", {"format": "pdf", "rows": "12"}, False,
    )  # fmt: skip
    assert event["dialect"] == "native"
    assert event["message_id"]
    occurred = datetime.fromisoformat(event["occurred_at"]).timestamp() * 1_000
    assert isinstance(called, (int, float))
    assert 0 <= called - occurred < 1_000


def test_page(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """A page view says host, path, title, referrer and name, and neither query strings nor fragments."""
    start(tab, site, server, keys)
    site.pages["/settings"] = site.pages["/"]
    tab.page.goto(site.url + "/?token=secret#secret")
    tab.run("(url) => { location.href = url }", site.url + "/settings?token=secret#secret")
    tab.page.wait_for_url("**/settings*")
    tab.page.wait_for_function("window.tenure && tenure.dropped === 0")
    tab.run("tenure.page('Settings', { tab: 'billing' }), tenure.flush()")
    (event,) = timeline(server, keys, anonymous(tab))
    assert event["name"] == "page_viewed"
    assert event["properties"] == {
        "name": "Settings",
        "host": site.url.removeprefix("http://"),
        "path": "/settings",
        "title": "Host",
        "referrer": site.url + "/",
        "tab": "billing",
    }


def test_identify_signed(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """With authHash the user's events are verified, on later pages too, and name the visitor they were before."""
    start(tab, site, server, keys)
    tab.run("tenure.track('Before')")
    tab.run("(hash) => tenure.identify('user_1', { plan: 'pro' }, { customerId: 'cus_1', authHash: hash })",
            sign(keys, "cus_1"))  # fmt: skip
    tab.run("tenure.track('After'), tenure.flush()")
    tab.page.reload()
    tab.page.wait_for_function("window.tenure && tenure.dropped === 0")
    tab.run("tenure.track('Later'), tenure.flush()")
    events = timeline(server, keys, "cus_1")
    seen = [(event["name"], event["verified"]) for event in events]
    assert seen == [("Before", False), ("After", True), ("Later", True)]
    assert [(event["customer_id"], event["uid"]) for event in events] == [(None, None), *[("cus_1", "user_1")] * 2]
    assert {f"anonymous_id:{event['anonymous_id']}" for event in events} == {anonymous(tab)}
    assert timeline(server, keys, anonymous(tab)) == events
    assert tab.said == []


def test_identify_unsigned(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """Without authHash the user's events are there, unverified."""
    start(tab, site, server, keys)
    tab.run("tenure.identify(42), tenure.track('Seen'), tenure.flush()")
    (event,) = timeline(server, keys, "uid:42")
    assert (event["name"], event["verified"], event["uid"]) == ("Seen", False, "42")


def test_identify_with_a_wrong_hash(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """A wrong authHash is told in the console, and the queue goes on with the next user."""
    start(tab, site, server, keys)
    tab.run("tenure.identify('user_1', {}, { authHash: '00' }), tenure.track('Forged'), tenure.flush()")
    assert tab.run("tenure.reset(), tenure.track('Honest'), tenure.flush()") == 0
    assert [event["name"] for event in timeline(server, keys, anonymous(tab))] == ["Honest"]
    assert len(tab.said) == 1
    assert "The signature is not" in tab.said[0]


def test_reset_and_another_user(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """reset() forgets user and visitor; so does identify() with another user, without being asked."""
    start(tab, site, server, keys)
    tab.run("tenure.identify('user_1'), tenure.track('One')")
    first = anonymous(tab)
    tab.run("tenure.identify('user_2'), tenure.track('Two')")
    second = anonymous(tab)
    tab.run("tenure.reset(), tenure.track('Nobody'), tenure.flush()")
    assert [event["name"] for event in timeline(server, keys, "uid:user_1")] == ["One"]
    assert [event["name"] for event in timeline(server, keys, "uid:user_2")] == ["Two"]
    (event,) = timeline(server, keys, anonymous(tab))
    assert (event["name"], event["uid"]) == ("Nobody", None)
    assert len({first, second, anonymous(tab)}) == 3


def test_calls_before_the_script_is_loaded(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """Calls to the stub are made in their order once the script is there, and the stub itself goes on working."""
    calls = "<script>var held = tenure; held.identify('early'); held.track('First'); held.track('Second')</script>"
    start(tab, site, server, keys, before=STUB + calls)
    assert tab.run("held === tenure && (held.track('Third'), tenure.flush())") == 0
    assert [event["name"] for event in timeline(server, keys, "uid:early")] == ["First", "Second", "Third"]


def test_init(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """Without data-key nothing is sent before init(); what was tracked by then is."""
    tab.open(site.put(f'<script src="{server.url}/tenure.js"></script>'))
    assert tab.run("tenure.track('Kept'), tenure.flush()") == 1
    tab.run("([key, baseUrl]) => tenure.init({ key, baseUrl })", [keys["publishable_key"], server.url + "/"])
    wait_until(lambda: tab.stored("tenure.event.") == [], "the event is still stored")
    assert [event["name"] for event in timeline(server, keys, anonymous(tab))] == ["Kept"]


def test_keys_that_must_not_be_in_a_page(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """With a secret or read key the script stores and sends nothing, and says why without repeating the key."""
    for kind in ("secret_key", "read_key"):
        tab.said.clear()
        tab.open(site.put(tag(server.url, keys[kind])))
        tab.run("tenure.identify('user_1', { a: 1 }), tenure.track('Nothing'), tenure.page(), tenure.flush()")
        assert tab.stored("") == []
        assert len(tab.said) == 1
        assert tab.said[0].startswith("error: Tenure: needs a publishable key")
        assert keys[kind] not in tab.said[0]


def test_strict_policy(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """A page whose policy allows Tenure's origin for scripts and connections, and nothing else, works."""
    policy = (
        f"default-src 'none'; script-src {server.url}; connect-src {server.url}; require-trusted-types-for 'script'"
    )
    start(tab, site, server, keys, Content_Security_Policy=policy)
    assert tab.run("tenure.track('Allowed'), tenure.flush()") == 0
    assert [event["name"] for event in timeline(server, keys, anonymous(tab))] == ["Allowed"]


def test_hostile_values(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """Whatever is passed in, nothing is thrown into the page, and the events around it arrive."""
    start(tab, site, server, keys)
    tab.run("""() => {
        const circle = {};
        circle.self = circle;
        const trap = new Proxy({}, { get() { throw new Error('get') }, ownKeys() { throw new Error('keys') } });
        const hostile = [circle, trap, { toJSON() { throw trap } }, { get a() { throw null } }, 'text', 1n, Symbol('s'),
                         () => {}, 'x'.repeat(1e6), { text: 'x'.repeat(1e6) }, NaN, null, undefined, [1],
                         new Date(NaN), window];
        tenure.track('Sound');
        for (const value of hostile) {
            for (const name of ['track', 'identify', 'page', 'init']) {
                if (name !== 'init') tenure[name]('Hostile', value);
                if (name !== 'init') tenure[name]('Hostile', {}, value);
                if (typeof value !== 'string') tenure[name](value);
            }
        }
        tenure.reset(value => value);
        tenure.track('Lone \\ud800', { text: '\\ud800' });
    }""")
    tab.run("(key) => tenure.init({ key })", keys["publishable_key"])
    tab.run("tenure.reset(), tenure.track('Still here'), tenure.flush()")
    assert [event["name"] for event in timeline(server, keys, anonymous(tab))] == ["Still here"]
    assert tab.run("tenure.dropped > 0")


def test_invalid_elements_are_told(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """What the server refuses is named in the console by code and field, and the other events arrive."""
    start(tab, site, server, keys)
    tab.run("tenure.track('Bad', 'text'), tenure.track('Good'), tenure.flush()")
    assert [event["name"] for event in timeline(server, keys, anonymous(tab))] == ["Good"]
    assert len(tab.said) == 1
    assert "properties" in tab.said[0]
    assert tab.run("tenure.dropped") == 1


def test_two_tabs_at_once(server: Server, keys: Keys, site: Site, new_tab: Callable[[], Tab]) -> None:
    """Two tabs that track and flush at the same time lose nothing and double nothing."""
    tabs = [start(new_tab(), site, server, keys) for _ in range(2)]
    tabs[0].run("tenure.identify('busy')")
    tabs[1].page.wait_for_function("Object.values(localStorage).some((text) => text.includes('busy'))")
    for number, tab in enumerate(tabs):
        tab.run("""(tab) => {
            window.done = (async () => {
                for (let n = tab; n < 300; n += 2) {
                    tenure.track('Seen', { n });
                    if (n % 7 === 0) await tenure.flush();
                }
                await tenure.flush();
            })();
            return 0;
        }""", number)  # fmt: skip
    for tab in tabs:
        tab.run("window.done")
    assert sorted(event["properties"]["n"] for event in timeline(server, keys, "uid:busy")) == list(range(300))


def test_an_event_that_is_sent_again(server: Server, keys: Keys, site: Site, tab: Tab) -> None:
    """A page that goes before its answer comes leaves the event in storage; sent again, it is there once."""
    home = start(tab, site, server, keys).page.url
    elsewhere = site.put("<p>No script here", "/elsewhere")
    for n in range(3):
        tab.run("([n, url]) => { tenure.track('Left', { n }); location.href = url }", [n, elsewhere])
        tab.page.wait_for_url(elsewhere)
        tab.open(home)
    wait_until(lambda: tab.stored("tenure.event.") == [], "events are still stored")
    assert sorted(event["properties"]["n"] for event in timeline(server, keys, anonymous(tab))) == [0, 1, 2]


def test_a_page_from_the_browsers_cache(server: Server, keys: Keys, site: Site, chromium: Browser) -> None:
    """A page that is left and comes back as it was, with its script's state, goes on without loss or double."""
    # Playwright turns that cache off, and waits in vain for the loading of such a page.
    cached = ["--disable-back-forward-cache"]
    with launch(chromium.browser_type, ignore_default_args=cached) as browser:
        tab = start(Tab(browser.new_page()), site, server, keys)
        elsewhere = site.put("<p>No script here", "/elsewhere")
        tab.run("(url) => { window.kept = true; tenure.track('One'); location.href = url }", elsewhere)
        tab.page.wait_for_url(elsewhere)
        tab.run("history.back()")
        tab.page.wait_for_function("window.kept")
        assert tab.run("tenure.track('Two'), tenure.flush()") == 0
        visitor = anonymous(tab)
    assert [event["name"] for event in timeline(server, keys, visitor)] == ["One", "Two"]
