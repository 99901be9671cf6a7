"""`tenure demo` end to end: a real engine, a real server, and the printed commands run by a shell."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness import Server, create_app, free_port, tenure

SMALL = ("--customers", "20", "--days", "60")
DIALECTS = ("churnkey", "windback", "customerscore", "whisperr")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a small demo, made without a server."""
    made = tmp_path_factory.mktemp("demo") / "data"
    tenure("demo", *SMALL, "--json", data=made)
    return made


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Server]:
    """A server on the demo's data directory."""
    server = Server(data)
    server.start()
    yield server
    assert server.stop() == 0, server.log.read_text()


def demo(server: Server, *arguments: str) -> dict[str, Any]:
    """What `tenure demo --json` says beside a running server."""
    said: dict[str, Any] = json.loads(
        tenure("demo", "--json", "--port", str(server.port), *arguments, data=server.data)
    )
    return said


def shell(command: str) -> Any:
    """The JSON that a command prints."""
    return json.loads(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout)


def test_second_run_changes_nothing_but_the_keys(running: Server) -> None:
    """The same app and events; the keys of the run before are not taken any more."""
    first = demo(running)
    running.wait_loaded()
    names = running.read("/v1/events", first["keys"])
    second = demo(running)
    assert (second["app"], second["customers"]) == (first["app"], first["customers"])
    assert running.read("/v1/events", second["keys"]) == names
    refused = running.http.get("/v1/events", headers={"Authorization": f"Bearer {first['keys']['read_key']}"})
    assert refused.status_code == 401


@pytest.mark.soak
def test_run_that_was_broken_off_is_taken_up_without_doubles(running: Server) -> None:
    """As if the first run had ended before it could say that all is loaded: everything is sent again."""
    keys = demo(running)["keys"]
    running.wait_loaded()
    names = running.read("/v1/events", keys)
    record = running.data / "demo.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"loaded_for": None}))
    again = demo(running)
    assert running.read("/v1/events", again["keys"]) == names


def test_customers_are_found_by_each_of_their_ids(running: Server) -> None:
    """One timeline, whichever system's id is asked for."""
    said = demo(running)
    for customer in said["customers"]:
        timelines = [
            running.read(f"/v1/customers/{customer[kind]}/timeline", said["keys"], limit=1_000)["items"]
            for kind in ("customer_id", "uid", "email")
        ]
        assert timelines[0] == timelines[1] == timelines[2]
        assert {item["dialect"] for item in timelines[0]} >= {"churnkey", "windback", "whisperr"}


def test_printed_commands_work_as_printed(running: Server) -> None:
    """Each dialect's event is taken and comes up on the timeline; the view and the list answer."""
    said = demo(running)
    assert said["base_url"] == running.url
    replies = {dialect: shell(said["curls"][dialect]) for dialect in DIALECTS}
    assert replies["churnkey"] == {"status": "success", "verified": True}
    assert replies["windback"] == {"status": "ok"}
    assert replies["customerscore"] == {"status": "ok", "received": 1}
    assert replies["whisperr"]["processing"] == "queued"
    running.wait_loaded()
    newest = shell(said["curls"]["timeline"])["items"][:4]
    assert {item["dialect"] for item in newest} == set(DIALECTS)
    whole = shell(said["curls"]["customer"])
    assert said["customers"][0]["customer_id"] in whole["id"]
    assert whole["activity"]["count"] >= len(newest)
    listed = shell(said["curls"]["customers"])["items"]
    assert len(listed) == 5
    assert whole["id"] not in [customer["id"] for customer in listed]
    paid_by = mrr_by_customer(running, said["keys"])
    mrr = Decimal(shell(said["curls"]["mrr"])["rows"][-1]["closing"])
    assert abs(mrr - sum(paid_by)) <= len(paid_by) * Decimal("0.005")  # each is shown to a cent
    assert mrr > 100
    paid = shell(said["curls"]["subscriptions"])
    assert paid["items"][0]["status"] == whole["billing"]["status"]
    assert {"login", "page_viewed", "trial_started"} <= {
        name["name"] for name in shell(said["curls"]["events"])["items"]
    }


def mrr_by_customer(server: Server, keys: dict[str, str]) -> list[Decimal]:
    """What each customer on the list pays."""
    items = server.read("/v1/customers", keys, limit=1_000)["items"]
    return [Decimal(item["billing"]["mrr"]) for item in items if item["billing"]]


def test_text_has_the_same_commands_whole(running: Server) -> None:
    """What a person copies from the terminal is not wrapped or coloured."""
    text = tenure("demo", "--port", str(running.port), data=running.data)
    blocks = [block for block in text.split("\n\n") if block.startswith("# ")]
    assert len(blocks) == len(DIALECTS) + 7
    for block in blocks:
        assert "error" not in shell(block), block
    assert f"{running.url}/docs" in text


def test_serve_prints_when_ready_and_goes_on(tmp_path: Path) -> None:
    """`--serve` makes the demo beside the server, prints when all of it is there, and stops as `tenure serve` does."""
    port, data = free_port(), tmp_path / "data"
    command = [
        sys.executable,
        "-m",
        "tenure",
        "demo",
        "--serve",
        "--json",
        *SMALL,
        "--port",
        str(port),
        "--data",
        str(data),
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        said = json.loads("".join(lines))
        answer = httpx.get(
            f"{said['base_url']}/v1/events", headers={"Authorization": f"Bearer {said['keys']['read_key']}"}
        )
        assert answer.status_code == 200
        recorded = json.loads((data / "demo.json").read_text())
        assert sum(name["count"] for name in answer.json()["items"]) == recorded["events"] > 300
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    assert code == 0, (tmp_path / "log").read_text()


def test_another_size_is_refused(data: Path) -> None:
    """The history is made once: asking for another one says so instead of mixing the two."""
    assert "--customers 20" in fails("demo", "--customers", "21", data=data)


def test_app_of_somebody_else_is_not_filled(tmp_path: Path) -> None:
    """An app that happens to be named `demo` keeps its keys and gets no events."""
    create_app(tmp_path / "data", "demo")
    assert "did not make" in fails("demo", *SMALL, data=tmp_path / "data")


def fails(*arguments: str, data: Path) -> str:
    """What a command that ends with exit code 1 says."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        tenure(*arguments, data=data)
    assert caught.value.returncode == 1
    return str(caught.value.stderr)
