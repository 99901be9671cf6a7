"""kill -9 in the middle of a load: every acknowledged event is there, once.

`TENURE_TEST_KILLS` sets how many kills (3 by default; `make soak` takes more).
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.harness import Server, create_app, ledger_of, whisperr_events
from tests.warehouse_books import books

KILLS = int(os.environ.get("TENURE_TEST_KILLS", "3"))
BATCH = 20


class Sender(threading.Thread):
    """Sends batches one after the other as an SDK does: the same batch again until it is acknowledged.

    After each it says that somebody else pays 1.00 USD a month, until that is acknowledged.
    """

    def __init__(self, server: Server, keys: dict[str, str]) -> None:
        super().__init__()
        self.server, self.keys = server, keys
        self.acknowledged = 0
        self.paying = 0
        self.failures: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.server.url, timeout=10) as http:
            while not self.stopping.is_set():
                events = whisperr_events(self.acknowledged, BATCH)
                if (answer := self.send(http, "/v1/events/batch", events, "publishable_key")) is None:
                    continue
                assert answer.json() == {"accepted": BATCH, "rejected": 0}
                self.acknowledged += BATCH
                while self.send(http, "/v1/subscriptions", a_payer(self.paying), "secret_key") is None:
                    if self.stopping.is_set():
                        return
                self.paying += 1
                time.sleep(0.005)

    def send(self, http: httpx.Client, path: str, body: Any, key: str) -> httpx.Response | None:
        """The answer that acknowledges it; None when there is none."""
        try:
            answer = http.post(path, headers={"X-API-Key": self.keys[key]}, json=body)
            if answer.status_code == 202:
                return answer
            self.failures.append(f"{answer.status_code}: {answer.text}")
        except httpx.TransportError as error:
            self.failures.append(repr(error))
        time.sleep(0.05)
        return None


def a_payer(number: int) -> dict[str, Any]:
    return {"subscriptions": [{"uid": f"payer_{number}", "subscription": "s", "message_id": f"s{number}",
                               "status": "active", "currency": "USD", "effective_at": "2026-01-02",
                               "items": [{"plan": "pro", "amount": 100, "interval": "month"}]}]}  # fmt: skip


@pytest.fixture
def crashing(new_server: Callable[..., Server]) -> Server:
    return new_server()


def wait_paying(server: Server, keys: dict[str, str], expected: int) -> None:
    """Wait until MRR is what so many pay, and nobody pays twice."""
    deadline = time.monotonic() + 60
    while True:
        rows = server.read("/v1/metrics/mrr", keys, **{"from": "2026-01-01", "to": "2026-01-31"})["rows"]
        closing = [row["closing"] for row in rows]
        if closing == [f"{expected}.00"]:
            return
        assert time.monotonic() < deadline, (closing, expected)
        time.sleep(0.2)


def wait_until_somebody_pays(sender: Sender) -> None:
    """On a slow machine the kills may be over before anybody does."""
    deadline = time.monotonic() + 60
    while not sender.paying:
        assert time.monotonic() < deadline, sender.failures
        time.sleep(0.1)
    time.sleep(0.5)


def stored_numbers(server: Server, keys: dict[str, str]) -> list[int]:
    """The numbers of all events on all timelines."""
    found = []
    for user in range(7):
        cursor = None
        while True:
            parameters = {"limit": 1_000} | ({"cursor": cursor} if cursor else {})
            page = server.read(f"/v1/customers/user_{user}/timeline", keys, **parameters)
            found += [item["properties"]["n"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
    return sorted(found)


@pytest.mark.rule("durable", "whisperr")
@pytest.mark.parametrize("victim", ["tree", "loader", "engine", "http", "worker"])
def test_every_acknowledged_event_is_there_once(crashing: Server, victim: str) -> None:
    """Under load, the whole tree, one role or an http worker is killed again and again at random moments."""
    keys = create_app(crashing.data)
    sender = Sender(crashing, keys)
    sender.start()
    try:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.1, 0.8))
            if victim == "tree":
                crashing.kill_tree()
                crashing.launch()
                crashing.wait_ready()
            elif victim == "worker":
                crashing.kill_worker()
            else:
                crashing.kill_role(victim)
        wait_until_somebody_pays(sender)
    finally:
        sender.stopping.set()
        sender.join()

    crashing.wait_ready()
    crashing.wait_readable()
    crashing.wait_loaded()
    assert stored_numbers(crashing, keys) == list(range(sender.acknowledged))
    counted = books(Warehouse(Settings.load({"data": crashing.data}, {})).tenant(keys["app"]))
    assert sender.paying <= counted.stored - sender.acknowledged <= sender.paying + 1  # of one the answer was not heard
    assert counted.balanced
    assert ledger_of(crashing.data, keys["app"]).balanced
    wait_paying(crashing, keys, counted.stored - sender.acknowledged)
    if victim in ("loader", "engine", "http"):
        assert sender.failures == [], "ingest must not notice"


def test_stop_drains_and_leaves_nothing_pending(crashing: Server) -> None:
    """SIGTERM under load: exit code 0, every acknowledged event loaded, and all there after the next start."""
    keys = create_app(crashing.data)
    sender = Sender(crashing, keys)
    sender.start()
    time.sleep(1)
    assert crashing.stop() == 0
    sender.stopping.set()
    sender.join()
    crashing.wait_loaded()
    crashing.start()
    stored = stored_numbers(crashing, keys)
    assert stored[: sender.acknowledged] == list(range(sender.acknowledged))
    assert len(stored) <= sender.acknowledged + BATCH  # the last batch may be kept though its answer was not heard
