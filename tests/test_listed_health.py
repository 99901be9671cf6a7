"""Health on the list of customers: what `/health` says, kept for everybody."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness import Server, create_app

Keys = dict[str, str]
Item = dict[str, Any]

NAMES = (
    "login",
    "report_opened",
    "search_run",
    "nps_response",
    "payment_failed",
    "subscription_renewed",
    "my thing",
)


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def history(customer: str, chance: random.Random) -> list[dict[str, Any]]:
    """Some events of a customer, now and then with a subscription and an NPS answer, some of them dated ahead."""
    longest = chance.choice([5, 30, 60, 220])
    found: list[dict[str, Any]] = []
    for _ in range(chance.randint(1, 34)):
        name = chance.choice(NAMES)
        days = chance.uniform(8 if name == "search_run" else -1, longest + 8)  # which broke for all eight days ago
        properties = {"score": chance.choice([2, 8, 10, "9", None])} if name == "nps_response" else {"n": 1}
        found.append({"uid": customer, "event": name, "occurred_at": ago(days), "properties": properties})
    if chance.random() < 0.5:
        status = chance.choice(["active", "past_due", "canceled", "trialing"])
        found.append({"uid": customer, "event": "subscription_updated", "occurred_at": ago(40), "properties": {
            "source": "native", "subscription": f"sub_{customer}", "status": status, "currency": "USD",
            "items": [{"amount": 4900, "plan": "pro", "interval": "month"}]}})  # fmt: skip
    return found


def wait_scored(server: Server, keys: Keys, count: int, since: float) -> dict[str, Item]:
    """The customers by id, once all of them have been scored after a time."""
    deadline = time.monotonic() + 120  # the list is made first, and scoring rests longer than it works
    after = datetime.fromtimestamp(since, UTC)
    while True:
        items: list[Item] = server.read("/v1/customers", keys, limit=1000)["items"]
        scored = [one for one in items if one["health"] and datetime.fromisoformat(one["health"]["scored_at"]) > after]
        if len(scored) == count:
            return {item["id"]: item for item in scored}
        assert time.monotonic() < deadline, (len(items), len(scored), server.log.read_text()[-3000:])
        time.sleep(0.1)


@pytest.fixture(scope="module")
def scored(server: Server) -> tuple[Keys, dict[str, Item]]:
    """Thirty customers with histories of all kinds, scored by settings that were changed when they were there."""
    keys, chance = create_app(server.data, "scored customers"), random.Random(6)
    events = [event for number in range(30) for event in history(f"u{number:02}", chance)]
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json={"events": events})
    assert answer.status_code == 202, answer.text
    server.wait_loaded()
    before = wait_scored(server, keys, 30, 0)
    changed = time.time()
    settings = {"signals": {"my thing": "negative"}, "weights": {"recency": 10, "signals": 40}}
    headers = {"Authorization": f"Bearer {keys['secret_key']}"}
    assert server.http.put("/v1/signals", headers=headers, json=settings).status_code == 200
    after = wait_scored(server, keys, 30, changed)
    assert {name: item["health"]["score"] for name, item in before.items()} != {
        name: item["health"]["score"] for name, item in after.items()
    }
    return keys, after


def test_the_list_says_what_health_says(server: Server, scored: tuple[Keys, dict[str, Item]]) -> None:
    """For everybody the score is that of the customer's own page at the moment of scoring, and a band goes with it."""
    keys, items = scored
    for name, item in items.items():
        shown = item["health"]
        found = server.read(f"/v1/customers/{name}/health", keys, as_of=shown["scored_at"])
        assert (name, shown["score"]) == (name, found["score"])
        bands = [(70, "good"), (40, "fair"), (0, "poor")]
        expected = next((band for least, band in bands if shown["score"] is not None and shown["score"] >= least), None)
        assert shown["band"] == expected
    scores = {item["health"]["score"] for item in items.values()}
    assert None in scores
    assert len(scores) > 8


def test_it_is_sorted_and_filtered_by(server: Server, scored: tuple[Keys, dict[str, Item]]) -> None:
    """By score, those without one last; below and at least are two halves of those who have one."""
    keys, items = scored
    having = sorted(item["health"]["score"] for item in items.values() if item["health"]["score"] is not None)
    for sort, expected in (("health", having), ("-health", having[::-1])):
        found = [item["health"]["score"] for item in server.read("/v1/customers", keys, sort=sort, limit=50)["items"]]
        assert found == expected + [None] * (30 - len(having))
    middle = having[len(having) // 2]
    for asked, wanted in (("health_below", [s for s in having if s < middle]),
                          ("health_at_least", [s for s in having if s >= middle])):  # fmt: skip
        found = [item["health"]["score"] for item in server.read("/v1/customers", keys, **{asked: middle})["items"]]
        assert sorted(found) == wanted


def test_a_score_stands_while_the_row_is_made_again(server: Server, scored: tuple[Keys, dict[str, Item]]) -> None:
    """What arrives meanwhile leaves the score as it was, until it is computed again."""
    keys, items = scored
    late = {"uid": "u00", "event": "login", "occurred_at": ago(0)}
    server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json={"events": [late]})
    server.wait_loaded()
    deadline = time.monotonic() + 60
    while (found := server.read("/v1/customers", keys, q="u00")["items"][0])["events"] == items["uid:u00"]["events"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found["health"]["scored_at"] >= items["uid:u00"]["health"]["scored_at"]
