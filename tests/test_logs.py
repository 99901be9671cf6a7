"""Every error is logged once, as JSON, on standard error, whichever part of a real server it is in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness import READY_SECONDS, create_app, free_port, tenure

FAILING = """
import tenure.customers.catalogue, tenure.ingest.intake
def fail(*args, **named):
    raise RuntimeError("made to fail")
tenure.customers.catalogue.event_names = fail
tenure.ingest.intake.Intake.keep = fail
"""
"""What a process is made to import first, so that some of its answers fail."""


class Running:
    """A `tenure serve` whose two outputs are kept apart."""

    def __init__(self, data: Path, *options: str, host: str = "127.0.0.1", preload: str = "") -> None:
        self.port = free_port()
        self.out, self.err = data.with_name("out"), data.with_name("err")
        path = data.with_name("preload")
        path.mkdir()
        (path / "sitecustomize.py").write_text(preload)
        environment = os.environ | {
            "PYTHONPATH": f"{path}:{os.environ.get('PYTHONPATH', '')}",
            "TENURE_LOG_FORMAT": "json",
        }
        command = [
            sys.executable,
            "-m",
            "tenure",
            "serve",
            "--data",
            str(data),
            "--port",
            str(self.port),
            "--host",
            host,
        ]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen([*command, *options], stdout=out, stderr=err, env=environment)
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        self.wait(self.is_ready)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.02)

    def lines(self) -> list[dict[str, object]]:
        """What was logged; each line is JSON."""
        return [json.loads(line) for line in self.err.read_text().splitlines()]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def start(*options: str, **named: str) -> Running:
        made.append(Running(tmp_path / "data", *options, **named))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.end(signal.SIGTERM)


def test_every_error_is_logged_once_as_json_on_standard_error(run: Callable[..., Running], tmp_path: Path) -> None:
    """Of the API, of the pages, of what takes events; standard output has the link alone."""
    running = run(preload=FAILING)
    keys = create_app(tmp_path / "data")
    bearer = {"Authorization": f"Bearer {keys['read_key']}"}
    assert httpx.get(f"{running.url}/v1/events", headers=bearer).json()["error"] == "internal_error"
    events = {"events": [{"event": "login", "customer_id": "c"}]}
    sent = httpx.post(f"{running.url}/v1/ingest", json=events, headers={"X-API-Key": keys["secret_key"]})
    assert sent.status_code == 500
    link = json.loads(tenure("user", "link", "--json", data=tmp_path / "data"))["link"]
    with httpx.Client(base_url=running.url, headers={"Sec-Fetch-Site": "same-origin"}) as browser:
        form = {"code": link.partition("#")[2], "email": "a@example.com", "password": "correct horse battery"}
        assert browser.post("/welcome", data=form).status_code == 303
        page = browser.get(f"/apps/{keys['app']}/events")
        assert page.status_code == 500
        assert "<html" in page.text
    running.wait(lambda: "Open the pages" in running.out.read_text())
    assert running.end(signal.SIGTERM) == 0
    failed = [line for line in running.lines() if "made to fail" in str(line)]
    assert sorted((str(line["event"]), str(line["path"])) for line in failed) == [
        ("ingest failed", "/v1/ingest"),
        ("request failed", f"/apps/{keys['app']}/events"),
        ("request failed", "/v1/events"),
    ]
    assert all("Traceback" in str(line["exception"]) for line in failed)
    assert "Traceback" not in running.out.read_text()


CRASHES = {
    "thread failed": "threading.Thread(target=lambda: 1 / 0).start()",
    "process failed": "1 / 0",
    "warned": "warnings.warn('warned')",
}


@pytest.mark.parametrize("said", CRASHES)
def test_what_python_would_print_is_logged(said: str) -> None:
    """What ends a process or a thread, and warnings."""
    program = f"""
import threading, warnings
from tenure import logs
from tenure.settings import Settings
logs.configure(Settings.load({{"log_format": "json"}}, {{}}), "test")
{CRASHES[said]}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert said in json.loads(line)["event"]
    assert not done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_stops_in_order_by_each_signal_that_says_stop(
    run: Callable[..., Running], tmp_path: Path, number: signal.Signals
) -> None:
    """What was accepted is loaded, and the exit code is 0; SIGHUP is what a terminal sends that is closed."""
    running = run()
    assert running.end(number) == 0
    events = [str(line["event"]) for line in running.lines()]
    assert events.index("stopping") < events.index("stopped")
    assert "http worker ended" not in events


def test_a_link_leads_to_where_the_server_listens(run: Callable[..., Running], tmp_path: Path) -> None:
    """Be it on an IPv6 address, at a port of the command line; once it has stopped, the command says so."""
    running = run(host="::1")
    first = json.loads(tenure("user", "link", "--json", data=tmp_path / "data"))["link"]
    assert first.startswith(f"http://[::1]:{running.port}/welcome#")
    assert any(line["event"] == f"Tenure on http://[::1]:{running.port}" for line in running.lines())
    assert running.end(signal.SIGTERM) == 0
    command = [sys.executable, "-m", "tenure", "user", "link", "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("http://127.0.0.1:8750/welcome#")
    assert "No server runs" in done.stderr
