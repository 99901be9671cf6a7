"""`whisperr` (PyPI), unmodified but for its base URL, delivers to a real server."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from whisperr import BillingEvent, Whisperr, __version__

from tests.clients.arrivals import Keys, events, identifies, import_key, names, numbers, until
from tests.clients.outage import Outage
from tests.harness import Server, create_app

pytestmark = pytest.mark.rule("client-whisperr-python", "whisperr")

USER = "user_python"
BILLING = [
    "auto_renew_disabled",
    "auto_renew_enabled",
    "billing_issue_started",
    "billing_recovered",
    "membership_ended",
    "membership_started",
    "refund_granted",
    "renewal_succeeded",
    "trial_auto_renew_disabled",
    "trial_converted",
    "trial_started",
]


def new_client(url: str, key: str, **options: Any) -> tuple[Whisperr, list[str]]:
    """A client that sends nothing before a flush or a shutdown, and the types of the errors that it reports."""
    reports: list[str] = []
    quiet = {"flush_at": 1_000_000, "flush_interval": 3_600.0}
    return Whisperr(key, base_url=url, on_error=lambda error: reports.append(error.type), **quiet | options), reports


def test_events_from_the_clients_own_thread(server: Server, keys: Keys) -> None:
    """With its own defaults it delivers from its thread, in batches of up to 500; every event is there once."""
    client, reports = new_client(server.url, keys["publishable_key"], flush_at=20, flush_interval=10.0)
    for n in range(620):
        client.track(USER, "feature_used", {"n": n})
    client.flush()
    client.shutdown()
    assert reports == []
    server.wait_loaded()
    assert numbers(events(server, keys, f"uid:{USER}")) == list(range(620))


def test_events_from_several_threads(server: Server, keys: Keys) -> None:
    """Threads that share a client, as those of a web server do, each flushing too, lose and double nothing."""
    client, reports = new_client(server.url, keys["publishable_key"], flush_at=20)

    def work(thread: int) -> None:
        for n in range(50):
            client.track(f"user_{thread}", "feature_used", {"n": n})
        client.flush()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    client.shutdown()
    assert reports == []
    server.wait_loaded()
    for thread in range(8):
        assert numbers(events(server, keys, f"uid:user_{thread}")) == list(range(50))


def test_identify_with_traits_and_channels(server: Server, keys: Keys) -> None:
    """Traits, the preferred channel and the addresses of all its shortcuts are stored as they were given."""
    client, reports = new_client(server.url, keys["publishable_key"])
    client.identify(
        USER,
        traits={"plan": "pro", "seats": 3},
        email="ada@example.com",
        phone="+4512345678",
        push_token="token",
        preferred_channel="email",
    )
    client.identify(USER, channels=[{"type": "email", "address": "b@example.com", "opted_in": False, "verified": True}])
    client.shutdown()
    assert reports == []
    server.wait_loaded()
    first, second = identifies(server, keys, USER)
    assert first["traits"] == {"plan": "pro", "seats": 3, "$preferred_channel": "email"}
    assert [(channel["channel"], channel["address"], channel["opted_in"]) for channel in first["channels"]] == [
        ("email", "ada@example.com", True),
        ("sms", "+4512345678", True),
        ("push", "token", True),
    ]
    assert second["channels"] == [{"channel": "email", "address": "b@example.com", "opted_in": False, "verified": True}]


def test_context_and_properties_arrive_as_sent(server: Server, keys: Keys) -> None:
    """The SDK's own context is there beside the caller's; NaN, which is no JSON, is null and costs nothing else."""
    client, reports = new_client(server.url, keys["publishable_key"], app_version="2026.10.1")
    client.track(USER, "feature_used", {"n": 1, "ratio": math.nan, "limits": [math.inf, 2.5]}, {"locale": "da"})
    client.track(USER, "feature_used", {"n": 2})
    client.shutdown()
    assert reports == []
    server.wait_loaded()
    items = events(server, keys, f"uid:{USER}")
    assert numbers(items) == [1, 2]
    item = next(item for item in items if item["properties"]["n"] == 1)
    assert item["properties"] == {"n": 1, "ratio": None, "limits": [None, 2.5]}
    assert item["context"] == {
        "sdk_name": "whisperr-python",
        "sdk_version": __version__,
        "app_version": "2026.10.1",
        "locale": "da",
        "$message_id": item["message_id"],
    }


def test_billing_events(server: Server, keys: Keys) -> None:
    """Each of the eleven reserved names is taken, without being registered first, with its money properties."""
    constants = [value for name, value in vars(BillingEvent).items() if not name.startswith("_")]
    assert sorted(constants) == BILLING
    money = {"plan_id": "pro", "price": 9.99, "currency": "USD", "plan_period": "P1M", "store": "app_store"}
    client, reports = new_client(server.url, keys["publishable_key"])
    for name in constants:
        client.track(USER, name, money | {"transaction_id": name})
    client.shutdown()
    assert reports == []
    server.wait_loaded()
    items = events(server, keys, f"uid:{USER}")
    assert names(items) == BILLING
    assert all(item["properties"] == money | {"transaction_id": item["name"]} for item in items)


def test_end_of_a_process_delivers(server: Server, keys: Keys) -> None:
    """A script that ends without a shutdown has delivered: the client does it at exit."""
    script = "import sys, whisperr; whisperr.Whisperr(sys.argv[2], base_url=sys.argv[1]).track('u', 'script_run')"
    subprocess.run([sys.executable, "-c", script, server.url, keys["publishable_key"]], check=True, timeout=60)
    server.wait_loaded()
    assert names(events(server, keys, "uid:u")) == ["script_run"]


def test_unknown_key_then_recovery(server: Server, keys: Keys, vendor_key: str) -> None:
    """A 401 makes the client pause and keep its queue; once its key is imported, the same queue arrives."""
    client, reports = new_client(server.url, vendor_key)
    client.identify(USER, traits={"plan": "pro"})
    for n in range(3):
        client.track(USER, "feature_used", {"n": n})
    client.flush()
    assert reports == ["auth"]
    import_key(server, keys, vendor_key)
    client.flush()
    client.shutdown()
    assert reports == ["auth"]
    server.wait_loaded()
    assert numbers(events(server, keys, f"uid:{USER}")) == [0, 1, 2]
    assert [identify["traits"] for identify in identifies(server, keys, USER)] == [{"plan": "pro"}]


def test_shutdown_during_a_503(outage: Outage) -> None:
    """A shutdown while the server answers 503 ends soon and keeps the queue; flushed later, all of it arrives once."""
    before = outage.refusals()
    client, reports = new_client(outage.server.url, outage.keys["publishable_key"], flush_at=20)
    for n in range(20):
        client.track(USER, "feature_used", {"n": n})
    until(lambda: outage.refusals() > before, "the client has met a 503")
    client.shutdown()
    assert reports == ["retry_exhausted"]
    outage.end()
    client.flush()
    assert reports == ["retry_exhausted"]
    outage.server.wait_loaded()
    assert numbers(events(outage.server, outage.keys, f"uid:{USER}")) == list(range(20))


def test_server_away_then_back(new_server: Callable[..., Server]) -> None:
    """Events tracked while the server is killed are delivered, once, to its next start on the same port."""
    server = new_server()
    keys = create_app(server.data)
    client, reports = new_client(server.url, keys["publishable_key"], max_retries=0)
    client.track(USER, "feature_used", {"n": 0})
    client.flush()
    server.kill_tree()
    client.track(USER, "feature_used", {"n": 1})
    client.flush()
    assert reports == ["retry_exhausted"]
    server.start()
    client.shutdown()
    server.wait_loaded()
    assert numbers(events(server, keys, f"uid:{USER}")) == [0, 1]
