"""The vendors' published clients, unmodified but for their base URL, deliver to a real server."""

from __future__ import annotations

import subprocess
from pathlib import Path

from whisperr import Whisperr

from tests.harness import Server

NODE = Path(__file__).parent / "node"
Keys = dict[str, str]


def timeline_numbers(server: Server, keys: Keys, user: str) -> list[int]:
    items = server.read(f"/v1/customers/{user}/timeline", keys, limit=1_000)["items"]
    return sorted(item["properties"]["n"] for item in items)


def test_whisperr_for_python(server: Server, keys: Keys) -> None:
    """`whisperr` (PyPI) identifies and tracks from its own thread; every event is there once."""
    errors: list[object] = []
    client = Whisperr(keys["publishable_key"], base_url=server.url, on_error=errors.append)
    client.identify("user_python", traits={"plan": "pro"}, email="python@example.com")
    for n in range(620):
        client.track("user_python", "feature_used", {"n": n})
    client.flush()
    client.shutdown()
    assert errors == []
    server.wait_loaded()
    assert timeline_numbers(server, keys, "user_python") == list(range(620))


def test_whisperr_for_python_recovers_from_a_wrong_key(server: Server, keys: Keys) -> None:
    """A 401 makes the client pause and keep its queue; with the right key the same events arrive."""
    errors: list[object] = []
    client = Whisperr("wrk_not_a_key", base_url=server.url, on_error=errors.append)
    client.track("user_python", "feature_used", {"n": 1})
    client.flush()
    assert [error.type for error in errors] == ["auth"]  # type: ignore[attr-defined]
    client._transport._key = keys["publishable_key"]
    client.flush()
    client.shutdown()
    server.wait_loaded()
    assert timeline_numbers(server, keys, "user_python") == [1]


def test_whisperr_for_node(server: Server, keys: Keys) -> None:
    """`@whisperr/node` (npm) does the same from Node."""
    command = ["node", "deliver.mjs", server.url, keys["publishable_key"], "620"]
    subprocess.run(command, cwd=NODE, check=True, timeout=60)
    server.wait_loaded()
    assert timeline_numbers(server, keys, "user_node") == list(range(620))
