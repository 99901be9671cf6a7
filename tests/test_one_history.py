"""One history, told by four vendors' clients and our own in any order, twice, and in any batches, is one result."""

from __future__ import annotations

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


def native(who: int, day: int, n: int) -> Statement:
    known = [{"uid": f"u{who}", "email": f"user{who}@example.com"}, {"uid": f"u{who}", "customer_id": f"cus_{who}"},
             {"customer_id": f"cus_{who}", "anonymous_id": f"anon-{who}"}][n % 3]  # fmt: skip
    changes = [{"increment": {"seats": n, "mrr": 0.1}}, {"set_once": {"source": f"s{n}"}}, {"unset": ["plan"]},
               {"traits": {"seats": n, "deep": {"n": [n, None]}}}, {"traits": {"plan": n}}][n % 5]  # fmt: skip
    event = {"event": "imported", "properties": {"n": n}} if n % 2 else {}
    return "native", {"message_id": f"n-{n}", "occurred_at": when(day), **known, **changes, **event}


TELLERS: list[Callable[[int, int, int], Statement]] = [
    churnkey, windback, customerscore, whisperr, whisperr_identify, native,
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
    if dialect == "whisperr identify":
        for element in elements:
            assert server.http.post("/v1/identify", json=element, headers=secret).status_code == 202
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


VOLATILE = {"received_at", "receipt", "event_id", "receipts", "asked"}
"""What must differ between two apps that were told the same at other times."""


def stable(value: Any) -> Any:
    """Without what differs between apps, and without the times of attributes that came without one."""
    if isinstance(value, dict):
        kept = {key: stable(item) for key, item in value.items() if key not in VOLATILE}
        if kept.get("dialect") == "whisperr" and "set_at" in kept:
            del kept["set_at"]
        return kept
    if isinstance(value, list):  # events of equal times are in the order of their ids, which are the app's own
        items = [stable(item) for item in value if not _is_change_without_time(item)]
        return sorted(items, key=repr) if items and isinstance(items[0], dict) and "occurred_at" in items[0] else items
    return value


def _is_change_without_time(item: Any) -> bool:
    """Said twice by an identify that has neither a time nor an id, it was said twice, as its history shows."""
    return isinstance(item, dict) and "operation" in item and item["dialect"] == "whisperr"


def known_of(server: Server, keys: Keys) -> dict[str, Any]:
    """All that the read API says of every customer of the histories, by each of its identifiers."""
    known: dict[str, Any] = {"/v1/events": stable(server.read("/v1/events", keys))}
    for who in range(3):
        for kind, value in (("customer_id", f"cus_{who}"), ("uid", f"u{who}"), ("email", f"USER{who}@example.com"),
                            ("anonymous_id", f"anon-{who}")):  # fmt: skip
            path = f"/v1/customers/{quote(f'{kind}:{value}')}"
            for part in ("", "/timeline?limit=1000", "/users"):
                answer = server.http.get(path + part, headers={"Authorization": f"Bearer {keys['read_key']}"})
                assert answer.status_code in (200, 404), answer.text
                known[path + part] = stable(answer.json())
            attributes = server.http.get(f"{path}/attributes", headers={"Authorization": f"Bearer {keys['read_key']}"})
            known[f"{path}/attributes"] = stable(attributes.json())
    return known


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


@settings(
    max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate],
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
    told, known = known_of(server, other), known_of(server, one)
    assert {path: (told[path], answer) for path, answer in known.items() if told[path] != answer} == {}
