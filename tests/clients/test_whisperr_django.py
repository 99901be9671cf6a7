"""`whisperr.django` (PyPI), unmodified, in a real Django site whose visitors log in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.clients.arrivals import Keys, events, identifies, names
from tests.clients.processes import serving
from tests.harness import Server

pytestmark = pytest.mark.rule("client-whisperr-python", "whisperr")

SITE = Path(__file__).with_name("django_site.py")
Site = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def site(server: Server, keys: Keys, tmp_path: Path) -> Site:
    """Runs the site, with more settings by name, for the length of a `with`; at its end the site's process ends."""

    @contextmanager
    def run(**settings: str) -> Iterator[httpx.Client]:
        whisperr = {"WHISPERR_API_KEY": keys["publishable_key"], "WHISPERR_BASE_URL": server.url}
        command = [sys.executable, str(SITE), str(tmp_path / "site.sqlite")]
        with serving(command, whisperr | settings) as url, httpx.Client(base_url=url) as visitor:
            yield visitor

    return run


def test_events_of_a_user_who_is_logged_in(site: Site, server: Server, keys: Keys) -> None:
    """`request.whisperr` sends nothing for a visitor, and under the primary key once the user has logged in."""
    with site(WHISPERR_APP_VERSION="2026.10.1") as visitor:
        assert visitor.get("/upgrade").text == "nobody"
        user = visitor.get("/sign-in").text
        assert visitor.get("/upgrade").text == user
    server.wait_loaded()
    (item,) = events(server, keys, f"uid:{user}")
    assert (item["name"], item["properties"]) == ("plan_upgraded", {"plan": "pro"})
    assert (item["context"]["locale"], item["context"]["app_version"]) == ("da", "2026.10.1")
    (identify,) = identifies(server, keys, user)
    assert identify["traits"] == {"plan": "pro"}
    assert identify["channels"] == [{"channel": "email", "address": "ada@example.com", "opted_in": True}]
    assert [row["count"] for row in server.read("/v1/events", keys)["items"]] == [1]


def test_users_resolved_by_the_sites_own_function(site: Site, server: Server, keys: Keys) -> None:
    """With `WHISPERR_RESOLVE_USER` the events are kept under what that function says."""
    with site(WHISPERR_RESOLVE_USER="__main__.resolve_user") as visitor:
        assert visitor.get("/upgrade", headers={"X-Account": "acme"}).text == "acme"
    server.wait_loaded()
    assert names(events(server, keys, "uid:acme")) == ["plan_upgraded"]


def test_client_outside_of_a_users_request(site: Site, server: Server, keys: Keys) -> None:
    """`get_client` sends for the customer that a webhook is about."""
    with site() as visitor:
        visitor.get("/webhook").raise_for_status()
    server.wait_loaded()
    (item,) = events(server, keys, "uid:customer_of_webhook")
    assert (item["name"], item["properties"]) == ("payment_failed", {"amount_cents": 4900})
