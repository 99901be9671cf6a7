"""kill -9 in every phase of an erasure: it is completed after the restart, and nothing of others is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from tenure.control.database import connect
from tenure.control.erasures import HIDDEN, LOADED, PHASES, PURGED, REQUESTED, SCRUBBED, UNLINKED, Erasures
from tenure.control.store import Store
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.erasure.bytes_of import holders
from tests.erasure.person import RECOGNISED, Person, bearer, certificate_when_done, erase, outcomes, requests_of, send
from tests.harness import Server, create_app, whisperr_events
from tests.warehouse_books import books

VICTIMS, KILLED_IN = ["tree"], [LOADED, HIDDEN]
"""In CI the tree, which is both of the others too, in the phases that take longest; in `make soak` all, in each."""
if "TENURE_TEST_KILLS" in os.environ:
    VICTIMS, KILLED_IN = ["tree", "loader", "engine"], [REQUESTED, UNLINKED, LOADED, HIDDEN, PURGED, SCRUBBED]


@pytest.mark.parametrize("victim", VICTIMS)
def test_an_erasure_survives_a_kill_in_any_phase(new_server: Callable[..., Server], victim: str) -> None:
    """One person after the other is erased, with a kill in another phase each, beside events of others."""
    server = new_server()
    keys = create_app(server.data)
    erasures = Store(connect(Settings.load({"data": server.data}, {}))).erasures
    people = [Person() for _ in KILLED_IN]
    old = {person.mark: requests_of(person)[:RECOGNISED] for person in people}
    for person in people:
        send(server, keys, person, old[person.mark])
    sent = 0
    for phase, person in zip(KILLED_IN, people, strict=True):
        server.http.post("/v1/events/batch", headers={"X-API-Key": keys["secret_key"]}, json=whisperr_events(sent, 50))
        sent += 50
        erasure = erase(server, keys, person.customer_id)
        send(server, keys, person, old[person.mark])
        wait_for_phase(erasures, keys["app"], erasure, phase)
        if victim == "tree":
            server.kill_tree()
            server.start()
        else:
            server.kill_role(victim)
        certificate_when_done(server, keys, erasure)
        send(server, keys, person, old[person.mark])
    server.wait_loaded()
    for person in people:
        assert set(outcomes(server, keys, person.receipts)) == {"erased", "rejected"}
        path = f"/v1/customers/{person.customer_id}/timeline"
        assert server.http.get(path, headers=bearer(keys, "read_key")).status_code == 404
    assert numbers(server, keys) == list(range(sent))
    counted = books(Warehouse(Settings.load({"data": server.data}, {})).tenant(keys["app"]))
    assert (counted.stored, counted.duplicates, counted.balanced) == (sent, 0, True)
    wait_until_gone(server, [person.mark for person in people])


def wait_for_phase(erasures: Erasures, app: str, erasure: str, phase: str) -> None:
    """Return as soon as an erasure has come to a phase, or is beyond it."""
    deadline = time.monotonic() + 100
    while PHASES.index(erasures.find(app, erasure).phase) < PHASES.index(phase):
        assert time.monotonic() < deadline
        time.sleep(0.002)


def wait_until_gone(server: Server, marks: list[str]) -> None:
    deadline = time.monotonic() + 100
    while found := holders(server, marks):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def numbers(server: Server, keys: dict[str, str]) -> list[Any]:
    items = [server.read(f"/v1/customers/user_{user}/timeline", keys, limit=1000)["items"] for user in range(7)]
    return sorted(item["properties"]["n"] for timeline in items for item in timeline)
