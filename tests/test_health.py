"""Health and signals on a real server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.harness import Server

Keys = dict[str, str]


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def send(server: Server, keys: Keys, *events: dict[str, Any], key: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", json={"events": events}, headers={"X-API-Key": keys[key]})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}


def health(server: Server, keys: Keys, customer: str, **parameters: Any) -> Any:
    server.wait_loaded()
    return server.read(f"/v1/customers/{customer}/health", keys, **parameters)


def events(name: str, uid: str, *days: float, **more: Any) -> list[dict[str, Any]]:
    return [{"event": name, "uid": uid, "occurred_at": ago(day), **more} for day in days]


def test_x(server: Server, keys: Keys) -> None:
    send(
        server,
        keys,
        *events("login", "u", *[d + 0.5 for d in range(0, 100, 2)]),
        *events("nps_response", "u", 3.2, properties={"score": 3}),
        *events("nps_response", "u", 4.2, properties={"nps": "eleven"}),
        *events("login", "u", -3),
        *events("old", "u", 300.1),
    )
    send(server, keys, *events("login", "u", 0.2), key="publishable_key")
    import json

    print(json.dumps(health(server, keys, "u"), indent=1))
    print(json.dumps(health(server, keys, "u", as_of=ago(0)), indent=1)[:300])
    assert 0
