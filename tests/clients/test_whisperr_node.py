"""`@whisperr/node` and its Express helper (npm), unmodified but for the base URL, deliver to a real server."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.clients.arrivals import Keys, events, identifies, import_key, names, numbers
from tests.clients.outage import Outage
from tests.clients.processes import answer_of, node, running, serving
from tests.harness import Server, create_app

pytestmark = pytest.mark.rule("client-whisperr-node", "whisperr")

USER = "user_node"


def test_track_identify_and_shutdown(server: Server, keys: Keys) -> None:
    """With its own defaults it delivers identify and events, in batches of up to 500, each once."""
    assert answer_of("deliver.mjs", server.url, keys["publishable_key"], "620") == []
    server.wait_loaded()
    items = events(server, keys, f"uid:{USER}")
    assert numbers(items) == list(range(620))
    assert items[0]["context"] == {"locale": "da", "$message_id": items[0]["message_id"]}
    (identify,) = identifies(server, keys, USER)
    assert identify["traits"] == {"plan": "pro", "$preferred_channel": "email"}
    assert identify["channels"] == [{"channel": "email", "address": "node@example.com", "opted_in": True}]


def test_unknown_key_then_recovery(server: Server, keys: Keys, vendor_key: str) -> None:
    """A 401 makes the client keep its queue; once its key is imported, the same queue arrives."""
    with running(node("interrupted.mjs", server.url, vendor_key, "3")) as client:
        assert json.loads(client.read_line()) == ["auth"]
        import_key(server, keys, vendor_key)
        client.write_line("flush")
        assert json.loads(client.read_line()) == ["auth"]
    server.wait_loaded()
    assert numbers(events(server, keys, f"uid:{USER}")) == [0, 1, 2]


def test_503_then_shutdown(outage: Outage) -> None:
    """What a 503 kept in the queue is delivered, once, by the shutdown after it."""
    with running(node("interrupted.mjs", outage.server.url, outage.keys["publishable_key"], "20")) as client:
        assert json.loads(client.read_line()) == ["retry_exhausted"]
        outage.end()
    outage.server.wait_loaded()
    assert numbers(events(outage.server, outage.keys, f"uid:{USER}")) == list(range(20))


def test_server_that_starts_later(tmp_path: Path) -> None:
    """Events tracked while no server listens are delivered, once, when one does."""
    server = Server(tmp_path / "data")
    keys = create_app(server.data)
    with ExitStack() as at_the_end:
        with running(node("interrupted.mjs", server.url, keys["publishable_key"], "3")) as client:
            assert json.loads(client.read_line()) == ["retry_exhausted"]
            server.launch()
            at_the_end.callback(server.kill_tree)
            server.wait_ready()
            client.write_line("flush")
            assert json.loads(client.read_line()) == ["retry_exhausted"]
        server.wait_loaded()
        assert numbers(events(server, keys, f"uid:{USER}")) == [0, 1, 2]


def test_express_helper_with_a_user(server: Server, keys: Keys) -> None:
    """`req.whisperr` identifies and tracks the user, wherever the site's authentication left it; none: nothing."""
    middlewares = ["passport", "jwt", "clerk", "own"]
    with serving(node("express.mjs", server.url, keys["publishable_key"])) as site:
        assert httpx.post(f"{site}/upgrade").json() == {"user": None}
        for name in middlewares:
            user = f"ada_of_{name}"
            assert httpx.post(f"{site}/upgrade", headers={"X-Auth": name, "X-User": user}).json() == {"user": user}
    server.wait_loaded()
    for name in middlewares:
        (item,) = events(server, keys, f"uid:ada_of_{name}")
        assert (item["name"], item["properties"]) == ("plan_upgraded", {"plan": "pro"})
        assert item["context"]["locale"] == "da"
        (identify,) = identifies(server, keys, f"ada_of_{name}")
        assert identify["traits"] == {"plan": "pro"}
    assert [row["count"] for row in server.read("/v1/events", keys)["items"]] == [len(middlewares)]


def test_express_helper_with_the_sites_own_function(server: Server, keys: Keys) -> None:
    """With `resolveUser` events are kept under what it says; a webhook uses the client itself."""
    with serving(node("express.mjs", server.url, keys["publishable_key"])) as site:
        httpx.post(f"{site}/accounts/upgrade", headers={"X-Account": "acme"}).raise_for_status()
        httpx.post(f"{site}/webhook").raise_for_status()
    server.wait_loaded()
    assert names(events(server, keys, "uid:acme")) == ["plan_upgraded"]
    assert names(events(server, keys, "uid:customer_of_webhook")) == ["payment_failed"]
