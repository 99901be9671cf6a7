"""`last_seen`, `last_used`, `last_received` of a customer: the same on the list, in the view, in CSV and on pages."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness import Server
from tests.pages.site import ADMIN, Site, make_site

Keys = dict[str, str]
TIMES = ("last_seen", "last_used", "last_received", "dated_ahead", "first_seen")


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    return make_site(server)


@pytest.fixture
def keys(server: Server, request: pytest.FixtureRequest) -> Keys:
    return make_site(server).keys


def at(days: float) -> str:
    """So many days ago, to the millisecond, as the API tells it."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def send(server: Server, keys: Keys, *events: dict[str, Any], key: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", json={"events": list(events)}, headers={"X-API-Key": keys[key]})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}
    server.wait_loaded()


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def item(server: Server, keys: Keys, customer: str, events: int) -> dict[str, Any]:
    """The customer on the list, once so many of their events are counted there."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = server.read("/v1/customers", keys, q=customer, limit=1000)["items"]
        return any(one["id"].partition(":")[2] == customer and one["events"] == events for one in found)

    wait_until(is_there)
    return next(one for one in found if one["id"].partition(":")[2] == customer)


def both(server: Server, keys: Keys, customer: str, events: int) -> dict[str, Any]:
    """The times, which are the same on the list and in the view."""
    listed = item(server, keys, customer, events)
    seen = server.read(f"/v1/customers/{customer}", keys)["activity"]
    assert {name: listed[name] for name in TIMES} == {name: seen[name] for name in TIMES}
    return {name: seen[name] for name in TIMES}


def listed(server: Server, keys: Keys, **filters: Any) -> list[str]:
    return [one["id"].partition(":")[2] for one in server.read("/v1/customers", keys, limit=1000, **filters)["items"]]


def test_what_is_no_use_is_seen_and_not_used(server: Server, keys: Keys) -> None:
    """A payer who does nothing is inactive, whatever billing and the app by itself say of them."""
    used = at(60)
    send(server, keys, {"event": "login", "customer_id": "dormant", "occurred_at": used})
    names = ["renewal_succeeded", "app_backgrounded", "app_updated", "push_permission_changed", "invoice_paid"]
    days = range(len(names), 0, -1)
    times = [at(day) for day in days]
    events = [
        {"event": name, "customer_id": "dormant", "occurred_at": then} for name, then in zip(names, times, strict=True)
    ]
    send(server, keys, *events)
    found = both(server, keys, "dormant", 1 + len(names))
    assert (found["last_used"], found["last_seen"], found["dated_ahead"]) == (used, times[-1], 0)
    assert listed(server, keys, inactive_days=30) == ["dormant"] == listed(server, keys, last_seen_after=at(2))
    assert listed(server, keys, active_days=30) == [] == listed(server, keys, last_seen_before=at(2))


def test_an_event_that_is_dated_ahead_counts_for_nothing_until_its_time(server: Server, keys: Keys) -> None:
    """By any key; then it does, and nothing more has to be sent."""
    used = at(20)
    send(server, keys, {"event": "login", "customer_id": "a", "occurred_at": used},
         {"event": "login", "customer_id": "b", "occurred_at": at(1)},
         {"event": "login", "customer_id": "later", "occurred_at": "2299-01-01T00:00:00Z"})  # fmt: skip
    send(server, keys, {"event": "login", "customer_id": "a", "occurred_at": "2299-01-01T00:00:00Z"})
    ahead = {"event": "noise", "customer_id": "a", "occurred_at": "2298-01-01T00:00:00Z"}
    send(server, keys, ahead, key="publishable_key")
    found = both(server, keys, "a", 3)
    assert (found["last_seen"], found["last_used"], found["first_seen"], found["dated_ahead"]) == (used, used, used, 2)
    nothing = both(server, keys, "later", 1)
    assert [nothing[name] for name in ("last_seen", "last_used", "first_seen", "dated_ahead")] == [None, None, None, 1]
    assert listed(server, keys) == ["b", "a", "later"]
    assert listed(server, keys, inactive_days=7) == ["a"]
    assert listed(server, keys, active_days=7) == ["b"]
    assert listed(server, keys, sort="last_used") == ["a", "b", "later"]
    assert listed(server, keys, last_seen_before="2250-01-01") == ["b", "a"]
    assert server.read("/v1/customers/a/health", keys)["dated_ahead"] == 2
    soon = at(-8 / 86_400)
    send(server, keys, {"event": "login", "customer_id": "soon", "occurred_at": soon})
    wait_until(lambda: item(server, keys, "soon", 1)["last_seen"] == soon)
    assert both(server, keys, "soon", 1) | {"last_received": ""} == {
        "last_seen": soon, "last_used": soon, "first_seen": soon, "dated_ahead": 0, "last_received": "",
    }  # fmt: skip
    assert listed(server, keys, active_days=1) == ["soon"] or "soon" in listed(server, keys, active_days=1)


def test_what_anybody_sends_is_received_alone(server: Server, keys: Keys) -> None:
    """An unverified event moves neither of the other two times."""
    before = at(0)
    send(server, keys, {"event": "login", "customer_id": "known", "occurred_at": at(50)})
    send(server, keys, {"event": "login", "customer_id": "known"}, {"event": "login", "customer_id": "unknown"},
         key="publishable_key")  # fmt: skip
    known, unknown = both(server, keys, "known", 2), both(server, keys, "unknown", 1)
    assert known["last_seen"] == known["last_used"] < before < known["last_received"]
    assert (unknown["last_seen"], unknown["last_used"]) == (None, None)
    assert unknown["last_received"] > before
    assert listed(server, keys, inactive_days=7) == ["known"]
    assert listed(server, keys, active_days=7) == []
    assert listed(server, keys, sort="-last_received")[0] in {"known", "unknown"}


def test_use_is_by_the_settings_of_now(server: Server, keys: Keys) -> None:
    """A name that is declared bad news, or put on the list of what is no use, is used no more."""
    old = at(40)
    send(server, keys, {"event": "login", "customer_id": "c", "occurred_at": old},
         {"event": "Report Opened", "customer_id": "c", "occurred_at": at(1)})  # fmt: skip
    wait_until(lambda: both(server, keys, "c", 2)["last_used"] > old)
    assert listed(server, keys, active_days=7) == ["c"]
    headers = {"Authorization": f"Bearer {keys['secret_key']}"}
    server.http.put("/v1/signals", json={"no_use": ["report_opened"]}, headers=headers).raise_for_status()
    assert both(server, keys, "c", 2)["last_used"] == old
    assert listed(server, keys, inactive_days=30) == ["c"]
    assert server.read("/v1/metrics/mrr", keys, inactive_days=30)["rows"] == []
    assert server.read("/v1/metrics/survival", keys, inactive_days=30)["curves"] == []


def test_as_of_tells_the_times_of_then(server: Server, keys: Keys) -> None:
    first = at(3)
    send(server, keys, {"event": "login", "customer_id": "c", "occurred_at": first})
    time.sleep(0.01)
    then = at(0)
    time.sleep(0.01)
    send(server, keys, {"event": "login", "customer_id": "c"})
    found = server.read("/v1/customers/c", keys, as_of=then)["activity"]
    assert (found["last_seen"], found["last_used"]) == (first, first)
    assert found["last_received"] < then


def test_csv_and_pages_tell_the_same(server: Server, site: Site) -> None:
    """With what is dated ahead."""
    used, seen = at(9), at(3)
    send(server, site.keys, {"event": "login", "customer_id": "c", "occurred_at": used},
         {"event": "invoice_paid", "customer_id": "c", "occurred_at": seen},
         {"event": "login", "customer_id": "c", "occurred_at": at(-30)})  # fmt: skip
    found = both(server, site.keys, "c", 3)
    token = site.store.people.open_session(site.store.people.find(ADMIN), "test")
    headers = {"Cookie": f"tenure_session={token}"}
    text = server.http.get(f"{site.app}/customer-list/export.csv?inactive_days=5", headers=headers).content.decode(
        "utf-8-sig"
    )
    (row,) = csv.DictReader(io.StringIO(text))
    assert {name: row[name] for name in TIMES} == {name: str(found[name]) for name in TIMES}
    whole = server.http.get(f"{site.app}/customers/customer_id:c", headers=headers).text
    table = server.http.get(f"{site.app}/customers", headers=headers).text
    for path in ("retention", "retention/survival?inactive_days=5"):
        assert server.http.get(f"{site.app}/{path}", headers=headers).status_code == 200
    for page in (whole, table):
        assert "9 days ago" in page
        assert "3 days ago" in page
        assert "1 dated ahead" in page
