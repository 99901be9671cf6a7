"""`GET /v1/customers`: everybody once, found by any identifier, filtered, sorted and paged."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Server, create_app

Keys = dict[str, str]

NOW = datetime.now(UTC).replace(microsecond=0)


def ago(**parts: float) -> str:
    return (NOW - timedelta(**parts)).isoformat()


def send(server: Server, keys: Keys, *elements: dict[str, Any], key: str = "secret_key") -> None:
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys[key]}, json={"events": list(elements)})
    assert answer.status_code == 202, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {"stored_pending"}


def listed(server: Server, keys: Keys, **parameters: Any) -> list[str]:
    """The ids on the list, in its order."""
    return [item["id"] for item in server.read("/v1/customers", keys, **parameters)["items"]]


def wait_listed(server: Server, keys: Keys, events: int, customers: int | None = None) -> None:
    """Wait until the list counts so many events, and customers."""
    server.wait_loaded()
    deadline = time.monotonic() + 60
    while True:
        items = server.read("/v1/customers", keys, limit=1000)["items"]
        if sum(item["events"] for item in items) == events and customers in (None, len(items)):
            return
        assert time.monotonic() < deadline, (items, server.log.read_text()[-3000:])
        time.sleep(0.05)


@pytest.fixture(scope="module")
def three(server: Server) -> Keys:
    """Ann with three events, the last of today; Bob with one, 40 days ago; Cid, who is known by attributes only."""
    keys = create_app(server.data, "three customers")
    ann = {"customer_id": "cus_ann", "email": "Ann@Example.com"}
    send(
        server, keys,
        {**ann, "event": "login", "occurred_at": ago(days=60)},
        {**ann, "event": "login", "occurred_at": ago(days=3)},
        {**ann, "event": "export", "occurred_at": ago(hours=1),
         "traits": {"name": "Ann Onym", "plan": "pro", "seats": 12, "trial": False}},
        {"uid": "bob", "event": "login", "occurred_at": ago(days=40),
         "traits": {"plan": "free", "seats": 3, "zip": "0123"}},
        {"uid": "cid", "traits": {"company": "Ångström & Söhne", "seats": 100}},
    )  # fmt: skip
    wait_listed(server, keys, 4, 3)
    return keys


def test_a_customer_has_identifiers_name_and_activity(server: Server, three: Keys) -> None:
    """An item says who it is, what they are called, how much they did, and what and when last."""
    items = {item["id"]: item for item in server.read("/v1/customers", three)["items"]}
    ann = items["customer_id:cus_ann"]
    assert ann["name"] == "Ann Onym"
    assert (ann["events"], ann["verified_events"], ann["last_event"]) == (3, 3, "export")
    assert ann["last_seen"] == (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert ann["first_seen"] == (NOW - timedelta(days=60)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    cid = items["uid:cid"]
    assert (cid["name"], cid["events"]) == ("Ångström & Söhne", 0)
    assert (cid["first_seen"], cid["last_seen"], cid["last_event"]) == (None, None, None)


FILTERS = {
    "q=cus": "ann", "q=CUS_ANN": "ann", "q=uid:": "bob cid", "q=uid:b": "bob", "q=ann o": "ann", "q=ångström": "cid",
    "q=nobody": "", "q=": "ann bob cid",
    "did=login": "ann bob", "did=login&did_within_days=10": "ann", "did=login&did_at_least=2": "ann",
    "did=login&did_at_least=2&did_within_days=10": "", "did=login&did_at_least=2&did_within_days=90": "ann",
    "did=x": "", "did=x&did_within_days=36500": "", "did=login&did_within_days=36500": "ann bob",
    "did_not=login": "cid", "did_not=export": "bob cid", "did_not=login&did_not_within_days=10": "bob cid",
    "did_not=login&did_not_within_days=50": "cid", "did=login&did_not=export": "bob",
    "events_at_least=1": "ann bob", "events_at_least=4": "",
    "active_days=10": "ann", "active_days=50": "ann bob", "inactive_days=30": "bob", "inactive_days=50": "",
    "verified=true": "ann bob", "verified=false": "cid",
    "attribute=plan:eq:pro": "ann", "attribute=plan:ne:pro": "bob", "attribute=plan:exists": "ann bob",
    "attribute=plan:missing": "cid", "attribute=seats:gt:3": "ann cid", "attribute=seats:lt:12.5": "ann bob",
    "attribute=seats:eq:12.0": "ann", "attribute=trial:eq:false": "ann", "attribute=zip:eq:0123": "bob",
    "attribute=zip:eq:123": "", "attribute=plan:eq:": "",
    "attribute=plan:gt:g": "ann", "attribute=plan:gt:3": "", "attribute=seats:gt:g": "",
    "attribute=plan:exists&attribute=seats:lt:10": "bob",
}  # fmt: skip


@pytest.mark.parametrize("question", FILTERS)
def test_filters(server: Server, three: Keys, question: str) -> None:
    """Each filter keeps the customers that it describes."""
    answer = server.http.get(
        f"/v1/customers?sort=first_seen&{question}", headers={"Authorization": f"Bearer {three['read_key']}"}
    )
    assert answer.status_code == 200, answer.text
    names = {"customer_id:cus_ann": "ann", "uid:bob": "bob", "uid:cid": "cid"}
    assert " ".join(names[item["id"]] for item in answer.json()["items"]) == FILTERS[question]


def test_pages_show_everybody_once(server: Server, keys: Keys) -> None:
    """Whatever the sort, equal values included, pages neither lose nor repeat a customer; the last has no cursor."""
    send(server, keys, *[{"uid": f"u{n}", "event": "e", "occurred_at": ago(days=n % 3)} for n in range(25)])
    send(server, keys, *[{"uid": f"v{n}", "traits": {"a": 1}} for n in range(5)])
    wait_listed(server, keys, 25, 30)
    sorts = ("last_seen", "-last_seen", "first_seen", "events", "-events", "name", "-name", "plan", "-attribute:a")
    for sort in sorts:
        whole, found, cursor = listed(server, keys, sort=sort), [], {}
        while True:
            page = server.read("/v1/customers", keys, sort=sort, limit=4, **cursor)
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert found == whole
        assert len(set(found)) == 30
        if sort.endswith(("seen", "events")):
            assert {name for name in found[-5:] if name.startswith("uid:v")} == {f"uid:v{n}" for n in range(5)}


def test_texts_and_attributes_are_sorted_by(server: Server, keys: Keys) -> None:
    """Names and identifiers as one sort, in any case; an attribute's numbers as numbers, before its texts."""
    values = {"a": -20, "B": -3.5, "c": 0, "d": 7, "e": 1e20, "f": "10", "g": "Zoe", "h": r"a\', \"(al)\t", "i": None}
    send(server, keys, *[{"uid": uid, "traits": {"v": value}} for uid, value in values.items() if value is not None],
         {"uid": "i", "traits": {"name": "AARON"}})  # fmt: skip
    wait_listed(server, keys, 0, 9)
    assert "".join(listed(server, keys, sort="name")).replace("uid:", "") == "aiBcdefgh"
    ascending = "".join(listed(server, keys, sort="attribute:v")).replace("uid:", "")
    assert ascending == "aBcdefhgi"
    assert "".join(listed(server, keys, sort="-attribute:v")).replace("uid:", "") == "ghfedcBai"
    pages, cursor = "", {}
    while True:
        page = server.read("/v1/customers", keys, sort="attribute:v", limit=1, **cursor)
        pages += "".join(item["id"] for item in page["items"]).replace("uid:", "")
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert pages == ascending


