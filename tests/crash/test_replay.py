"""kill -9 in the middle of a repair: every element of quarantine is replayed, once, and the books hold all along."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tenure.control.database import connect
from tenure.control.repairs import Match, Repair
from tenure.control.store import Store
from tenure.errors import TenureError
from tenure.repair.steps import Step
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tests.crash.test_kill import KILLS
from tests.harness import Server, create_app, ledger_of
from tests.warehouse_books import books

REQUESTS, ELEMENTS = 20, 90
BULK = "/v1/api/events/bulk"
MISNAMED = Match("churnkey", BULK, "missing_field", "event")


@pytest.mark.soak
def test_a_repair_survives_kills(new_server: Callable[..., Server]) -> None:
    """Two equal rules at once, and kills of everything meanwhile: nothing is lost, doubled, or out of the books."""
    server = new_server()
    keys = create_app(server.data)
    receipts = [send(server, keys, number) for number in range(REQUESTS)]
    server.wait_loaded()
    settings = Settings.load({"data": server.data}, {})
    store, tenant = Store(connect(settings)), Warehouse(settings).tenant(keys["app"])
    sent = REQUESTS * (ELEMENTS + 1)
    assert counts(tenant) == (sent, REQUESTS, REQUESTS * ELEMENTS, 0)
    rules = [store.repairs.add(keys["app"], MISNAMED, [Step("move", "name", "event")], "a@b.c") for _ in range(2)]
    chance = random.Random(6)
    for _ in range(max(1, KILLS - 1)):
        time.sleep(chance.uniform(0.0, 1.0))
        server.kill_tree()
        server.start()
    first, second = (wait_until_done(server, store, rule) for rule in rules)
    tenant = Warehouse(settings).tenant(keys["app"])
    assert (first.total, first.replayed, first.unusable) == (REQUESTS * ELEMENTS, REQUESTS * ELEMENTS, 0)
    assert (second.total, second.replayed) == (0, 0)
    assert counts(tenant) == (sent, sent, 0, REQUESTS * ELEMENTS)
    assert books(tenant).balanced
    assert ledger_of(server.data, keys["app"]).balanced
    names = {row["name"]: row["count"] for row in server.read("/v1/events", keys)["items"]}
    assert names == {"good": REQUESTS, "misnamed": REQUESTS * ELEMENTS}
    element = server.read(f"/v1/receipts/{receipts[0]}", keys)["elements"][5]
    assert (element["outcome"], element["index"]) == ("replayed", 5)
    replay = server.read(f"/v1/receipts/{element['replay']}", keys)
    assert (replay["replay_of"], [one["outcome"] for one in replay["elements"]]) == (receipts[0], ["stored"])


def send(server: Server, keys: dict[str, str], number: int) -> str:
    """A request with one good element after many whose name is in the wrong field; returns its receipt."""
    bad: list[Any] = [{"name": "misnamed", "uid": f"u{number}", "eventData": {"n": n}} for n in range(ELEMENTS)]
    headers = {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
    answer = server.http.post(BULK, headers=headers, json=[*bad, {"event": "good", "uid": f"u{number}"}])
    assert answer.status_code == 200, answer.text
    return answer.headers["Tenure-Receipt"]


def counts(tenant: Any) -> tuple[int, int, int, int]:
    found = books(tenant)
    return found.received, found.stored, found.quarantined, found.replayed


def wait_until_done(server: Server, store: Store, rule: Repair) -> Repair:
    """The rule when it is done. All along, the books count what was sent."""
    warehouse = Warehouse(Settings.load({"data": server.data}, {}))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert books(warehouse.tenant(rule.app)).received == REQUESTS * (ELEMENTS + 1)
        except (TenureError, httpx.HTTPError):
            warehouse.forget()  # its engine is being started
        found = store.repairs.find(rule.app, rule.id)
        if found.done_at is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"the rule was not applied:\n{server.log.read_text()[-5000:]}")
