"""Attributes, channels and users on a real server, whichever dialect said so."""

from __future__ import annotations

import hashlib
import hmac
import random
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.harness import Server

Keys = dict[str, str]

CUSTOMER = "cus_1"


def post(server: Server, path: str, body: Any, **headers: str) -> httpx.Response:
    answer = server.http.post(path, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()})
    assert answer.status_code < 300, answer.text
    return answer


def churnkey(server: Server, keys: Keys, path: str, body: Any) -> None:
    post(server, f"/v1/api/events/{path}", body, x_ck_api_key=keys["secret_key"], x_ck_app=keys["app"])


def native(server: Server, keys: Keys, *elements: Any, key: str = "secret_key") -> dict[str, Any]:
    answer: dict[str, Any] = post(server, "/v1/ingest", {"events": elements}, x_api_key=keys[key]).json()
    return answer


def customerscore(server: Server, keys: Keys, *events: Any) -> None:
    body = {"trackerKey": keys["tracker_key"], "events": events}
    post(server, "/api/tracker/track", body, customerscore_key=keys["secret_key"])


def windback(server: Server, keys: Keys, *events: Any) -> None:
    post(server, "/api/v1/track", {"events": events}, x_api_key=keys["secret_key"])


def whisperr(server: Server, keys: Keys, body: Any, key: str = "secret_key") -> None:
    post(server, "/v1/identify", body, x_api_key=keys[key])


def values(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: attribute["value"] for name, attribute in attributes.items()}


def read(server: Server, keys: Keys, what: str, customer: str = CUSTOMER, **parameters: Any) -> Any:
    server.wait_loaded()
    return server.read(f"/v1/customers/{quote(customer, safe='')}/{what}", keys, **parameters)


def a_day(number: int) -> str:
    return f"2026-03-{number:02d}T12:00:00Z"


def of_four_dialects(server: Server, keys: Keys) -> list[Any]:
    """Calls that each send one statement about the customer, at a time of its own, in one of the dialects."""
    ms = 1_772_366_400_000  # 2026-03-01T12:00:00Z

    def contact(name: str, day: int, **data: Any) -> dict[str, Any]:
        return {"name": name, "timestamp": ms + (day - 1) * 86_400_000, "data": data,
                "identification": {"customer": CUSTOMER, "contact": "p1"}}  # fmt: skip

    return [
        lambda: churnkey(server, keys, "new", {
            "event": "Signed Up", "customerId": CUSTOMER, "eventDate": a_day(1),
            "customerData": {"plan": "free", "seats": 1}, "user": {"uid": "p1", "data": {"role": "owner"}}}),
        lambda: customerscore(server, keys, contact("upgraded", 2, customer={"plan": "pro", "mrr": 49.5},
                                                    contact={"role": "admin", "phone": "1"})),
        lambda: windback(server, keys, {"event": "feature_used", "customer_id": CUSTOMER, "customer_name": "Acme",
                                        "customer_email": "jane@acme.example", "timestamp": a_day(3)}),
        lambda: windback(server, keys, {"event": "feature_used", "customer_id": CUSTOMER, "customer_name": "Acme Inc",
                                        "customer_email": "jane@acme.example", "timestamp": a_day(4)}),
        lambda: native(server, keys, {"customer_id": CUSTOMER, "message_id": "m-1", "occurred_at": a_day(5),
                                      "increment": {"seats": 4}, "set_once": {"plan": "never", "source": "ad"},
                                      "user": {"id": "p2", "traits": {"role": "member"}}}),
        lambda: native(server, keys, {"customer_id": CUSTOMER, "message_id": "m-2", "occurred_at": a_day(6),
                                      "unset": ["mrr"], "user": {"id": "p1", "unset": ["phone"]}}),
        lambda: native(server, keys, {"event": "moved", "customer_id": "cus_2", "occurred_at": a_day(7),
                                      "user": {"id": "p2"}}),
    ]  # fmt: skip


