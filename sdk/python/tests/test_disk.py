"""The queue in a file: crashes, several processes, and files that cannot be used."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted import ScriptedServer

from tenure_client import Client, QueueFault, Report, disk
from tenure_client.disk import DiskQueue

Program = Callable[..., "subprocess.Popen[str]"]


def sent(server: ScriptedServer) -> set[str]:
    return {event["message_id"] for request in server.requests for event in request.events}


def test_kill(server: ScriptedServer, program: Program, tmp_path: Path) -> None:
    """After kill -9 the next client of the same path delivers every event whose track returned."""
    script = """
client = Client('http://127.0.0.1:9', 'sk', queue_path=queue, flush_interval=0.01)
while True:
    say(client.track('feature_used', customer_id='cus_1'))
"""
    process = program(script, tmp_path / "queue.db")
    assert process.stdout is not None
    tracked = [process.stdout.readline().strip() for _ in range(150)]
    process.kill()
    tracked += process.stdout.read().splitlines()[:-1]
    with Client(server.url, "sk", queue_path=tmp_path / "queue.db") as client:
        assert client.flush() == 0
    assert set(tracked) <= sent(server)


def test_close_keeps_what_was_not_sent(server: ScriptedServer, tmp_path: Path) -> None:
    """What close could not send is delivered by the next client, without a call of track, and was not reported lost."""
    reports: list[Report] = []
    with Client("http://127.0.0.1:9", "sk", queue_path=tmp_path / "queue.db", on_error=reports.append) as client:
        message_id = client.track("feature_used", customer_id="cus_1")
        assert client.close(0.2) == 1
    assert {report.kind for report in reports} <= {"retry"}
    with Client(server.url, "sk", queue_path=tmp_path / "queue.db"):
        pass
    assert sent(server) == {message_id}


def test_one_process_at_a_time_sends(tmp_path: Path) -> None:
    """Every queue of a file takes events; only one may send, and when it is closed another may."""
    first, second = DiskQueue(tmp_path / "queue.db"), DiskQueue(tmp_path / "queue.db")
    first.append(b"1")
    second.append(b"22")
    assert first.claim()
    assert first.claim()
    assert not second.claim()
    assert second.size() == (2, 3)
    assert [item.body for item in second.head(9)] == [b"1", b"22"]
    first.close()
    assert second.claim()
    second.remove(second.head(9))
    assert second.size() == (0, 0)
    second.close()


def test_many_processes_share_a_file(server: ScriptedServer, program: Program, tmp_path: Path) -> None:
    """Processes that start at the same moment on a new file lose nothing of each other."""
    script = """
with Client(url, 'sk', queue_path=queue, flush_interval=0.01) as client:
    for n in range(30):
        say(client.track('feature_used', customer_id='cus_1'))
    assert client.flush() == 0
"""
    processes = [program(script, tmp_path / "queue.db") for _ in range(5)]
    tracked: set[str] = set()
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        tracked |= set(output.split())
    assert len(tracked) == 150
    assert sent(server) == tracked


def test_a_file_that_fails_later(server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that cannot be written is dropped with a report, track says so, and the client goes on afterwards."""
    monkeypatch.setattr(disk, "BUSY_SECONDS", 0.01)
    reports: list[Report] = []
    path = tmp_path / "queue.db"
    with Client(server.url, "sk", queue_path=path, on_error=reports.append, background=False) as client:
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        assert client.track("feature_used", customer_id="cus_1") is None
        blocker.execute("ROLLBACK")
        blocker.close()
        assert client.track("feature_used", customer_id="cus_1") is not None
        assert client.flush() == 0
        assert vars(client.counts) == {"delivered": 1, "queued": 0, "dropped": 1}
    assert [report.kind for report in reports] == ["disk"]


def test_a_file_that_is_busy_after_a_delivery(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that were delivered but could not be removed are sent again with the same message ids."""
    monkeypatch.setattr(disk, "BUSY_SECONDS", 0.01)
    path = tmp_path / "queue.db"
    reports: list[Report] = []
    with Client(
        server.url, "sk", queue_path=path, on_error=reports.append, background=False, backoff_base=0.01
    ) as client:
        message_id = client.track("feature_used", customer_id="cus_1")
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        assert client.flush(0.3) == 1
        blocker.execute("ROLLBACK")
        blocker.close()
        assert client.flush() == 0
        assert client.counts.delivered == 1
    assert sent(server) == {message_id}
    assert {report.kind for report in reports} == {"disk"}


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """A file that is not a queue, one of a later version, and a directory that is not there are errors at once."""
    (tmp_path / "text").write_text("This is not a database at all." * 100)
    later = sqlite3.connect(tmp_path / "later.db")
    later.execute("PRAGMA user_version = 99")
    later.close()
    for name in ("text", "later.db", "missing/queue.db"):
        with pytest.raises(QueueFault, match=name):
            Client("http://127.0.0.1:9", "sk", queue_path=tmp_path / name)


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """Events are data of customers: the file is readable by its owner alone."""
    DiskQueue(tmp_path / "queue.db").close()
    assert stat.S_IMODE((tmp_path / "queue.db").stat().st_mode) == 0o600
