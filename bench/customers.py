"""The list of customers at 100,000 customers and 10 million events, beside the same answer straight off `event`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from clickhouse_connect.driver.client import Client

from bench.pages import pages
from bench.servers import Tenure, processor_seconds, tenure_server
from bench.steady import LISTED, delays
from tenure.identity import Identifier, identity_key
from tenure.loader.columns import COLUMNS
from tenure.loader.volume import Volumes
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse

CUSTOMERS, EVENTS, BLOCK = 100_000, 10_000_000, 1_000_000
ROUNDS = 60
RATE, SECONDS = 1_000, 15
FILLING = {"TENURE_ENGINE_MEMORY_MB": "3000"}
"""The engine's memory while the tables are filled; what is measured runs with what a server has by default."""
LARGE_PARTS = {"max_threads": 2, "min_insert_block_size_rows": 500_000, "min_insert_block_size_bytes": 0}
IN_ORDER = {"max_threads": 1, "optimize_aggregation_in_order": 1, "max_block_size": 8_192}
QUESTIONS = {
    "first page": "",
    "by first seen": "sort=first_seen",
    "by events": "sort=-events",
    "one identifier": "q=customer_id:cus_77777",
    "beginning of an identifier": "q=cus_123",
    "beginning of a name": "q=jane 77",
    "nobody is found": "q=nobody",
    "by attribute": "attribute=plan:eq:pro",
    "by a number": "attribute=seats:gt:90",
    "did": "did=ticket_opened",
    "did so often": "did=ticket_opened&did_at_least=12",
    "did lately": "did=ticket_opened&did_within_days=30",
    "not did lately": "did_not=ticket_opened&did_not_within_days=30",
    "inactive": "inactive_days=7",
    "by health": "sort=health",
    "health below": "health_below=70",
    "by name": "sort=name",
    "by an attribute": "sort=-attribute:seats",
    "two filters": "attribute=plan:eq:pro&events_at_least=110&sort=-events",
}

_EVENTS = """
INSERT INTO event (* EXCEPT(billing_id))
SELECT {app:String}, customer_key, toDateTime64('2025-11-01', 3, 'UTC') + rand64(2) % 31536000,
    sipHash128('e', number), arrayElement(['login', 'page_viewed', 'export_created', 'invite_sent', 'report_opened',
    'search_run', 'file_uploaded', 'ticket_opened', 'nps_response', 'invoice_paid'], 1 + rand64(3) % 10),
    value, '', '', '', '', '{"plan":"pro"}', '{}', toString(number), now64(6),
    sipHash128('r', number), 0, 'native', true, 1, 0
FROM (
    SELECT number, concat('cus_', toString(rand64(1) % {customers:UInt64})) AS value
    FROM numbers({from:UInt64}, {block:UInt64})
) AS made INNER JOIN identifier USING value
"""
_SEEN = """
INSERT INTO seen
SELECT app, customer_key, name, count(), countIf(verified), min(occurred_at), max(occurred_at), now64(6)
FROM event GROUP BY app, customer_key, name
"""
_FACTS = """
INSERT INTO fact SELECT app, customer_key, 'customer', '', said.1, now64(3), 'set', sipHash128('x', value), true,
    said.2, 'native', now64(6), sipHash128('r', value), 0, 0, 1
FROM (SELECT *, toUInt64(substring(value, 5)) AS number FROM identifier) ARRAY JOIN [
    ('name', concat('"Jane ', toString(number), '"')), ('plan', ['"pro"', '"free"'][1 + number % 2]),
    ('seats', toString(number % 100))] AS said
"""
_STRAIGHT = """
SELECT customer_key, count(), min(occurred_at), max(occurred_at) AS last FROM event FINAL WHERE app = {app:String}
GROUP BY customer_key ORDER BY last DESC LIMIT 101
"""


