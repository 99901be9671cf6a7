"""Disks that fill: loading stops first, ingestion later, both say why, and go on by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenure.free_space import JOURNAL_SHARE, default_limit
from tests.harness import Server, create_app, whisperr_events
from tests.small_disk import MEBIBYTE, Ballast, free, small_disk

PATIENCE_SECONDS = 90
DISK_MEBIBYTES, LIMIT_MEBIBYTES = 96, 20
BATCH = 50


@pytest.mark.parametrize(
    ("size_mb", "limit_mb"), [(24, 6), (64, 16), (128, 16), (1_000, 100), (10_000, 1_000), (1_000_000, 1_024)]
)
def test_the_usual_limit_fits_small_and_large_disks(size_mb: int, limit_mb: int) -> None:
    """A tenth of the disk, 16 MiB to 1 GiB, and never more than a quarter."""
    assert default_limit(size_mb * MEBIBYTE) == limit_mb * MEBIBYTE


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, DISK_MEBIBYTES) as root:
        yield root


@pytest.fixture
def server(disk: Path) -> Iterator[Server]:
    running = Server(disk / "data", {"TENURE_MIN_FREE_MB": str(LIMIT_MEBIBYTES)})
    running.log = disk.parent / "server.log"
    running.start()
    yield running
    if running.process is not None:
        running.kill_tree()


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Sender:
    """Sends batches with events of their own, and knows how many events were acknowledged."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.keys = create_app(server.data)
        self.acknowledged = 0
        self.answer = ""

    def send(self, padding: int = 0) -> int:
        """Send one batch; returns the status."""
        events = whisperr_events(self.acknowledged, BATCH)
        for event in events["events"]:
            event["properties"]["padding"] = "x" * padding
        headers = {"X-API-Key": self.keys["publishable_key"]}
        answer = self.server.http.post("/v1/events/batch", json=events, headers=headers)
        self.answer = answer.text
        if answer.status_code == 202:
            self.acknowledged += BATCH
        else:
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status_code


def test_a_full_disk_stops_loading_then_ingestion_and_loses_nothing(disk: Path, server: Server) -> None:
    """Below the limit the journal takes events and the warehouse none; below a quarter of it, requests get a 503."""
    sender, ballast = Sender(server), Ballast(disk)
    assert sender.send() == 202
    server.wait_loaded()

    ballast.leave((LIMIT_MEBIBYTES - 2) * MEBIBYTE)
    wait_until(lambda: bool(server.http.get("/readyz").json()["loading"]["stopped"]), "loading stops")
    assert sender.send() == 202
    ready = server.http.get("/readyz").json()
    assert f"and {LIMIT_MEBIBYTES}.0 MiB are to stay free" in ready["loading"]["stopped"]
    assert [incident["kind"] for incident in ready["incidents"]] == ["free_space"]
    wait_until(lambda: waiting(server) == 1, "the batch waits")
    assert findings(server)["free space of the warehouse"]["holds"] is False

    ballast.leave((LIMIT_MEBIBYTES // JOURNAL_SHARE + 2) * MEBIBYTE)
    wait_until(lambda: sender.send(padding=2_000) == 503, "ingestion stops")
    assert "disk_full" in sender.answer
    assert free(disk) > 2 * MEBIBYTE
    refused = server.http.get("/readyz")
    assert refused.status_code == 503
    assert "the journal's disk has" in refused.json()["message"]

    ballast.leave(2 * LIMIT_MEBIBYTES * MEBIBYTE)
    wait_until(lambda: sender.send() == 202, "ingestion goes on")
    server.wait_loaded()
    wait_until(lambda: server.http.get("/readyz").json()["loading"]["stopped"] is None, "it says so")
    assert server.http.get("/readyz").json()["incidents"] == []
    items = server.read("/v1/events", sender.keys)["items"]
    assert [item["count"] for item in items] == [sender.acknowledged]


def waiting(server: Server) -> int:
    return int(server.http.get("/readyz").json()["loading"]["requests"])


def findings(server: Server) -> dict[str, dict[str, object]]:
    """What `tenure check` finds, by name."""
    command = [sys.executable, "-m", "tenure", "check", "--json", "--data", str(server.data)]
    environment = {"TENURE_MIN_FREE_MB": str(LIMIT_MEBIBYTES)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment
    )
    return {found["name"]: found for found in json.loads(done.stdout)}