@pytest.mark.rule("attributes", "churnkey", "windback", "customerscore", "native")
@pytest.mark.parametrize("seed", range(3))
def test_four_dialects_make_one_customer_in_any_order(server: Server, keys: Keys, seed: int) -> None:
    """Sent in any order, some twice, what was said with a time of its own gives the same attributes and users."""
    calls = of_four_dialects(server, keys)
    calls += calls[2:]
    random.Random(seed).shuffle(calls)
    for call in calls:
        call()
    found = read(server, keys, "attributes")
    assert values(found["attributes"]) == {"plan": "pro", "seats": 5, "name": "Acme Inc", "source": "ad"}
    assert found["attributes"]["plan"] == {"value": "pro", "set_at": "2026-03-02T12:00:00.000Z",
                                           "dialect": "customerscore", "verified": True}  # fmt: skip
    assert [(change["operation"], change.get("value"), change["result"]) for change in found["history"]["mrr"]] == [
        ("unset", None, None),
        ("set", 49.5, 49.5),
    ]
    assert [change["operation"] for change in found["history"]["seats"]] == ["increment", "set"]
    first, second = read(server, keys, "users")["items"]
    assert (first["id"], first["member"], values(first["attributes"])) == ("p1", True, {"role": "admin"})
    assert (first["since"], first["last_activity"], first["events"]) == (
        "2026-03-01T12:00:00.000Z", "2026-03-02T12:00:00.000Z", 2)  # fmt: skip
    assert (second["id"], second["member"], second["until"]) == ("p2", False, "2026-03-07T12:00:00.000Z")
    (moved,) = read(server, keys, "users", "cus_2")["items"]
    assert (moved["id"], moved["since"], moved["until"]) == ("p2", "2026-03-07T12:00:00.000Z", None)


@pytest.mark.rule("attributes", "whisperr")
def test_whisperr_traits_and_channels(server: Server, keys: Keys) -> None:
    """Traits are merged, channels replaced by channel and address; a publishable key's are listed apart."""
    whisperr(server, keys, {"external_user_id": "u1", "traits": {"plan": "pro", "old": 1},
                            "channels": [{"channel": "email", "address": "a@b.c", "opted_in": False, "verified": True},
                                         {"channel": "sms", "address": "+1"}]})  # fmt: skip
    whisperr(server, keys, {"external_user_id": "u1", "traits": {"old": None}, "preferred_channel": "sms",
                            "channels": [{"channel": "email", "address": "a@b.c", "opted_in": True}]})  # fmt: skip
    whisperr(server, keys, {"external_user_id": "u1", "traits": {"plan": "forged"},
                            "channels": [{"channel": "push", "address": "t"}]}, key="publishable_key")  # fmt: skip
    found = read(server, keys, "attributes", "u1")
    assert values(found["attributes"]) == {"plan": "pro", "$preferred_channel": "sms"}
    assert values(found["unverified"]) == {"plan": "forged"}
    assert [channel["value"] for channel in found["channels"]] == [
        {"address": "a@b.c", "channel": "email", "opted_in": True, "verified": True},
        {"address": "+1", "channel": "sms"},
    ]
    assert [channel["value"] for channel in found["unverified_channels"]] == [
        {"address": "t", "channel": "push", "kind": "fcm"}
    ]
    assert [change["verified"] for change in found["history"]["plan"]] == [False, True]


