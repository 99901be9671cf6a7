"""One history, told by four vendors' clients and our own in any order, twice, and in any batches, is one result."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings
from tests.harness import Server

Keys = dict[str, str]
Statement = tuple[str, dict[str, Any]]
"""A dialect's operation, and one element of it. Each has a time or says what is true at any time."""

BATCH = 5
DAY_MS = 86_400_000
SHARED = "office@example.com"
FIRST_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z


def when(day: int) -> str:
    return f"2026-01-{day:02d}T12:00:00Z"


def churnkey(who: int, day: int, n: int) -> Statement:
    known: dict[str, Any] = {"customerId": f"cus_{who}"} | ({"uid": f"u{who}"} if n % 2 else {})
    about = {"customerData": {"plan": f"plan {n}", "a.b": n}, "user": {"uid": f"p{n % 3}", "data": {"role": f"r{n}"}}}
    return "churnkey", {"event": "Post Created", "eventDate": when(day), "eventData": {"n": n}} | known | about


def windback(who: int, day: int, n: int) -> Statement:
    known = {"customer_email": f"User{who}@Example.com"} | ({"customer_id": f"cus_{who}"} if n % 2 else {})
    name = {"customer_name": f"Name {n}"} if n % 3 else {}
    return "windback", {"event": "feature_used", "timestamp": when(day), "properties": {"n": n}} | known | name


def customerscore(who: int, day: int, n: int) -> Statement:
    return "customerscore", {
        "name": "report opened",
        "timestamp": FIRST_MS + (day - 1) * DAY_MS,
        "identification": {"customer": f"cus_{who}", "contact": f"p{n % 3}"},
        "data": {"customer": {"plan": f"plan {n}", "mrr": n / 4}, "contact": {"phone": str(n)}},
    }


def whisperr(who: int, day: int, n: int) -> Statement:
    known = {"external_user_id": f"u{who}"} if n % 3 else {"anonymous_id": f"anon-{who}"}
    return "whisperr", {"event_type": "page_viewed", "message_id": f"w-{n}", "occurred_at": when(day),
                        "properties": {"n": n}} | known  # fmt: skip


def whisperr_identify(who: int, _: int, n: int) -> Statement:
    """It has no time, so that it says nothing here that another one denies."""
    traits = {f"trait {n % 5}": n % 5}
    return "whisperr identify", {"external_user_id": f"u{who}", "anonymous_id": f"anon-{who}", "traits": traits}


def set_users(who: int, _: int, __: int) -> Statement:
    """It has no time either."""
    users = [{"userId": f"seat {who}-{n}", "data": {"floor": n}} for n in range(3)]
    return "churnkey users", {"customerId": f"cus_{who}", "users": users}


def channels(who: int, _: int, n: int) -> Statement:
    found = [{"channel": "email", "address": f"user{who}@example.com", "opted_in": True},
             {"channel": "sms", "address": f"+4670000{n % 2}", "verified": True}]  # fmt: skip
    return "whisperr identify", {"external_user_id": f"u{who}", "channels": found}


def cancel_flow(who: int, _: int, n: int) -> Statement:
    known = {"customer_email": SHARED if n % 4 == 0 else f"user{who}@example.com"}
    known |= {"provider_customer_id": f"cus_{who}"} if n % 3 else {}
    return "windback cancel flow", {"provider": "stripe", "mrr": n, "cancel_reason": f"reason {n}", **known}


def shared(who: int, day: int, n: int) -> Statement:
    """The address of an office: with two customers or more it is nobody's."""
    known = [{"customer_id": f"cus_{who}"}, {"uid": f"u{who}"}, {}, {"anonymous_id": f"guest-{who}"}][n % 4]
    return "native", {"message_id": f"s-{n}", "occurred_at": when(day), "event": "mailed", "email": SHARED,
                      "traits": {f"shared {n % 3}": n}, **known}  # fmt: skip


def native(who: int, day: int, n: int) -> Statement:
    known = [{"uid": f"u{who}", "email": f"user{who}@example.com"}, {"uid": f"u{who}", "customer_id": f"cus_{who}"},
             {"customer_id": f"cus_{who}", "anonymous_id": f"visitor-{who}"},
             {"billing_id": f"cus_{who}", "email": f"billing{who}@example.com"}][n % 4]  # fmt: skip
    changes = [{"increment": {"seats": n, "mrr": 0.1}}, {"set_once": {"source": f"s{n}"}}, {"unset": ["plan"]},
               {"traits": {"seats": n, "deep": {"n": [n, None]}}}, {"traits": {"plan": n}}][n % 5]  # fmt: skip
    event = {"event": "imported", "properties": {"n": n}} if n % 2 else {}
    return "native", {"message_id": f"n-{n}", "occurred_at": when(day), **known, **changes, **event}


