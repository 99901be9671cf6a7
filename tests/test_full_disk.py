"""What else must go on while a disk is full: metrics, and the log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness import Server, create_app, whisperr_events
from tests.small_disk import Ballast, small_disk

COUNT = """
from tenure.telemetry import REFUSALS
for number in range({values}):
    REFUSALS.labels("whisperr", str(number), "true").inc()
print("counted")
"""
SHOW = "from tenure.telemetry import exposition; print(exposition().decode())"


def run(program: str, metrics: Path) -> str:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr}"
    return done.stdout


def test_a_process_that_starts_on_a_full_disk_lives(tmp_path: Path) -> None:
    """It counts in memory, and the counts of others are shown."""
    with small_disk(tmp_path, 8) as disk:
        metrics = disk / "metrics"
        metrics.mkdir()
        run(COUNT.format(values=1), metrics)
        Ballast(disk).leave(0)
        assert "counted" in run(COUNT.format(values=2_000), metrics)
        assert 'tenure_refusals_total{code="0",dialect="whisperr",reported="true"} 1.0' in run(SHOW, metrics)


def test_files_of_metrics_grow_while_there_is_room(tmp_path: Path) -> None:
    """Many values of one process are all shown."""
    run(COUNT.format(values=2_000), tmp_path)
    assert run(SHOW, tmp_path).count("tenure_refusals_total{") == 2_000


def test_a_log_that_cannot_be_written_changes_no_answer(tmp_path: Path) -> None:
    """With standard error on a full device, requests are taken and refused as ever."""
    server = Server(tmp_path / "data")
    server.log.touch()
    command = [sys.executable, "-m", "tenure", "serve", "--data", str(server.data), "--port", str(server.port)]
    with Path("/dev/full").open("ab") as full:
        server.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=full)
    try:
        server.wait_ready()
        keys = create_app(server.data)
        headers = {"X-API-Key": keys["publishable_key"]}
        taken = server.http.post("/v1/events/batch", json=whisperr_events(0, 2), headers=headers)
        assert taken.status_code == 202
        refused = server.http.post("/v1/events/batch", content=b"{", headers=headers)
        assert refused.status_code == 400
        server.wait_loaded()
        assert server.read("/v1/events", keys)["items"][0]["count"] == 2
    finally:
        server.kill_tree()
