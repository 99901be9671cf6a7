"""`tenure serve` as an operator meets it: starts, refusals, stops, logs."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.harness import Server, create_app, tenure, whisperr_events

NewServer = Callable[..., Server]


def serve(data: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `tenure serve` to its end, which is expected to come soon."""
    return subprocess.run(
        [sys.executable, "-m", "tenure", "serve", "--data", str(data), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
        check=False,
    )


def test_second_instance_is_refused(server: Server) -> None:
    """Two servers on one data directory: the second says so and exits with 3."""
    done = serve(server.data, "--port", "1")
    assert (done.returncode, "another `tenure serve` is running" in done.stderr) == (3, True)
    assert server.http.get("/readyz").status_code == 200


def test_taken_port_is_refused(tmp_path: Path) -> None:
    """A port in use is named, with exit code 3, and no role is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve(tmp_path / "data", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 3
    assert "cannot listen on" in done.stderr
    assert "role started" not in done.stderr


def test_wrong_settings_are_all_told_at_once(tmp_path: Path) -> None:
    """Every wrong setting is a line; nothing starts; exit code 2."""
    done = serve(tmp_path / "data", TENURE_PORT="high", TENURE_LOAD_ROWS="1", TENURE_PROT="1")
    assert done.returncode == 2
    for name in ("TENURE_PORT", "TENURE_LOAD_ROWS", "TENURE_PROT"):
        assert name in done.stderr
    assert not (tmp_path / "data").exists()


def test_it_listens_on_loopback_only(server: Server) -> None:
    """Without --host no address but 127.0.0.1 answers, neither for http nor for the engine."""
    listening = subprocess.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True, check=True)
    port = f":{server.port:04X}"
    addresses = [line.split()[1] for line in listening.stdout.splitlines() if len(line.split()) > 3]
    assert {address.split(":")[0] for address in addresses if address.endswith(port)} == {"0100007F"}


@pytest.mark.soak
def test_restart_of_a_filled_directory_is_quick_and_whole(new_server: NewServer) -> None:
    """After a stop and a start everything is there, also what was loaded only at the stop."""
    server = new_server(TENURE_LOAD_INTERVAL_MS="60000")
    keys = create_app(server.data)
    time.sleep(0.5)  # let the loader find nothing, so that the stop has something to load
    server.http.post("/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=whisperr_events(0, 70))
    assert server.stop() == 0
    server.start()
    assert sum(row["count"] for row in server.read("/v1/events", keys)["items"]) == 70
    assert server.stop() == 0


def test_data_is_private_to_its_owner(server: Server) -> None:
    """Nobody else on the machine can read events, keys or the engine's secret."""
    assert server.data.stat().st_mode & 0o077 == 0
    assert (server.data / "run" / "engine.json").stat().st_mode & 0o077 == 0


@pytest.mark.rule("keys-not-echoed", "windback")
def test_logs_name_receipts_and_never_keys_or_bodies(new_server: NewServer) -> None:
    """At the most talkative level a log line has the app and the receipt; no key, no e-mail, no property is in it."""
    server = new_server(TENURE_LOG_LEVEL="debug", TENURE_LOG_FORMAT="json")
    keys = create_app(server.data)
    body = {"event": "canary_event", "customer_email": "canary@example.com", "properties": {"secret": "canary_value"}}
    for header in (keys["secret_key"], keys["read_key"], "sk_live_canary_key"):
        answer = server.http.post("/api/v1/track", headers={"X-API-Key": header}, json=body)
    answer = server.http.post("/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, json={**body, "event": ""})
    server.wait_loaded()
    server.read("/v1/customers/canary@example.com/timeline", keys)
    server.stop()
    log = server.log.read_text()
    for secret in (keys["secret_key"], keys["read_key"], "canary"):
        assert secret not in log
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    refused = next(line for line in lines if line["event"] == "request refused" and line["status"] == 400)
    assert (refused["app"], refused["receipt"]) == (keys["app"], answer.headers["tenure-receipt"])
    assert keys["secret_key"].startswith(refused["key"])


@pytest.mark.rule("overload", "whisperr")
@pytest.mark.rule("durable", "whisperr")
def test_full_journal_answers_503_and_recovers(new_server: NewServer) -> None:
    """While the loader cannot load, a bounded journal fills: 503 with Retry-After; nothing acknowledged is lost."""
    server = new_server(TENURE_JOURNAL_MAX_MB="1", TENURE_HTTP_WORKERS="1")
    keys = create_app(server.data)
    os.kill(server.roles()["loader"], 19)  # SIGSTOP: alive, and doing nothing
    accepted = 0
    while True:
        body = whisperr_events(accepted, 500)
        answer = server.http.post("/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=body)
        if answer.status_code != 202:
            break
        accepted += 500
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "journal_full"
    os.kill(server.roles()["loader"], 18)  # SIGCONT
    deadline = time.monotonic() + 60
    while answer.status_code != 202:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        answer = server.http.post("/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=body)
    server.wait_loaded()
    assert server.read("/v1/events", keys)["items"][0]["count"] == accepted + 500
    server.stop()


def test_metrics_of_all_processes_are_shown(server: Server) -> None:
    """One page has the counts of the http workers and of the loader."""
    keys = create_app(server.data, "metrics")
    server.http.post("/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=whisperr_events(0, 3))
    server.wait_loaded()
    text = server.http.get("/metrics").text
    assert 'tenure_events_accepted_total{dialect="whisperr"}' in text
    assert 'tenure_loaded_rows_total{table="event"}' in text


def test_docs_need_no_other_host(server: Server) -> None:
    """The documentation page and all that it loads come from this server, under a strict policy."""
    page = server.http.get("/docs")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for path in ("/static/swagger/swagger-ui.css", "/static/swagger/swagger-ui-bundle.js", "/static/docs.js"):
        assert path in page.text
        assert server.http.get(path).status_code == 200
    assert "https://" not in page.text
    assert server.http.get("/openapi.json").json()["paths"]["/v1/receipts/{receipt}"]


@pytest.mark.rule("unknown-key", "windback")
def test_key_that_is_revoked_stops_working_while_the_server_runs(server: Server) -> None:
    """`tenure key` works beside a running server: a new key at once, a revoked one not after a second or so."""
    keys = create_app(server.data, "revoking")
    headers = {"Authorization": f"Bearer {keys['read_key']}"}
    assert server.http.get("/v1/events", headers=headers).status_code == 200
    listed = json.loads(tenure("key", "list", "--app", "revoking", "--json", data=server.data))
    tenure("key", "revoke", next(row["id"] for row in listed if row["kind"] == "read"), data=server.data)
    deadline = time.monotonic() + 60
    while server.http.get("/v1/events", headers=headers).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert server.http.get("/v1/events", headers=headers).status_code == 401


def test_readers_wait_out_a_restart_of_the_engine(new_server: NewServer) -> None:
    """A question asked while the engine is being started again is answered when it is back."""
    server = new_server()
    keys = create_app(server.data)
    assert server.read("/v1/events", keys) == {"items": [], "similar": [], "identifiers": []}
    server.kill_role("engine")
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = server.http.get("/v1/events", headers={"Authorization": f"Bearer {keys['read_key']}"})
        except httpx.TransportError as error:  # the server itself must stay
            pytest.fail(str(error))
        if answer.status_code == 200:
            break
        assert answer.status_code == 503
        assert time.monotonic() < deadline
    server.stop()


def test_damaged_journal_row_is_set_aside_and_costs_nothing_else(new_server: NewServer) -> None:
    """A row that changed on disk is kept in a file, counted and logged; the requests around it are loaded."""
    server = new_server(TENURE_LOAD_INTERVAL_MS="60000")
    keys = create_app(server.data)
    time.sleep(1.5)  # the loader has looked by now, and looks again in a minute
    for start in (0, 10, 20):
        body = whisperr_events(start, 10)
        assert server.http.post(
            "/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=body
        ).is_success
    server.kill_tree()
    (journal,) = (server.data / "journal").glob("*.sqlite")
    with sqlite3.connect(journal) as db:
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (3,)
        db.execute("UPDATE entry SET payload = zeroblob(length(payload)) WHERE position = 2")
    server.start()
    server.wait_loaded()
    assert server.read("/v1/events", keys)["items"][0]["count"] == 20
    assert len(list((server.data / "journal" / "damaged").iterdir())) == 1
    assert "tenure_journal_damaged_total 1.0" in server.http.get("/metrics").text


def test_check_finds_a_whole_installation_whole(new_server: Callable[..., Server]) -> None:
    """`tenure check` beside a running server: every finding holds, and the books of an app are spelt out."""
    server = new_server()  # on which nobody else has made something wrong
    keys = create_app(server.data)
    batch = whisperr_events(0, 4)
    for _ in range(2):
        server.http.post("/v1/events/batch", headers={"X-API-Key": keys["publishable_key"]}, json=batch)
    server.wait_loaded()
    findings = json.loads(tenure("check", "--json", data=server.data))
    assert all(finding["holds"] for finding in findings)
    assert "received 8 = stored 4 + duplicates 4 + quarantined 0 + erased 0" in [
        finding["seen"] for finding in findings
    ]


def test_check_without_a_server_says_so(tmp_path: Path) -> None:
    """The warehouse is looked at through a server; without one the check fails, with the reason, and exit code 1."""
    create_app(tmp_path / "data")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        tenure("check", data=tmp_path / "data")
    assert failed.value.returncode == 1
    assert "start `tenure serve`" in failed.value.stdout