# An anonymous id has one claimant here: of two the first one owns it, by the time of receipt.
TELLERS: list[Callable[[int, int, int], Statement]] = [
    churnkey, windback, customerscore, whisperr, whisperr_identify, native, set_users, channels, cancel_flow, shared,
]  # fmt: skip


def send(server: Server, keys: Keys, dialect: str, elements: list[dict[str, Any]]) -> None:
    secret = {"X-API-Key": keys["secret_key"]}
    requests: dict[str, Callable[[], tuple[str, Any, dict[str, str]]]] = {
        "churnkey": lambda: ("/v1/api/events/bulk", elements,
                             {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}),
        "windback": lambda: ("/api/v1/track", {"events": elements}, secret),
        "customerscore": lambda: ("/api/tracker/track", {"trackerKey": keys["tracker_key"], "events": elements},
                                  {"customerscore-key": keys["secret_key"]}),
        "whisperr": lambda: ("/v1/events/batch", {"events": elements}, secret),
        "native": lambda: ("/v1/ingest", {"events": elements}, secret),
    }  # fmt: skip
    single = {"whisperr identify": "/v1/identify", "windback cancel flow": "/api/v1/cancel-flow/submit",
              "churnkey users": "/v1/api/events/customer-update/set-users"}  # fmt: skip
    if dialect in single:
        headers = secret | {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
        for element in elements:
            once = {"Idempotency-Key": str(element)} if dialect == "windback cancel flow" else {}
            answer = server.http.post(single[dialect], json=element, headers=headers | once)
            assert answer.status_code < 300, answer.text
        return
    path, body, headers = requests[dialect]()
    answer = server.http.post(path, json=body, headers=headers)
    assert answer.status_code < 300, answer.text


def tell(server: Server, keys: Keys, history: list[Statement], batch: int) -> None:
    """Send statements in their order, those of one dialect that follow each other `batch` at a time."""
    waiting: list[Statement] = []
    for statement in [*history, ("", {})]:
        if waiting and (statement[0] != waiting[0][0] or len(waiting) == batch or statement in waiting):
            send(server, keys, waiting[0][0], [element for _, element in waiting])
            waiting = []
        waiting.append(statement)


VOLATILE = {"received_at", "receipt", "event_id", "receipts", "link"}
"""What must differ between two apps that were told the same at other times."""
NOW = re.compile(r"20\d\d-\d\d-\d\dT(?!12:00:00\.000Z).*Z")
"""A time of receipt: in a history it is always noon."""
CHURN_EVENT = re.compile(r"[0-9a-f]{32}")


def stable(value: Any) -> Any:
    """Without what differs between apps; times of receipt, and ids of churn events, are all the same."""
    if isinstance(value, dict):
        return {key: stable(item) for key, item in value.items() if key not in VOLATILE}
    if isinstance(value, list):
        items = [stable(item) for item in value if not _is_change_without_time(item)]
        return sorted(items, key=repr) if items and isinstance(items[0], dict) else items
    if isinstance(value, str):  # what stands in the order of ids or times of receipt, stands in that of its text
        return CHURN_EVENT.sub("an id", NOW.sub("a time", value))
    return value


def _is_change_without_time(item: Any) -> bool:
    """Said twice by an identify that has neither a time nor an id, it was said twice, as its history shows."""
    return isinstance(item, dict) and "operation" in item and bool(NOW.fullmatch(item["set_at"]))


PARTS = ("/timeline?limit=1000", "/users", "/attributes", "/identity", "/churn-events")


def known_of(server: Server, keys: Keys) -> dict[str, Any]:
    """All that the read API says of every customer of the histories, by each of its identifiers."""
    known: dict[str, Any] = {"/v1/events": stable(server.read("/v1/events", keys))}
    forms = [("customer_id", "cus_{}"), ("uid", "u{}"), ("billing_id", "cus_{}"), ("email", "billing{}@example.com"),
             ("email", "USER{}@example.com"), ("anonymous_id", "anon-{}"), ("anonymous_id", "visitor-{}"),
             ("anonymous_id", "guest-{}")]  # fmt: skip
    names = [(kind, form.format(who)) for kind, form in forms for who in range(3)]
    for kind, value in [*names, ("email", SHARED)]:
        path = f"/v1/customers/{quote(f'{kind}:{value}')}"
        known[path] = _answer(server, keys, path)
        for part in PARTS:
            own = f"/v1/customers/{quote(known[path].get('id', value))}{part}"
            if own not in known:
                known[own] = _answer(server, keys, own)
    return known


def _answer(server: Server, keys: Keys, path: str) -> Any:
    answer = server.http.get(path, headers={"Authorization": f"Bearer {keys['read_key']}"})
    assert answer.status_code in (200, 404), answer.text
    return stable(answer.json())


QUESTIONS: list[dict[str, Any]] = [
    {}, {"sort": "first_seen"}, {"q": "user"}, {"q": "name"}, {"q": "email:office"}, {"did": "imported"},
    {"did": "feature_used", "did_at_least": 2}, {"last_seen_before": when(15)}, {"events_at_least": 3},
    {"attribute": "seats:gt:5"}, {"attribute": ["plan:exists", "mrr:lt:3"]}, {"attribute": "plan:missing"},
]  # fmt: skip


def followed(server: Server, keys: Keys) -> list[Any]:
    """The list of customers, under each question, as soon as it says of everybody what the whole customer says."""
    deadline = time.monotonic() + 60
    while wrong := _behind(server, keys):
        assert time.monotonic() < deadline, wrong
        time.sleep(0.05)
    answers = [server.read("/v1/customers", keys, limit=1000, **asked)["items"] for asked in QUESTIONS]
    for item in itertools.chain.from_iterable(answers):
        item.pop("health")  # made in its own time; the whole customer, which is compared too, has it at once
    return [stable(items) for items in answers]


def _behind(server: Server, keys: Keys) -> list[Any]:
    """Customers on the list, each with the whole customer where it says something else; all, if events are missing."""
    items = server.read("/v1/customers", keys, limit=1000)["items"]
    counted = sum(name["count"] for name in server.read("/v1/events", keys)["items"])
    if sum(item["events"] for item in items) != counted:
        return [counted, items]
    return [(item, whole) for item in items if _shown(item) != (whole := _whole(server, keys, item["id"]))]


def _shown(item: dict[str, Any]) -> Any:
    return [item[field] for field in ("id", "identifiers", "name", "events", "first_seen", "last_seen")]


def _whole(server: Server, keys: Keys, customer: str) -> Any:
    found = server.http.get(f"/v1/customers/{quote(customer)}", headers={"Authorization": f"Bearer {keys['read_key']}"})
    whole = found.json()
    if found.status_code != 200:
        return whole
    activity = whole["activity"]
    return [whole["id"], whole["identifiers"], whole["name"],
            *(activity[field] for field in ("count", "first_seen", "last_seen"))]  # fmt: skip


@pytest.fixture
def new_app(server: Server) -> Callable[[], Keys]:
    """Makes apps: id and keys."""
    store = Store(connect(Settings.load({"data": server.data}, {})))
    made = iter(range(10_000))

    def make() -> Keys:
        app = store.create_app(f"history {next(made)} {id(store)}").id
        store.set_limit(app, "customerscore", None)
        return {"app": app} | store.create_keys(app)

    return make


statements = st.lists(
    st.tuples(st.sampled_from(TELLERS), st.integers(0, 2), st.integers(1, 28)), min_size=5, max_size=40
).map(lambda drawn: [teller(who, day, n) for n, (teller, who, day) in enumerate(drawn)])


@pytest.mark.long
@settings(
    max_examples=2, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(data=st.data())
def test_any_order_repetition_and_batching(server: Server, new_app: Callable[[], Keys], data: st.DataObject) -> None:
    """Customers, attributes, users, timelines and counts do not depend on how the same history arrived."""
    history = data.draw(statements)
    again = data.draw(st.lists(st.sampled_from(history), max_size=15))
    order = data.draw(st.permutations(history + again))
    batch = data.draw(st.integers(1, BATCH))
    one, other = new_app(), new_app()
    tell(server, one, history, 1)
    tell(server, other, order, batch)
    server.wait_loaded()
    assert followed(server, other) == followed(server, one)
    told, known = known_of(server, other), known_of(server, one)
    assert {path: (told[path], answer) for path, answer in known.items() if told[path] != answer} == {}
