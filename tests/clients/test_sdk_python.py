"""`tenure-client` for Python delivers to a real server: once each, through crashes of either side."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tenure_client import AsyncClient, Client, Report, sign

from tests.harness import Server, create_app

SOURCES = Path(__file__).parents[2] / "sdk" / "python" / "src"
Keys = dict[str, str]


def timeline(server: Server, keys: Keys, customer: str) -> list[dict[str, Any]]:
    server.wait_loaded()
    items: list[dict[str, Any]] = server.read(f"/v1/customers/{customer}/timeline", keys, limit=1_000)["items"]
    return items


def numbers(server: Server, keys: Keys, customer: str) -> list[int]:
    return sorted(item["properties"]["n"] for item in timeline(server, keys, customer))


def test_threads(server: Server, keys: Keys) -> None:
    """`Client` identifies and tracks; every event is there once, verified, and nothing is reported."""
    reports: list[Report] = []
    with Client(server.url, keys["secret_key"], on_error=reports.append) as client:
        client.identify(customer_id="cus_threads", traits={"plan": "pro"})
        for n in range(250):
            client.track("feature_used", customer_id="cus_threads", properties={"n": n})
        assert client.flush() == 0
        assert client.counts.delivered == 251
    assert reports == []
    assert numbers(server, keys, "cus_threads") == list(range(250))
    assert {item["verified"] for item in timeline(server, keys, "cus_threads")} == {True}


def test_asyncio(server: Server, keys: Keys) -> None:
    """`AsyncClient` does the same."""

    async def main() -> None:
        async with AsyncClient(server.url, keys["secret_key"]) as client:
            await asyncio.gather(
                *[client.track("feature_used", customer_id="cus_tasks", properties={"n": n}) for n in range(250)]
            )
            assert await client.flush() == 0

    asyncio.run(main())
    assert numbers(server, keys, "cus_tasks") == list(range(250))


def test_signed_events_are_verified(server: Server, keys: Keys) -> None:
    """With a publishable key `sign` makes an event verified; a wrong signature is reported and holds nothing up."""
    reports: list[Report] = []
    with Client(server.url, keys["publishable_key"], on_error=reports.append, background=False) as client:
        right = sign(keys["secret_key"], "cus_signed")
        client.track("right", customer_id="cus_signed", auth_hash=right)
        client.track("none", customer_id="cus_signed")
        client.track("wrong", customer_id="cus_signed", auth_hash="0" * 64)
        assert client.flush() == 0
        client.track("wrong_alone", customer_id="cus_signed", auth_hash="0" * 64)
        assert client.flush() == 0
        client.track("later", customer_id="cus_signed", auth_hash=right)
    assert [(report.kind, report.code, report.count) for report in reports] == [("invalid", "wrong_auth_hash", 1)] * 2
    found = {item["name"]: item["verified"] for item in timeline(server, keys, "cus_signed")}
    assert found == {"right": True, "none": False, "later": True}


def test_a_wrong_key_keeps_the_queue(server: Server, keys: Keys) -> None:
    """An unknown key and a key of the wrong kind pause; with the right key the same events arrive."""
    reports: list[Report] = []
    with Client(server.url, "not_a_key", on_error=reports.append) as client:
        client.track("feature_used", customer_id="cus_key", properties={"n": 1})
        assert client.flush() == 1
        client.set_key(keys["read_key"])
        assert client.flush() == 1
        client.set_key(keys["secret_key"])
        assert client.flush() == 0
    assert {report.kind for report in reports} == {"auth"}
    assert {report.status for report in reports} == {401, 403}
    assert numbers(server, keys, "cus_key") == [1]


def test_what_the_server_refuses_is_reported(server: Server, keys: Keys) -> None:
    """An element that the server refuses, and one whose message id was used for another, are reported by their ids."""
    reports: list[Report] = []
    with Client(server.url, keys["secret_key"], on_error=reports.append, background=False) as client:
        client.track("x" * 300, customer_id="cus_refused", message_id="long")
        client.track("feature_used", customer_id="cus_refused", message_id="again", properties={"n": 1})
        assert client.flush() == 0
        client.track("feature_used", customer_id="cus_refused", message_id="again", properties={"n": 2})
        assert client.flush() == 0
    assert [(report.kind, report.message_ids) for report in reports] == [
        ("invalid", ("long",)),
        ("conflict", ("again",)),
    ]
    assert numbers(server, keys, "cus_refused") == [1]


def test_the_example_of_the_documentation(server: Server, keys: Keys, tmp_path: Path) -> None:
    """The Python example of `docs/clients.md` runs as it stands, but for the address and the path."""
    text = (SOURCES.parents[2] / "docs" / "clients.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    example = example.replace("https://tenure.example.com", server.url).replace("/var/lib/my-app", str(tmp_path))
    exec(example, {"SECRET_KEY": keys["secret_key"]})
    assert [item["name"] for item in timeline(server, keys, "cus_abc")] == ["invoice_paid"]


def test_kill_of_the_program(server: Server, keys: Keys, tmp_path: Path) -> None:
    """After kill -9 in mid-flight, every event whose track returned is on the timeline once."""
    script = """
import sys
from tenure_client import Client
client = Client(sys.argv[1], sys.argv[2], queue_path=sys.argv[3], flush_interval=0, batch_size=7)
for n in range(900):
    client.track("feature_used", customer_id="cus_kill", properties={"n": n})
    print(n, flush=True)
"""
    queue = tmp_path / "queue.db"
    process = subprocess.Popen(
        [sys.executable, "-c", script, server.url, keys["secret_key"], str(queue)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
    )
    assert process.stdout is not None
    with process.stdout as output:
        for _ in range(300):
            output.readline()
        process.kill()
        rest = output.read().split()
    process.wait(10)
    tracked = int(rest[-1]) + 1 if rest else 300
    with Client(server.url, keys["secret_key"], queue_path=queue) as client:
        assert client.flush() == 0
    found = numbers(server, keys, "cus_kill")
    # The last event may be on the disk although its track had not returned yet.
    assert found in (list(range(tracked)), list(range(tracked + 1)))


@pytest.mark.soak
def test_kill_of_the_server(new_server: Callable[..., Server]) -> None:
    """Events tracked while the server is killed and started again are each on the timeline once."""
    server = new_server()
    keys = create_app(server.data)
    with Client(server.url, keys["secret_key"], flush_interval=0, batch_size=10, backoff_max=0.5) as client:
        for n in range(400):
            client.track("feature_used", customer_id="cus_down", properties={"n": n})
            if n == 200:
                server.kill_tree()
        server.start()
        assert client.flush(60) == 0
        assert client.counts.delivered == 400
    assert numbers(server, keys, "cus_down") == list(range(400))
