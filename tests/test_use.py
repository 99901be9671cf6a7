"""What counts as use, on a real server: bad news never does, and a name of an app's own once enough have sent it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness import Server

Keys = dict[str, str]

SILENT_DAYS = 40


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def send(server: Server, keys: Keys, *events: dict[str, Any], key: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", json={"events": list(events)}, headers={"X-API-Key": keys[key]})
    assert answer.status_code == 202, answer.text
    server.wait_loaded()


def silent(customer: str) -> list[dict[str, Any]]:
    """A customer who used the product until 40 days ago."""
    return [{"event": "login", "customer_id": customer, "occurred_at": ago(SILENT_DAYS + day)} for day in range(1, 20)]


def health(server: Server, keys: Keys, customer: str, **parameters: Any) -> Any:
    return server.read(f"/v1/customers/{customer}/health", keys, **parameters)


def uses(found: Any) -> set[str]:
    """The names that the score takes for use lately."""
    return {
        name
        for part in found["parts"]
        if part["part"] == "breadth"
        for one in part["evidence"]
        for name in one["names"]
    }


BAD_NEWS = [
    "cancel_button_clicked", "data_export", "team_member_removed", "billing_portal_visit", "Account Deleted",
    "account_deleted", "unsubscribed", "Unsubscribed", "user.deleted", "accountClosed", "email_bounced",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NEWS)
def test_bad_news_does_not_raise_the_score_of_who_is_silent(server: Server, keys: Keys, name: str) -> None:
    send(server, keys, *silent("c1"))
    before = health(server, keys, "c1")
    assert before["score"] == 0
    send(server, keys, {"event": name, "customer_id": "c1"})
    after = health(server, keys, "c1")
    assert after["score"] == 0
    assert uses(after) == set()


def test_the_vendors_second_names_have_its_signs(server: Server, shared_keys: Keys) -> None:
    signs = {one["name"]: one["sign"] for one in server.read("/v1/signals", shared_keys)["recognised"]}
    for name in ("cancel_button_clicked", "data_export", "team_member_removed", "billing_portal_visit"):
        assert signs[name] == "negative"
    assert signs["plan_upgrade"] == signs["invite_sent"] == "positive"


def test_a_name_counts_once_ten_customers_or_a_tenth_have_sent_it(server: Server, keys: Keys) -> None:
    """Of those who are identified. What browsers say and visitors do counts for nothing; history stays as it was."""
    crowd = [{"event": "login", "customer_id": f"c{n}", "occurred_at": ago(n / 10)} for n in range(150)]
    send(server, keys, *crowd, *silent("me"), {"event": "report opened", "customer_id": "me"})
    for number in range(8):
        send(server, keys, {"event": "report opened", "customer_id": f"c{number}"})
    send(
        server,
        keys,
        *({"event": "report opened", "customer_id": f"c{n}"} for n in range(20, 40)),
        key="publishable_key",
    )
    send(server, keys, *({"event": "report opened", "anonymous_id": f"v{n}"} for n in range(20)))
    assert uses(health(server, keys, "me")) == set()
    then = datetime.now(UTC).isoformat(timespec="milliseconds")
    send(server, keys, {"event": "report opened", "customer_id": "c8"})
    wait_until(lambda: uses(health(server, keys, "me")) == {"report opened"})
    assert uses(health(server, keys, "me", as_of=then)) == set()
    assert health(server, keys, "me", as_of=then)["score"] == 0


def test_a_tenth_of_a_small_app_is_enough(server: Server, keys: Keys) -> None:
    """Of 25 customers three; who is known by an identify is a customer too."""
    send(server, keys, *({"uid": f"u{n}", "traits": {"a": 1}} for n in range(22)), *silent("me"))
    send(server, keys, {"event": "exported", "customer_id": "me"}, {"event": "exported", "customer_id": "a"})
    wait_until(lambda: senders(server, keys).get("exported") == 2)
    assert uses(health(server, keys, "me")) == set()
    send(server, keys, {"event": "exported", "customer_id": "b"})
    wait_until(lambda: uses(health(server, keys, "me")) == {"exported"})


def test_the_list_of_what_is_no_use_is_the_apps(server: Server, keys: Keys) -> None:
    """It is replaced as a whole, and null brings back Tenure's own; a declaration counts at once."""
    send(server, keys, *silent("me"), {"event": "Account Deleted", "customer_id": "me"})
    headers = {"Authorization": f"Bearer {keys['secret_key']}"}

    def declare(**given: Any) -> Any:
        answer = server.http.put("/v1/signals", json=given, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert "account_deleted" in server.read("/v1/signals", keys)["no_use"]
    assert declare(no_use=["login"])["no_use"] == ["login"]
    assert uses(health(server, keys, "me")) == {"Account Deleted"}
    declare(no_use=None)
    assert uses(health(server, keys, "me")) == set()
    assert server.http.put("/v1/signals", json={"no_use": [1]}, headers=headers).status_code == 400
    send(server, keys, {"event": "Opened A Thing", "customer_id": "me"})
    declare(signals={"Opened A Thing": "negative"})
    assert uses(health(server, keys, "me")) == set()


def senders(server: Server, keys: Keys) -> dict[str, int]:
    return {one["name"]: one["customers"] for one in server.read("/v1/signals", keys)["own"]}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
