"""Data directories of releases in which a placeholder joined everybody, and addresses those who pay."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from tenure.control.backfills import SUBSCRIBED
from tenure.control.database import connect, writing
from tenure.control.link import CARRIED, Link
from tenure.control.store import Store
from tenure.identity import Identifier
from tenure.settings import Settings
from tests.erasure.test_confirming import customer, stripe
from tests.harness import Server, create_app


def identifiers(server: Server, keys: dict[str, str], who: str) -> list[str]:
    return [one["value"] for one in server.read(f"/v1/customers/{who}/identity", keys)["identifiers"]]


def test_what_an_older_release_loaded_is_taken_apart(new_server: Callable[..., Server]) -> None:
    """By a placeholder of five, on the list too; and two who pay with one address, from the events that are stored."""
    server = new_server()
    keys = create_app(server.data)
    settings = Settings.load({"data": server.data}, {})
    store = Store(connect(settings))
    events: list[dict[str, Any]] = [{"event": "seen", "uid": f"user{n}"} for n in range(5)]
    sent = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json={"events": events})
    assert sent.status_code == 202
    for one in (customer(1), customer(2), stripe(1), stripe(2)):
        headers = {"Authorization": f"Bearer {keys['secret_key']}"}
        assert server.http.post(f"/v1/billing/stripe/{keys['app']}", headers=headers, json=one).status_code == 200
    server.wait_loaded()
    nobody = Identifier("customer_id", "undefined")
    store.links.add(Link(keys["app"], nobody, Identifier("uid", f"user{n}"), CARRIED, "native", True, n, f"{n:032x}")
                    for n in range(5))  # fmt: skip
    assert identifiers(server, keys, "user3") == ["user3"]
    with writing(connect(settings)).begin() as db:  # as a release before left it
        db.execute(text("DELETE FROM link WHERE how IN ('subscribed', 'ended')"))
        db.execute(text("UPDATE cluster SET changed = changed + 1"))
        db.execute(text("INSERT INTO backfill (name) VALUES ('subscribed')"))
    assert set(identifiers(server, keys, "cus_2")) == {"cus_1", "cus_2", "agency@x.example"}
    assert server.stop() == 0
    server.start()
    deadline = time.monotonic() + 60
    while store.backfills.waits(SUBSCRIBED):
        assert time.monotonic() < deadline, server.log.read_text()[-5000:]
        time.sleep(0.1)
    assert identifiers(server, keys, "cus_2") == ["cus_2"]
    while len(server.read("/v1/customers", keys)["items"]) != 7:
        assert time.monotonic() < deadline, server.read("/v1/customers", keys)
        time.sleep(0.1)