@pytest.mark.rule("replaced-users", "churnkey")
def test_set_users_replaces_the_list(server: Server, keys: Keys) -> None:
    """Who is not in a later list is no member from then on, and keeps the history; who comes back is one again."""
    churnkey(
        server, keys, "new", {"event": "Seen", "customerId": CUSTOMER, "user": {"uid": "p0"}, "eventDate": a_day(1)}
    )
    churnkey(server, keys, "customer-update/set-users", {"customerId": CUSTOMER, "users": [
        {"userId": "p1", "data": {"role": "owner"}}, {"userId": 2}]})  # fmt: skip
    churnkey(server, keys, "customer-update/set-users", {"customerId": CUSTOMER, "users": [{"userId": "2"}]})
    churnkey(server, keys, "customer-update/set-users/bulk", [{"customerId": CUSTOMER, "users": [{"userId": "p1"}]}])
    found = {user["id"]: user for user in read(server, keys, "users")["items"]}
    assert {user_id: user["member"] for user_id, user in found.items()} == {"2": False, "p0": False, "p1": True}
    assert found["p0"]["until"] is not None
    assert values(found["p1"]["attributes"]) == {"role": "owner"}
    assert [period["until"] is None for period in read(server, keys, "users/p1")["periods"]] == [False, True]
    churnkey(server, keys, "customer-update/set-users", {"customerId": CUSTOMER, "users": []})
    assert not any(user["member"] for user in read(server, keys, "users")["items"])


def test_as_known_on_a_date(server: Server, keys: Keys) -> None:
    """Attributes, users, timelines and counts of events are answered from what had been received by a time."""
    old = {"event": "login", "customer_id": CUSTOMER, "occurred_at": a_day(9), "traits": {"plan": "pro"},
           "user": {"id": "p1", "traits": {"role": "owner"}}}  # fmt: skip
    native(server, keys, old)
    (event,) = read(server, keys, "timeline")["items"]
    late = {**old, "occurred_at": a_day(1), "traits": {"plan": "free", "seats": 1}, "user": {"id": "p2"}}
    native(server, keys, late)
    assert len(read(server, keys, "timeline")["items"]) == 2
    then = {"as_of": event["received_at"]}
    assert [item["event_id"] for item in read(server, keys, "timeline", **then)["items"]] == [event["event_id"]]
    assert values(read(server, keys, "attributes", **then)["attributes"]) == {"plan": "pro"}
    assert values(read(server, keys, "attributes")["attributes"]) == {"plan": "pro", "seats": 1}
    assert [user["id"] for user in read(server, keys, "users", **then)["items"]] == ["p1"]
    assert [user["id"] for user in read(server, keys, "users")["items"]] == ["p1", "p2"]
    assert [name["count"] for name in server.read("/v1/events", keys, **then)["items"]] == [1]
    assert server.read("/v1/events", keys, as_of="2020-01-01")["items"] == []


def test_as_of_must_be_a_time(server: Server, keys: Keys) -> None:
    """Anything else is a 400 that names the parameter."""
    native(server, keys, {"uid": "u", "traits": {"a": 1}})
    server.wait_loaded()
    for what in ("attributes", "users", "users/p", "timeline"):
        answer = server.http.get(f"/v1/customers/u/{what}", params={"as_of": "then"},
                                 headers={"Authorization": f"Bearer {keys['read_key']}"})  # fmt: skip
        assert (answer.status_code, answer.json()["field"]) == (400, "as_of")


@pytest.mark.rule("message-id", "native")
@pytest.mark.rule("idempotency-key", "native")
def test_a_redelivered_increment_counts_once(server: Server, keys: Keys) -> None:
    """Told by its message id, by the Idempotency-Key of its request, or by its time and content; else each is real."""
    for _ in range(3):
        native(server, keys, {"uid": "u", "message_id": "m", "increment": {"by_id": 1}})
        native(server, keys, {"uid": "u", "occurred_at": a_day(1), "increment": {"by_content": 1}})
        body = {"events": [{"uid": "u", "increment": {"by_key": 1}}]}
        post(server, "/v1/ingest", body, x_api_key=keys["secret_key"], idempotency_key="once")
        native(server, keys, {"uid": "u", "increment": {"each": 1}})
    native(server, keys, {"uid": "u", "message_id": "m", "increment": {"by_id": 100, "other": 1}})
    found = values(read(server, keys, "attributes", "u")["attributes"])
    assert found == {"by_id": 1, "by_content": 1, "by_key": 1, "each": 3}


