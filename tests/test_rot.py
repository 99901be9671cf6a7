"""What a running server says of a damaged warehouse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tenure.warehouse.file_copies import FileCopies
from tests.harness import Server, create_app, whisperr_events


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Server, dict[str, str]]:
    """A server that has loaded some events and was stopped, and its keys."""
    server = Server(tmp_path / "data")
    keys = create_app(server.data)
    server.start()
    headers = {"X-API-Key": keys["secret_key"]}
    assert server.http.post("/v1/events/batch", json=whisperr_events(0, 50), headers=headers).status_code < 300
    server.wait_loaded()
    server.stop()
    return server, keys


def directory(server: Server, table: str) -> Path:
    """The directory of a table."""
    return next(found.path for found in FileCopies(server.data / "warehouse").tables() if found.name == table)


def change(path: Path) -> None:
    """Change half of a file."""
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.write(bytes(byte ^ 0x55 for byte in content[: len(content) // 2]))


def check(server: Server) -> list[Any]:
    """What `tenure check` finds wrong. It answers at once, whatever is."""
    done = subprocess.run([sys.executable, "-m", "tenure", "check", "--json", "--data", str(server.data)],
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    return [finding for finding in json.loads(done.stdout) if not finding["holds"]]


def test_a_part_that_cannot_be_read_is_said_everywhere(stopped: tuple[Server, dict[str, str]]) -> None:
    server, keys = stopped
    for part in directory(server, "event").glob("all_*"):
        change(part / "data.bin")
    server.start()
    reading = {"Authorization": f"Bearer {keys['read_key']}"}
    asked = "/v1/customers/user_1/timeline"
    assert server.http.get(asked, headers=reading).status_code == 503
    deadline = time.monotonic() + 60
    while not (incidents := server.http.get("/readyz").json()["incidents"]):
        assert time.monotonic() < deadline
    (incident,) = incidents
    assert (incident["kind"], incident["app"], incident["count"]) == ("part_damaged", keys["app"], 50)
    assert incident["place"].startswith("event all_")
    while "Tenure-Incomplete" not in (answer := server.http.get("/v1/customers", headers=reading)).headers:
        assert time.monotonic() < deadline
    assert answer.headers["Tenure-Incomplete"] == incident["id"]
    assert 'tenure_incidents{kind="part_damaged"} 1.0' in server.http.get("/metrics").text
    findings = check(server)
    assert any("event all_" in finding["seen"] or "table event" in finding["seen"] for finding in findings)
    server.stop()


def test_a_file_that_keeps_the_engine_from_starting_is_named(stopped: tuple[Server, dict[str, str]]) -> None:
    server, _ = stopped
    mutation = next(directory(server, "event").glob("mutation_*.txt"))
    for copy in (server.data / "warehouse" / "copies").rglob("table"):
        copy.unlink()
    mutation.write_bytes(b"\0" + mutation.read_bytes()[1:])
    server.launch()
    server.wait_ready()  # it accepts events all the same
    deadline = time.monotonic() + 60
    while not (server.data / "warehouse" / "open-failure.json").exists():
        assert time.monotonic() < deadline
    findings = check(server)
    assert any(mutation.name in finding["seen"] for finding in findings)
    server.kill_tree()
    done = subprocess.run([sys.executable, "-m", "tenure", "restore-parts", "--data", str(server.data)],
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert mutation.name in done.stdout
    server.start()
    server.wait_loaded()
    server.stop()


def test_what_the_journals_have_still_comes_back(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    keys = create_app(server.data)
    server.start()
    headers = {"X-API-Key": keys["secret_key"]}
    assert server.http.post("/v1/events/batch", json=whisperr_events(0, 50), headers=headers).status_code < 300
    for worker in server.workers():
        os.kill(worker, signal.SIGSTOP)  # it would prune what is loaded
    server.wait_loaded()
    server.kill_tree()
    for table in ("event", "arrival"):
        for part in directory(server, table).glob("all_*"):
            (part / "data.bin").write_bytes(b"")
    done = subprocess.run([sys.executable, "-m", "tenure", "restore-parts", "--json", "--data", str(server.data)],
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["lost"], report["replayed"]["event"], report["replayed"]["arrival"]) == ([], 50, 50)
    server.start()
    assert [(item["name"], item["count"]) for item in server.read("/v1/events", keys)["items"]] == [
        ("feature_used", 50)
    ]
    server.stop()
