"""What `/metrics` and `/readyz` say while a role is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.harness import Server, create_app, whisperr_events

PATIENCE_SECONDS = 60


def metrics(server: Server) -> dict[str, float]:
    lines = server.http.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def wait_until(server: Server, is_so: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Ask until the metrics say so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so(seen := metrics(server)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


@pytest.mark.parametrize("role", ["loader", "engine"])
def test_what_waits_is_measured_while_a_role_is_stopped(new_server: Callable[..., Server], role: str) -> None:
    """With the loader or the engine stopped, lag and backlog grow as they do in truth, and go back to 0 afterwards."""
    server = new_server()
    keys = create_app(server.data)
    headers = {"X-API-Key": keys["publishable_key"]}
    server.http.post("/v1/events/batch", json=whisperr_events(0, 1), headers=headers).raise_for_status()
    server.wait_loaded()
    worker = 'tenure_worker_last_success_seconds{worker="loader"}'
    wait_until(server, lambda seen: seen.get(worker, 1e9) < 5)
    os.kill(server.roles()[role], signal.SIGSTOP)
    try:
        for number in range(30):
            events = whisperr_events(1 + number, 1)
            server.http.post("/v1/events/batch", json=events, headers=headers).raise_for_status()
        seen = wait_until(server, lambda seen: seen["tenure_load_lag_seconds"] > 3)
        assert seen["tenure_pending_requests"] == 30
        assert seen["tenure_pending_bytes"] > 30 * 50
        assert seen[worker] > 2
        ready = server.http.get("/readyz").json()
        assert ready["loading"]["requests"] == 30
        assert ready["loading"]["behind_seconds"] > 2
    finally:
        os.kill(server.roles()[role], signal.SIGCONT)
    seen = wait_until(server, lambda seen: seen["tenure_pending_requests"] == 0)
    assert seen["tenure_load_lag_seconds"] == seen["tenure_pending_bytes"] == 0