def test_signed_attributes_count(server: Server, keys: Keys) -> None:
    """A browser that proves whom it speaks for sets attributes of that customer; one that does not, does not."""
    signature = hmac.new(keys["secret_key"].encode(), b"u", hashlib.sha256).hexdigest()
    native(server, keys, {"uid": "u", "traits": {"a": 1}, "auth_hash": signature}, key="publishable_key")
    native(server, keys, {"uid": "u", "traits": {"a": 2}, "user": {"id": "p"}}, key="publishable_key")
    found = read(server, keys, "attributes", "u")
    assert (values(found["attributes"]), values(found["unverified"])) == ({"a": 1}, {"a": 2})
    (user,) = read(server, keys, "users", "u")["items"]
    assert (user["member"], user["since"]) == (False, None)


ODD_NAMES = ["", " ", "a.b", "a.b.c", '"', "'", "\\", "\u0000", "\u0001\n\t", "$set", "__proto__", "名前", "\ufffd",
             "e\u0301", "\u00e9", "{}", "n" * 1_024, "DROP TABLE fact; --", "%s", "{keys:String}"]  # fmt: skip
ODD_VALUES = [0, -0.0, 1e300, 5e-324, 10**60, "", "\u0000", "x" * 60_000, [], {}, [[[]]], {"a": {"b": [None, 1.5]}},
              True, False, "null", "1", "\u2028"]  # fmt: skip


def test_odd_names_and_values_come_back_as_they_were(server: Server, keys: Keys) -> None:
    """Names with dots, quotes, control characters and nothing in them; values of every type and size; deep ones."""
    names = {name: at for at, name in enumerate(ODD_NAMES)}
    typed = {f"v{at}": value for at, value in enumerate(ODD_VALUES)}
    deep: Any = 1
    for _ in range(55):
        deep = [deep]
    native(
        server,
        keys,
        {"uid": "u", "traits": {**names, **typed, "deep": deep}, "user": {"id": "\u0000 '/%", "traits": names}},
    )
    found = values(read(server, keys, "attributes", "u")["attributes"])
    assert found == {**names, **typed, "deep": deep}
    assert [type(found[name]) for name in typed] == [type(value) for value in ODD_VALUES]
    (user,) = read(server, keys, "users", "u")["items"]
    assert (user["id"], values(user["attributes"])) == ("\u0000 '/%", names)
    one = read(server, keys, f"users/{quote(user['id'], safe='')}", "u")
    assert values(one["attributes"]) == names


def test_a_value_may_change_its_type(server: Server, keys: Keys) -> None:
    """Each type in turn, all of them in the history."""
    turns = [1, "1", True, [1], {"a": 1}, None, 1.5]
    for day, value in enumerate(turns, 1):
        native(server, keys, {"uid": "u", "occurred_at": a_day(day), "traits": {"a": value}})
    found = read(server, keys, "attributes", "u", limit=5)
    assert found["attributes"]["a"]["value"] == 1.5
    assert [change["value"] for change in found["history"]["a"]] == turns[:1:-1]
    assert found["more"] == ["a"]
    assert read(server, keys, "attributes", "u", limit=7)["more"] == []


def test_ten_thousand_attributes_of_one_customer(server: Server, keys: Keys) -> None:
    """All of them are there, in one answer, after they were set twice."""
    wanted = {f"attribute {number}": number for number in range(10_000)}
    native(server, keys, {"uid": "u", "traits": dict.fromkeys(wanted, "before")})
    native(server, keys, {"uid": "u", "traits": wanted})
    assert values(read(server, keys, "attributes", "u")["attributes"]) == wanted