def listing(data: Path) -> None:
    """Fill a data directory of its own, and ask."""
    fill(data)
    followed = data / "journal" / "customers.json"
    followed.unlink(missing_ok=True)
    with tenure_server(data) as server:
        started, before = time.monotonic(), processor_seconds(server.process.pid)
        while not followed.exists():
            time.sleep(0.1)
        used = processor_seconds(server.process.pid) - before
        print(f"list of {CUSTOMERS:,} customers made in {time.monotonic() - started:.0f} s, "
              f"{used / CUSTOMERS * 1e6:.0f} ms of processor for 1,000")  # fmt: skip
        warehouse = Warehouse(Settings.load({"data": data}, {}))
        (straight,) = measure(lambda: warehouse.client.query(_STRAIGHT, {"app": server.keys["app"]}), 1)
        print(f"list of customers straight off `event`: {straight * 1e3:.0f} ms")
        headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as http:
            questions(server, http)
        pages(server, data, customer="cus_77", event="ticket_opened")
        found = sorted(delays(server, RATE, SECONDS, LISTED))
        print(f"on the list after the ack at {RATE:,} events/s: p50 {middle(found):.1f} s, max {found[-1]:.1f} s "
              f"({len(found)} probes)")  # fmt: skip


def questions(server: Tenure, http: httpx.Client) -> None:
    """Each kind of question, in turn; then one customer."""
    deep = ask(http, "?limit=1000")
    for _ in range(20):
        deep = ask(http, f"?limit=1000&cursor={deep['next']}")
    paths = {f"list of customers, {what}": f"?{question}&limit=100" for what, question in QUESTIONS.items()}
    paths |= {"list of customers, deep page": f"?limit=100&cursor={deep['next']}", "one customer": "/cus_77"}
    for what, path in paths.items():
        ask(http, path)
        before = processor_seconds(server.process.pid)
        seconds = measure(lambda path=path: ask(http, path), ROUNDS)
        used = (processor_seconds(server.process.pid) - before) / ROUNDS
        print(f"{what}: p50 {middle(seconds) * 1e3:.0f} ms, p95 {seconds[len(seconds) * 95 // 100] * 1e3:.0f} ms, "
              f"{used * 1e3:.0f} ms of processor in all roles")  # fmt: skip


def fill(data: Path) -> None:
    """Identifiers, events and attributes straight into the tables, and the counts of the events."""
    started = time.monotonic()
    with tenure_server(data, FILLING) as server:
        client, app = Warehouse(Settings.load({"data": data}, {})).client, server.keys["app"]
        identify(client, app, [f"cus_{number}" for number in range(CUSTOMERS)])
        for start in range(0, EVENTS, BLOCK):
            bound = {"app": app, "from": start, "customers": CUSTOMERS, "block": BLOCK}
            client.command(_EVENTS, bound, settings=LARGE_PARTS)
        client.command(_FACTS, settings=LARGE_PARTS)
        client.command(_SEEN, settings=IN_ORDER)
        Volumes().put_right(client, {app})
    print(f"{EVENTS:,} events of {CUSTOMERS:,} customers put into the tables in {time.monotonic() - started:.0f} s")


def identify(client: Client, app: str, values: Sequence[str]) -> None:
    """Customers by their ids, put into the table straight."""
    rows = [(app, identity_key(app, Identifier("customer_id", value)), "customer_id", value) for value in values]
    columns = COLUMNS["identifier"]
    client.insert("identifier", rows, column_names=list(columns), column_type_names=list(columns.values()))


def ask(http: httpx.Client, question: str) -> dict[str, list[object]]:
    """The answer of the list, or of one customer."""
    answer = http.get(f"/v1/customers{question}")
    answer.raise_for_status()
    found: dict[str, list[object]] = answer.json()
    return found


def measure(question: object, rounds: int) -> list[float]:
    """Seconds that it took, sorted."""
    assert callable(question)
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        question()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)


def middle(values: list[float]) -> float:
    """The median of what is sorted."""
    return values[len(values) // 2]