def test_pages_hold_while_events_arrive(server: Server, keys: Keys) -> None:
    """Those whose own value stays as it was are each met once, though others move to the front meanwhile."""
    send(server, keys, *[{"uid": f"u{n}", "event": "e", "occurred_at": ago(days=n + 1)} for n in range(12)])
    wait_listed(server, keys, 12)
    first = server.read("/v1/customers", keys, limit=4)
    send(server, keys, {"uid": "u11", "event": "e", "occurred_at": ago()}, {"uid": "new", "event": "e"})
    wait_listed(server, keys, 14)
    rest = server.read("/v1/customers", keys, cursor=first["next"])
    assert [item["id"] for item in first["items"] + rest["items"]] == [f"uid:u{n}" for n in range(11)]


HOSTILE = [
    "%", "_", "'", '"', "\\", "\\'", "a\x00b", "a\nb\tc", "{q:String}", 
    "🙂👩‍👩‍👧", "שלום עולם", "İstanbul", "ß", "x" * 1_024, ":",
    "uid:", "' OR 1=1 --", "\u202eevil",
]  # fmt: skip


def test_search_takes_any_text_for_what_it_is(server: Server, keys: Keys) -> None:
    """Quotes, wildcards, control characters, emoji and right-to-left text find who has them, and nobody else."""
    send(server, keys, *[{"uid": text, "event": "e"} for text in HOSTILE])
    wait_listed(server, keys, len(HOSTILE))
    for text in HOSTILE:
        found = listed(server, keys, q=text)
        assert f"uid:{text}" in found
        if text == "uid:":
            assert len(found) == len(HOSTILE)
        else:
            assert all(name.startswith(f"uid:{text}") for name in found), text
        assert listed(server, keys, did=text[:256], attribute=f"{text[:256]}:eq:{text[:256]}") == []


