"""The catalogue and one event, by counts that are kept, are what all stored events say."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tenure.wire.times import DAY_MS
from tests.harness import Server, whisperr_events

NOW = time.time_ns() // 1_000_000
AHEAD = NOW + DAY_MS
NAME = "a/b?c#d %2F é"


def send(server: Server, keys: dict[str, str], *events: dict[str, Any]) -> None:
    for start in range(0, len(events), 1_000):
        answer = server.http.post("/v1/ingest", json={"events": events[start : start + 1_000]},
                                  headers={"X-API-Key": keys["secret_key"]})  # fmt: skip
        assert answer.status_code == 202, answer.text
    server.wait_loaded()


def events(name: str, days: range, count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"event": name, "uid": f"u{n % 4}", "occurred_at": NOW - ago * DAY_MS - n, "message_id": f"{name}{ago}.{n}"}
        | more
        for ago in days
        for n in range(count)
    ]


def test_counts_that_are_kept_say_what_all_events_say(server: Server, keys: dict[str, str]) -> None:
    """Daily counts, marks, times and sources are the same with `as_of`, which reads every event."""
    sent = [*events("feature_used", range(45), 3), *events("burst", range(1, 45), 2), *events("burst", range(3, 4), 90),
            *events("broken", range(8, 9), 25), *events("ended", range(40, 41), 25),
            *events("alone", range(9, 10), 25, uid="one"), *events("future", range(-3, 2), 1)]  # fmt: skip
    send(server, keys, *sent, *sent[:200])
    by_whisperr = server.http.post("/v1/events/batch", headers={"X-API-Key": keys["secret_key"]},
                                   json=whisperr_events(0, 1))  # fmt: skip
    assert by_whisperr.json()["accepted"] == 1, by_whisperr.text
    server.wait_loaded()
    found = server.read("/v1/events", keys)
    assert found == server.read("/v1/events", keys, as_of=datetime.now(UTC).isoformat())
    by_name = {item["name"]: item for item in found["items"]}
    steady = by_name["feature_used"]
    assert (steady["count"], steady["dialects"], sum(steady["daily"]["counts"])) == (136, ["native", "whisperr"], 91)
    assert len(steady["daily"]["counts"]) == 30
    assert {name: item["silence"]["state"] for name, item in by_name.items() if item["silence"]} == {
        "broken": "broken", "ended": "retired",
    }  # fmt: skip
    assert {name: item["spike"]["count"] for name, item in by_name.items() if item["spike"]} == {"burst": 90}


def test_one_event(server: Server, keys: dict[str, str]) -> None:
    """Whatever its name is: volumes, exact values of properties, a split by one, who did it, and the last five."""
    big = 12345678901234567
    rich = {"properties": {"plan": "pro", "n": big, "list": [1, {"a": None}], "long": "é" * 200, "": 0}}
    send(server, keys, *events(NAME, range(2), 20, **rich), *events(NAME, range(5, 6), 4, properties={"plan": 7}),
         *events(NAME, range(200, 201), 1), {"event": NAME, "uid": "u9", "occurred_at": AHEAD, "message_id": "ahead"},
         *events("other", range(1), 3, properties={"plan": "none of it"}))  # fmt: skip
    path = f"/v1/events/{quote(NAME, safe='')}"
    found = server.read(path, keys, days=3, by="plan")
    assert (found["event"]["name"], found["event"]["count"]) == (NAME, 46)
    assert sum(found["volumes"]["counts"]) == sum(found["volumes"]["by_dialect"]["native"]) >= 20
    properties = {one["name"]: one for one in found["properties"]["items"]}
    assert [(one["value"], one["count"]) for one in properties["plan"]["top"]] == [("pro", 40), (7, 4)]
    assert properties["n"]["top"] == [{"value": big, "long": False, "count": 40}]
    assert properties["list"]["top"][0]["value"] == [1, {"a": None}]
    assert properties["long"]["top"] == [{"value": None, "long": True, "count": 40}]
    assert (properties[""]["count"], properties["plan"]["distinct"]) == (40, 2)
    sample = found["properties"]["sample"]
    assert (sample["customers"], sample["of_customers"], sample["events"]) == (5, 5, 44)
    split = found["split"]
    assert [(series["value"], sum(series["counts"])) for series in split["values"]] == [("pro", 40), (7, 4)]
    assert (sum(split["other"]), sum(split["missing"])) == (0, 0)
    assert [item["uid"] for item in found["examples"][:1]] == ["u9"]
    assert len(found["examples"]) == 5
    assert found["customers"]["count"] <= 5  # the list of customers follows by itself
    assert server.read(path, keys)["split"] is None
    assert sum(server.read(path, keys, by="unheard of")["split"]["missing"]) == 44
    stranger = server.http.get("/v1/events/nothing", headers={"Authorization": f"Bearer {keys['read_key']}"})
    assert (stranger.status_code, stranger.json()["error"]) == (404, "unknown_event")
