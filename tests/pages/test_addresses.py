"""Addresses of pages: what would be ignored is refused, and every address that a page leads to is one that is taken."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote

import pytest

from tests.harness import Server
from tests.pages.every import PAGES, Shown, paths
from tests.pages.site import ADMIN, Site, make_site

LEADS = re.compile(r'(?:href|hx-get|src)="([^"#]+)"')


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    """With a customer who pays, so that there is something to lead to."""
    made = make_site(server)
    made.ingest({"event": "login", "customer_id": "c1", "traits": {"name": "Jane", "seats": 3}})
    statement = {"customer_id": "c1", "subscription": "s1", "status": "active", "currency": "USD",
                 "items": [{"plan": "pro", "amount": 4900, "interval": "month"}]}  # fmt: skip
    headers = {"X-API-Key": made.keys["secret_key"]}
    answer = server.http.post("/v1/subscriptions", json={"subscriptions": [statement]}, headers=headers)
    assert answer.status_code == 202, answer.text
    server.wait_loaded()
    return made


@pytest.fixture(scope="module")
def cookie(site: Site) -> dict[str, str]:
    people = site.store.people
    return {"Cookie": f"tenure_session={people.open_session(people.find(ADMIN), 'test')}"}


def shown(site: Site) -> dict[str, str]:
    return paths(Shown(site.keys["app"], quote("customer_id:c1", safe=""), "login"))


@pytest.mark.parametrize("name", PAGES)
def test_a_parameter_that_would_be_ignored_is_refused(site: Site, cookie: dict[str, str], name: str) -> None:
    """It is named, with the nearest that there is."""
    answer = site.server.http.get(f"{shown(site)[name]}?inactive-days=7", headers=cookie)
    assert answer.status_code == 400
    assert "inactive-days" in unescape(answer.text)
    if name == "customers":
        assert "did you mean 'inactive_days'" in unescape(answer.text)


@pytest.mark.parametrize(
    "query", ["status=active&status=paused", "currency=usd&currency=eur", "q=a&q=b", "sort=mrr&sort=name"]
)
def test_a_parameter_that_is_given_twice_is_refused(site: Site, cookie: dict[str, str], query: str) -> None:
    for path in ("customers", "customer-list/export.csv"):
        answer = site.server.http.get(f"{site.app}/{path}?{query}", headers=cookie)
        assert answer.status_code == 400
        assert "given" in answer.text
    twice = site.server.http.get(f"{site.app}/revenue?period=week&period=month", headers=cookie)
    assert twice.status_code == 400


@pytest.mark.parametrize("currency", ["usd", "USD", "uSd"])
def test_a_currency_is_taken_in_either_case(site: Site, cookie: dict[str, str], currency: str) -> None:
    for path in ("customers", "revenue", "revenue/mrr", "retention"):
        answer = site.server.http.get(f"{site.app}/{path}?currency={currency}", headers=cookie, follow_redirects=True)
        assert answer.status_code == 200, answer.text
    assert site.server.http.get(f"{site.app}/customers?currency=dollar", headers=cookie).status_code == 400


def test_every_address_that_a_page_leads_to_is_taken(site: Site, cookie: dict[str, str]) -> None:
    """Two steps from each page: none is refused for what is in its query."""
    seen: set[str] = set()
    ahead = list(shown(site).values())
    for _ in range(3):
        found: set[str] = set()
        for path in ahead:
            if path in seen or "/assets/" in path or "stream" in path or "sign-out" in path:
                continue
            seen.add(path)
            answer = site.server.http.get(path, headers={**cookie, "HX-Request": "true"}, follow_redirects=True)
            assert answer.status_code != 400, (path, answer.text)
            found |= {unescape(one) for one in LEADS.findall(answer.text) if one.startswith("/")}
        ahead = sorted(found - seen)[:400]
    assert len(seen) > 60