def test_apps_do_not_see_each_other(server: Server, keys: Keys) -> None:
    """The same identifier in two apps is two customers, and a cursor of one is refused by the other."""
    other = create_app(server.data, "another list")
    send(server, keys, *[{"uid": uid, "event": "e", "traits": {"a": 1}} for uid in ("same", "mine")])
    send(server, other, {"uid": "same", "event": "e"}, {"uid": "same", "event": "e"})
    wait_listed(server, keys, 2)
    wait_listed(server, other, 2)
    assert sorted(listed(server, keys)) == ["uid:mine", "uid:same"]
    assert listed(server, other) == listed(server, other, events_at_least=2) == ["uid:same"]
    assert listed(server, other, attribute="a:exists") == []
    cursor = server.read("/v1/customers", keys, limit=1)["next"]
    assert refusal(server, other, limit=1, cursor=cursor)["field"] == "cursor"


def refusal(server: Server, keys: Keys, **parameters: Any) -> Any:
    answer = server.http.get(
        "/v1/customers", params=parameters, headers={"Authorization": f"Bearer {keys['read_key']}"}
    )
    assert answer.status_code == 400, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("field", "parameters"),
    [
        ("sort", {"sort": "colour"}),
        ("sort", {"sort": "attribute:"}),
        ("health_below", {"health_below": 101}),
        ("did_not_within_days", {"did_not_within_days": 2}),
        ("limit", {"limit": 1001}),
        ("limit", {"limit": 0}),
        ("cursor", {"cursor": "x"}),
        ("cursor", {"cursor": "A" * 43}),
        ("q", {"q": "x" * 1025}),
        ("last_seen_after", {"last_seen_after": "soon"}),
        ("inactive_days", {"inactive_days": 0}),
        ("inactive_days", {"inactive_days": 10**9}),
        ("did_at_least", {"did_at_least": 2}),
        ("did_within_days", {"did_within_days": 2}),
        ("events_at_least", {"events_at_least": 2**70}),
        ("attribute", {"attribute": "plan"}),
        ("attribute", {"attribute": "plan:is:pro"}),
        ("attribute", {"attribute": "plan:eq"}),
        ("attribute", {"attribute": "plan:exists:x"}),
        ("attribute", {"attribute": ["a:exists"] * 11}),
        ("verified", {"verified": "perhaps"}),
    ],
)  # fmt: skip
def test_bad_questions_name_the_field(server: Server, three: Keys, field: str, parameters: dict[str, Any]) -> None:
    """What cannot be asked is a 400 that says which parameter it is about."""
    found = refusal(server, three, **parameters)
    assert found["field"] == field
    assert found["error"] == ("invalid_cursor" if field == "cursor" else "invalid_parameter")


def test_a_cursor_belongs_to_its_question(server: Server, three: Keys) -> None:
    """A cursor of other filters or another sort is refused, not misread."""
    cursor = server.read("/v1/customers", three, limit=1)["next"]
    assert refusal(server, three, cursor=cursor, sort="events")["error"] == "invalid_cursor"
    assert refusal(server, three, cursor=cursor, q="a")["error"] == "invalid_cursor"


def test_the_documented_answer(server: Server, keys: Keys) -> None:
    """`docs/customers.md` shows what the server answers, and names each parameter and operator."""
    page = (Path(__file__).parent.parent / "docs" / "customers.md").read_text()
    jane = {"customer_id": "cus_1", "email": "Jane@example.com", "event": "login"}
    send(
        server, keys,
        {**jane, "occurred_at": "2026-01-02T08:00:00Z", "traits": {"name": "Jane Doe"}},
        {**jane, "occurred_at": "2026-02-01T12:00:00Z"},
        {**jane, "occurred_at": "2026-03-01T12:00:00Z"},
        {**jane, "occurred_at": "2026-01-02T08:00:00Z", "event": "subscription_updated", "properties": {
            "source": "native", "subscription": "sub_1", "status": "active", "currency": "USD",
            "items": [{"amount": 4900, "plan": "pro", "interval": "month"}]}},
    )  # fmt: skip
    wait_listed(server, keys, 4)
    shown = json.loads(page.split("```json")[1].split("```")[0])
    answer = server.read("/v1/customers", keys, q="jane", did="login")
    linked = {"identifiers", "identifier_count", "health", "last_received"}  # or are there a moment later
    assert [{k: v for k, v in item.items() if k not in linked} for item in answer["items"]] == [
        {k: v for k, v in item.items() if k not in linked} for item in shown["items"]
    ]
    assert answer["items"][0].keys() == shown["items"][0].keys()
    operation = server.http.get("/openapi.json").json()["paths"]["/v1/customers"]["get"]
    for parameter in operation["parameters"]:
        assert f"`{parameter['name']}`" in page, parameter["name"]
