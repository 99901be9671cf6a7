"""`tenure-client` for Node delivers to a real server: once each, through a crash of the program."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.harness import Server

NODE = Path(__file__).parent / "node"
ROOT = Path(__file__).parents[2]
Keys = dict[str, str]


def timeline(server: Server, keys: Keys, customer: str) -> list[dict[str, Any]]:
    server.wait_loaded()
    items: list[dict[str, Any]] = server.read(f"/v1/customers/{customer}/timeline", keys, limit=1_000)["items"]
    return items


def numbers(server: Server, keys: Keys) -> list[int]:
    return sorted(item["properties"]["n"] for item in timeline(server, keys, "cus_node"))


def test_node(server: Server, keys: Keys) -> None:
    """The client identifies and tracks; every event is there once and nothing is reported."""
    command = ["node", "deliver_sdk.mjs", server.url, keys["secret_key"], "250"]
    subprocess.run(command, cwd=NODE, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert numbers(server, keys) == list(range(250))


def test_the_example_of_the_documentation(server: Server, keys: Keys, tmp_path: Path) -> None:
    """The Node example of `docs/clients.md` runs as it stands, but for the address and the path."""
    example = (ROOT / "docs" / "clients.md").read_text().split("```js\n")[1].split("```")[0]
    example = example.replace("https://tenure.example.com", server.url).replace("/var/lib/my-app", str(tmp_path))
    script = f"const SECRET_KEY = {json.dumps(keys['secret_key'])}\n" + example
    command = ["node", "--input-type=module", "--eval", script]
    subprocess.run(command, cwd=ROOT / "sdk" / "js", check=True, timeout=60)
    assert [item["name"] for item in timeline(server, keys, "cus_abc")] == ["invoice_paid"]


def test_kill_of_the_program(server: Server, keys: Keys, tmp_path: Path) -> None:
    """After kill -9 in mid-flight, every event whose track returned is on the timeline once."""
    queue = str(tmp_path / "queue")
    process = subprocess.Popen(
        ["node", "deliver_sdk.mjs", server.url, keys["secret_key"], "900", queue, "for ever"],
        cwd=NODE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        for _ in range(300):
            output.readline()
        process.kill()
        rest = output.read().split()
    process.wait(10)
    tracked = int(rest[-1]) + 1 if rest else 300
    next_one = ["node", "deliver_sdk.mjs", server.url, keys["secret_key"], "0", queue]
    subprocess.run(next_one, cwd=NODE, check=True, timeout=60)
    found = numbers(server, keys)
    # The last event may be on the disk although its track had not returned yet.
    assert found in (list(range(tracked)), list(range(tracked + 1)))
