"""What stands in the place of an id and is none: it links nobody, is told, and costs nobody else anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.event import Event, Identify
from tenure.identity import Identifier, customer_key, identifiers, identity_key, keys_in, placeholders
from tenure.placeholder import NO_ADDRESSES, WORDS, is_placeholder
from tests.erasure.person import bearer, certificate_when_done, erase
from tests.harness import Server, tenure

Keys = dict[str, str]
APP = "app_0000000000000001"
blanks = st.text(alphabet=" \t\n\r\u00a0\u200b'\"", max_size=3)


@given(st.sampled_from(sorted(WORDS)), blanks, blanks, st.randoms(use_true_random=False))
def test_a_placeholder_is_one_in_any_case_and_between_blanks(word: str, before: str, after: str, pick: Any) -> None:
    """Every word of the list, spelt in whatever case, with blanks and quotes around it."""
    spelt = "".join(pick.choice((letter.lower(), letter.upper())) for letter in word)
    assert is_placeholder("customer_id", before + spelt + after)


@pytest.mark.parametrize(
    "value", ["[object Object]", "[OBJECT NULL]", "{{user_id}}", "{{ user.id }}", "${user.id}", "<%= id %>", "{% id %}"]
)
def test_objects_and_unfilled_templates_are_placeholders(value: str) -> None:
    """What a program or a template writes where it has no value."""
    assert is_placeholder("uid", value)


@pytest.mark.parametrize(
    "value",
    ["undefined-1", "acme", "nullify", "guesthouse", "10", "01", "object", "[1]", "na", "Nan Goldin", "", "{a}"],
)
def test_ids_that_hold_such_a_word_are_ids(value: str) -> None:
    """A word within a longer id, a number that is not 0, and what merely resembles one."""
    assert not is_placeholder("uid", value)


@pytest.mark.parametrize("word", sorted(NO_ADDRESSES))
def test_an_address_of_nothing_is_a_placeholder(word: str) -> None:
    """Of an address the part before the @ counts; a guest may have one."""
    assert is_placeholder("email", f" {word.upper()}@example.com")
    assert not is_placeholder("email", "guest@example.com")
    assert not is_placeholder("uid", f"{word}@example.com")


values = st.sampled_from(["undefined", "u1", "null", "NaN ", "c1"])


@given(values | st.none(), values | st.none(), st.sampled_from(["j@x.y", "null@x.y", None]), values | st.none())
def test_an_element_is_under_its_other_identifiers(
    customer_id: str | None, uid: str | None, email: str | None, anonymous_id: str | None
) -> None:
    """None of its identifiers is a placeholder, unless all that it carries are: then the strongest is its only one."""
    if (customer_id, uid, email, anonymous_id) == (None,) * 4:
        return
    who = {"customer_id": customer_id, "uid": uid, "email": email, "anonymous_id": anonymous_id}
    for item in (Event(index=0, name="e", **who), Identify(index=0, **who)):  # type: ignore[arg-type]
        found = identifiers(item)
        named = [one for one in found if is_placeholder(one.kind, one.value)]
        assert not named or found == placeholders(item)[:1]
        assert customer_key(APP, item) == identity_key(APP, found[0])


def test_a_payload_that_says_undefined_names_nobody() -> None:
    """What is refused and holds the word goes with no erasure."""
    payload = '{"uid":"undefined","n":0,"customer":"acme"}'
    found = set(keys_in(APP, payload))
    assert identity_key(APP, Identifier("uid", "undefined")) not in found
    assert identity_key(APP, Identifier("customer_id", "acme")) in found


def ingest(server: Server, keys: Keys, *events: dict[str, Any], kind: str = "secret_key") -> Any:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[kind]}, json={"events": list(events)})
    assert answer.status_code == 202, answer.text
    return answer.json()


def names(server: Server, keys: Keys, who: str) -> list[str]:
    found = server.read(f"/v1/customers/{who}/identity", keys)["identifiers"]
    return [f"{one['kind']}:{one['value']}" for one in found]


def events_of(server: Server, keys: Keys, who: str) -> list[str]:
    return [item["name"] for item in server.read(f"/v1/customers/{who}/timeline", keys)["items"]]


def test_five_users_with_an_undefined_customer_id_stay_five(server: Server, keys: Keys) -> None:
    """Each has its own event, the answer warns, and erasing one leaves the others as they were."""
    answer = ingest(server, keys, *[{"event": f"login{n}", "customer_id": "undefined", "uid": f"user{n}"}
                                    for n in range(5)])  # fmt: skip
    (warning,) = answer["warnings"]
    assert (warning["code"], warning["field"], warning["value"]) == (
        "placeholder_identifier",
        "customer_id",
        "undefined",
    )
    assert (warning["index"], warning["count"]) == (0, 5)
    server.wait_loaded()
    for n in range(5):
        assert names(server, keys, f"user{n}") == [f"uid:user{n}"]
        assert events_of(server, keys, f"user{n}") == [f"login{n}"]
    certificate_when_done(server, keys, erase(server, keys, "user3"))
    assert server.http.get("/v1/customers/user3", headers=bearer(keys, "read_key")).status_code == 404
    assert [events_of(server, keys, f"user{n}") for n in (0, 1, 2, 4)] == [[f"login{n}"] for n in (0, 1, 2, 4)]


def test_what_is_under_a_placeholder_alone_is_erased_alone(server: Server, keys: Keys) -> None:
    """Events that carry it beside an identifier of somebody are theirs, and stay."""
    ingest(server, keys, {"event": "lost", "customer_id": "null"}, {"event": "kept", "customer_id": "null", "uid": "u"})
    server.wait_loaded()
    assert events_of(server, keys, "null") == ["lost"]
    certificate_when_done(server, keys, erase(server, keys, "null"))
    assert events_of(server, keys, "u") == ["kept"]
    refused = ingest(server, keys, {"event": "again", "uid": "u", "unknown": "null"})
    assert refused["results"][0]["status"] == "invalid"
    server.wait_loaded()
    receipt = server.read(f"/v1/receipts/{refused['receipt']}", keys)
    assert [element["outcome"] for element in receipt["elements"]] == ["rejected"]


STRIPE = {"object": "subscription", "status": "active", "currency": "usd", "start_date": 1767225600,
          "items": {"object": "list", "data": [{"id": "si", "quantity": 1, "price": {
              "id": "p", "unit_amount": 1000, "currency": "usd", "recurring": {"interval": "month"}}}]}}  # fmt: skip


def stripe(number: int, **metadata: str) -> dict[str, Any]:
    about = STRIPE | {"id": f"sub_{number}", "customer": f"cus_{number}", "metadata": metadata}
    return {"id": f"evt_{number}", "object": "event", "created": 1767225600 + number,
            "type": "customer.subscription.created", "data": {"object": about}}  # fmt: skip


DIALECTS: list[tuple[str, dict[str, str], Any, list[str]]] = [
    ("/v1/api/events/bulk", {"x-ck-api-key": "secret_key", "x-ck-app": "app"},
     [{"event": "e", "customerId": "[object Object]", "uid": f"u{n}", "eventDate": "2026-01-02T03:04:05Z"}
      for n in range(3)], ["uid:u0", "uid:u1", "uid:u2"]),
    ("/v1/api/events/customer-update", {"x-ck-api-key": "secret_key", "x-ck-app": "app"},
     {"customerId": "None", "uid": "u0", "customerData": {"plan": "pro"}}, ["uid:u0"]),
    ("/v1/events/batch", {"X-API-Key": "publishable_key"},
     {"events": [{"external_user_id": "undefined", "anonymous_id": f"a{n}", "event_type": "e",
                  "context": {"$message_id": f"m{n}"}} for n in range(3)]},
     ["anonymous_id:a0", "anonymous_id:a1", "anonymous_id:a2"]),
    ("/v1/identify", {"X-API-Key": "publishable_key"},
     {"external_user_id": "null", "anonymous_id": "a0", "traits": {"plan": "pro"}}, ["anonymous_id:a0"]),
    ("/api/v1/track", {"X-API-Key": "secret_key"},
     {"events": [{"event": "e", "customer_email": f"j{n}@x.example", "customer_id": " UNDEFINED "} for n in range(3)]},
     ["email:j0@x.example", "email:j1@x.example", "email:j2@x.example"]),
    ("/v1/billing/stripe/APP", {"Authorization": "secret_key"},
     {"object": "list", "data": [stripe(n, user_id="undefined") for n in range(4)]},
     [f"billing_id:cus_{n}" for n in range(4)]),
    ("/api/tracker/track", {"customerscore-key": "secret_key"},
     {"trackerKey": "tracker_key", "events": [{"name": "e", "timestamp": 1712123456789 + n,
                                               "identification": {"customer": "undefined"}} for n in range(2)]},
     ["customer_id:undefined"]),
    ("/v1/subscriptions", {"X-API-Key": "secret_key"},
     {"subscriptions": [{"source": "own", "subscription": f"s{n}", "customer_id": "nan", "uid": f"u{n}",
                         "status": "active", "effective_at": "2026-01-02T03:04:05Z"} for n in range(2)]},
     ["uid:u0", "uid:u1"]),
]  # fmt: skip


@pytest.mark.rule("placeholders", "all")
@pytest.mark.parametrize(("path", "headers", "body", "whose"), DIALECTS, ids=[case[0] for case in DIALECTS])
def test_every_dialect_keeps_those_with_a_placeholder_apart_and_warns(
    server: Server, keys: Keys, path: str, headers: dict[str, str], body: Any, whose: list[str]
) -> None:
    """The answer says so, in the vendor's form; each element is under its other identifiers."""
    sent = {name: ("Bearer " if name == "Authorization" else "") + keys[kind] for name, kind in headers.items()}
    if isinstance(body, dict) and "trackerKey" in body:
        body = body | {"trackerKey": keys["tracker_key"]}
    answer = server.http.post(path.replace("APP", keys["app"]), headers=sent, json=body)
    assert answer.status_code in (200, 202), answer.text
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["placeholder_identifier"]
    server.wait_loaded()
    for who in whose:
        assert names(server, keys, who) == [who]


