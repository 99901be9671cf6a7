"""A steady stream of events, some of which are watched until they can be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

from bench.servers import Tenure

BATCH = 10
GIVE_UP_SECONDS = 30


class Place(NamedTuple):
    """Where events are looked for: the path for a user, and whether all of a batch are in an answer.

    Every so-many-th batch is watched, with a pause between two questions; where `in_turn`, none while another is: what
    asks is load too.
    """

    path: str
    is_whole: Callable[[Any], bool]
    every: int
    pause: float
    in_turn: bool = False


TIMELINE = Place("/v1/customers/{0}/timeline", lambda answer: len(answer["items"]) == BATCH, 20, 0.02)
LISTED = Place(
    "/v1/customers?q={0}", lambda answer: [item["events"] for item in answer["items"]] == [BATCH], 20, 0.1, True
)


def delays(server: Tenure, rate: int, seconds: int, place: Place = TIMELINE) -> list[float]:
    """Seconds from the acknowledgement of a batch until its events are there."""
    found: list[float] = []
    probes: list[threading.Thread] = []
    run = time.time_ns()
    with httpx.Client(base_url=server.url) as http:
        started = time.monotonic()
        for number in range(rate * seconds // BATCH):
            time.sleep(max(0.0, started + number * BATCH / rate - time.monotonic()))
            user = f"steady_{run}_{number:08}"  # none begins like another
            http.post("/v1/events/batch", headers={"X-API-Key": server.keys["publishable_key"]}, json=batch(user))
            if number % place.every == 0 and not (place.in_turn and probes and probes[-1].is_alive()):
                probe = threading.Thread(target=watch, args=(server, user, time.monotonic(), found, place))
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


def watch(server: Tenure, user: str, acknowledged: float, found: list[float], place: Place) -> None:
    """Ask until all is there."""
    headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=GIVE_UP_SECONDS) as http:
        while time.monotonic() - acknowledged < GIVE_UP_SECONDS:
            answer = http.get(place.path.format(user))
            if answer.status_code == 200 and place.is_whole(answer.json()):
                break
            time.sleep(place.pause)
    found.append(time.monotonic() - acknowledged)
