"""A steady stream of events, some of which are watched until they can be read."""

from __future__ import annotations

import threading
import time

import httpx

from bench.servers import Tenure

BATCH = 10
PROBE_EVERY = 20
GIVE_UP_SECONDS = 30


def delays(server: Tenure, rate: int, seconds: int) -> list[float]:
    """Seconds from the acknowledgement of every so-many-th batch until its event is on its timeline."""
    found: list[float] = []
    probes: list[threading.Thread] = []
    run = time.time_ns()
    with httpx.Client(base_url=server.url) as http:
        started = time.monotonic()
        for number in range(rate * seconds // BATCH):
            time.sleep(max(0.0, started + number * BATCH / rate - time.monotonic()))
            user = f"steady_{run}_{number}"
            http.post("/v1/events/batch", headers={"X-API-Key": server.keys["publishable_key"]}, json=batch(user))
            if number % PROBE_EVERY == 0:
                probe = threading.Thread(target=watch, args=(server, user, time.monotonic(), found))
                probe.start()
                probes.append(probe)
    for probe in probes:
        probe.join()
    return found


def batch(user: str) -> dict[str, object]:
    """Events of one user that nobody else has."""
    return {
        "events": [
            {"external_user_id": user, "event_type": "steady", "context": {"$message_id": f"{user}-{n}"}}
            for n in range(BATCH)
        ]
    }


def watch(server: Tenure, user: str, acknowledged: float, found: list[float]) -> None:
    """Ask for the timeline until it is whole."""
    headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
    with httpx.Client(base_url=server.url, headers=headers) as http:
        while time.monotonic() - acknowledged < GIVE_UP_SECONDS:
            answer = http.get(f"/v1/customers/{user}/timeline")
            if answer.status_code == 200 and len(answer.json()["items"]) == BATCH:
                break
            time.sleep(0.02)
    found.append(time.monotonic() - acknowledged)