def test_a_stripe_customer_has_the_first_id_of_its_metadata_that_is_one(server: Server, keys: Keys) -> None:
    """A placeholder does not stand before a real id under another key."""
    headers = {"Authorization": f"Bearer {keys['secret_key']}"}
    body = stripe(1, tenure_uid="undefined", user_id="42")
    assert server.http.post(f"/v1/billing/stripe/{keys['app']}", headers=headers, json=body).status_code == 200
    server.wait_loaded()
    assert names(server, keys, "42") == ["uid:42", "billing_id:cus_1"]


def test_an_import_keeps_them_apart_and_counts_them(server: Server, keys: Keys, tmp_path: Any) -> None:
    """The summary says how many rows had a placeholder, of which field."""
    file = tmp_path / "events.csv"
    file.write_text("event,timestamp,customer_id,uid\n" + "".join(
        f"login,2026-01-02T03:04:0{n}Z,undefined,u{n}\n" for n in range(3)))  # fmt: skip
    done = json.loads(tenure("import", str(file), "--app", keys["app"], "--json", data=server.data))
    assert done["placeholders"] == {"customer_id": 3}
    told = tenure("import", str(file), "--app", keys["app"], "--dry-run", data=server.data)
    assert "3 with a placeholder for a customer_id" in told
    server.wait_loaded()
    for n in range(3):
        assert names(server, keys, f"u{n}") == [f"uid:u{n}"]
