"""What became, on the server, of what a client was told to send; and waiting for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.harness import Server

Keys = dict[str, str]
WAIT_SECONDS = 30


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; fails, saying `what` did not come about, when that takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.05)


def events(server: Server, keys: Keys, identifier: str) -> list[dict[str, Any]]:
    """The events that were sent under exactly this identifier (`kind:value`), oldest first."""
    kind, _, value = identifier.partition(":")
    answer = server.http.get(
        f"/v1/customers/{identifier}/timeline",
        params={"limit": 1_000},
        headers={"Authorization": f"Bearer {keys['read_key']}"},
    )
    if answer.status_code == 404:
        return []
    assert answer.status_code == 200, answer.text
    return [item for item in reversed(answer.json()["items"]) if item[kind] == value]


def wait_for_events(server: Server, keys: Keys, identifier: str, count: int) -> list[dict[str, Any]]:
    """The same once there are `count` of them, and whatever else had been sent by then is loaded too."""
    until(lambda: len(events(server, keys, identifier)) >= count, f"{count} events of {identifier}")
    server.wait_loaded()
    return events(server, keys, identifier)


def names(items: list[dict[str, Any]]) -> list[str]:
    """The names of events, sorted: events of the same millisecond have no other order."""
    return sorted(item["name"] for item in items)


def numbers(items: list[dict[str, Any]]) -> list[int]:
    """The property `n` by which a test counts its events."""
    return sorted(item["properties"]["n"] for item in items)


def identifies(server: Server, keys: Keys, uid: str) -> list[dict[str, Any]]:
    """`anonymous_id`, `traits` and `channels` of each identify of a user, in the order of receipt."""
    tenant = Warehouse(Settings.load({"data": server.data}, {})).tenant(keys["app"])
    rows = tenant.rows(
        "SELECT anonymous_id, traits, channels FROM identify FINAL WHERE uid = {uid:String} ORDER BY received_at",
        {"uid": uid},
    )
    return [
        {"anonymous_id": anonymous_id or None, "traits": json.loads(traits), "channels": json.loads(channels)}
        for anonymous_id, traits, channels in rows
    ]


def import_key(server: Server, keys: Keys, key: str) -> None:
    """Make a key that a client uses already a publishable one of the app, as `tenure key import` does."""
    Store(connect(Settings.load({"data": server.data}, {}))).import_key(keys["app"], "publishable", key)
