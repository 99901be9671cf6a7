"""Any identifier can be asked for in a path, whatever is in it, on a real server."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Server

Keys = dict[str, str]

PARTS = ("", "/timeline", "/attributes", "/users", "/identity", "/churn-events", "/export")
ODD = [
    "a", "x" * 1_024, "𠮷" * 1_024, "timeline", "a/timeline", "a/users/b", "identity/export", "a%2Fb", "//", "/",
    "?q=1", "#f", "a ", " a", "\u0000", "a\nb", "a\n", "\u202eRTL א", "👩‍👩‍👧", "é", "e\u0301", "customer_id:x", "uid:",
    "&a=b+%", '"', "'", "\\", "null", "\ufeffa",
]  # fmt: skip


@pytest.fixture(scope="module")
def odd(server: Server, shared_keys: Keys) -> Keys:
    """An app with a customer, and a user of it, by each of these names."""
    elements = [{"event": "seen", "uid": name, "user": {"id": name}, "message_id": name} for name in ODD]
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": shared_keys["secret_key"]}, json={"events": elements})
    assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}
    server.wait_loaded()
    return shared_keys


def ask(server: Server, keys: Keys, path: str) -> Any:
    return server.http.get(f"/v1/customers/{path}", headers={"Authorization": f"Bearer {keys['read_key']}"})


@pytest.mark.parametrize("name", ODD)
def test_every_question_is_about_the_one_who_was_named(server: Server, odd: Keys, name: str) -> None:
    """With slashes encoded, an identifier that ends as a path under a customer is still an identifier."""
    answers = [ask(server, odd, quote(f"uid:{name}", safe="") + part) for part in PARTS]
    assert [answer.status_code for answer in answers] == [200] * len(PARTS)
    view, timeline, _, users, identity, *_ = [answer.json() for answer in answers[:-1]]
    assert f"uid:{name}" in view["identifiers"]
    assert {item["uid"] for item in timeline["items"]} == {name}
    assert [user["id"] for user in users["items"]] == [name]
    assert name in [known["value"] for known in identity["identifiers"]]
    if name not in ("timeline",):  # the path of that user is another path under a customer
        user = ask(server, odd, f"{quote(f'uid:{name}', safe='')}/users/{quote(name, safe='')}")
        assert user.json()["id"] == name


def test_a_slash_that_is_not_encoded_may_be_part_of_an_identifier(server: Server, odd: Keys) -> None:
    """Where no path under a customer fits, all of it is the identifier."""
    assert ask(server, odd, "uid:identity/export").status_code == 404
    assert ask(server, odd, "uid:a/users/b").json()["error"] == "unknown_user"
    assert ask(server, odd, "uid:///timeline").json()["items"][0]["uid"] == "//"