@pytest.mark.rule("native-results", "native")
def test_operations_that_cannot_be_are_refused_by_field(server: Server, keys: Keys) -> None:
    """Each bad element is told with its code and field, and the good one counts."""
    results = native(
        server, keys,
        {"uid": "u", "traits": {"a": 1}, "increment": {"a": 1}},
        {"uid": "u", "increment": {"a": "1"}},
        {"uid": "u", "user": {"id": "p", "set_once": {"a": None}}},
        {"uid": "u", "unset": {"a": 1}},
        {"uid": "u", "traits": {"a": "x" * 65_536}},
        {"uid": "u", "traits": {"n" * 1_025: 1}},
        {"uid": "u", "set_once": {"a": 1}},
    )["results"]  # fmt: skip
    assert [(result.get("code"), result.get("field")) for result in results] == [
        ("contradiction", "increment.a"),
        ("wrong_type", "increment.a"),
        ("wrong_type", "user.set_once.a"),
        ("wrong_type", "unset"),
        ("too_long", "traits.a"),
        ("too_long", "traits"),
        (None, None),
    ]
    assert values(read(server, keys, "attributes", "u")["attributes"]) == {"a": 1}


def test_users_in_pages_and_users_that_are_not_there(server: Server, keys: Keys) -> None:
    """Pages follow each other by id; an unknown user is a 404, and so is one of another app."""
    ids = sorted(f"p{number}" for number in range(7))
    native(server, keys, *({"event": "login", "uid": "u", "user": {"id": user_id}} for user_id in ids))
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = read(server, keys, "users", "u", limit=3, **cursor)
        found += [user["id"] for user in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == ids
    answer = server.http.get("/v1/customers/u/users/nobody", headers={"Authorization": f"Bearer {keys['read_key']}"})
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_user")


def test_of_two_contents_under_one_message_id_the_first_counts(server: Server, keys: Keys) -> None:
    """In attributes, among users and on the list: what only the second one says was never said."""
    first: dict[str, Any] = {"customer_id": "c", "message_id": "m", "traits": {"a": 1}, "user": {"id": "one"}}
    for element in (
        first,
        first | {"traits": {"b": 2}, "user": {"id": "two"}},
        {"customer_id": "c", "traits": {"c": 3}},
    ):
        answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json={"events": [element]})
        assert answer.status_code == 202
        server.wait_loaded()
    whole = server.read("/v1/customers/c", keys)
    assert (list(whole["attributes"]), [user["id"] for user in whole["users"]["items"]]) == (["a", "c"], ["one"])
    deadline = time.monotonic() + 60
    while not server.read("/v1/customers", keys, attribute=["a:exists", "c:exists"])["items"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert server.read("/v1/customers", keys, attribute="b:exists")["items"] == []


def test_of_an_element_under_two_customers_who_become_one_the_first_counts(server: Server, keys: Keys) -> None:
    """A user whom only a losing copy names is no user; what it says of one whom others name was never said."""
    for number, user in enumerate(("one", "two", "three"), 1):
        native(server, keys, {"customer_id": f"c{number}", "message_id": "m", "occurred_at": a_day(1),
                              "user": {"id": user, "traits": {"lost": True}}})  # fmt: skip
        server.wait_loaded()
    native(server, keys, {"customer_id": "c2", "occurred_at": a_day(5), "user": {"id": "two", "traits": {"a": 1}}})
    server.wait_loaded()
    answer = server.http.post("/v1/customers/c1/merge", json={"with": "c2"},
                              headers={"Authorization": f"Bearer {keys['secret_key']}"})  # fmt: skip
    assert answer.status_code == 200
    found = {user["id"]: user for user in read(server, keys, "users", "c2")["items"]}
    assert {user_id: (user["since"], values(user["attributes"])) for user_id, user in found.items()} == {
        "one": ("2026-03-01T12:00:00.000Z", {"lost": True}),
        "two": ("2026-03-05T12:00:00.000Z", {"a": 1}),
    }
    two = read(server, keys, "users/two", "c1")
    assert (values(two["attributes"]), list(two["history"])) == ({"a": 1}, ["a"])
