"""The list of customers at 100,000 customers and 10 million events, beside the same answer straight off `event`."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from bench.servers import Tenure, tenure_server
from tenure.identity import Identifier, identity_key
from tenure.loader.columns import COLUMNS
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse

CUSTOMERS, EVENTS, BLOCK = 100_000, 10_000_000, 1_000_000
ROUNDS = 20
SMALL_BLOCKS = {
    "max_threads": 1,
    "max_block_size": 8_192,
    "min_insert_block_size_rows": 32_768,
    "min_insert_block_size_bytes": 16 * 1024 * 1024,
}
"""So that a filling statement fits into the engine's memory."""

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
FROM event WHERE startsWith(hex(customer_key), {digit:String}) GROUP BY app, customer_key, name
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
    started = time.monotonic()
    with tenure_server(data) as server:
        fill(Warehouse(Settings.load({"data": data}, {})), server.keys["app"])
    print(f"{EVENTS:,} events of {CUSTOMERS:,} customers put into the tables in {time.monotonic() - started:.0f} s")
    (data / "journal" / "customers.json").unlink(missing_ok=True)
    with tenure_server(data) as server:
        started = time.monotonic()
        while not listed_all(server):
            time.sleep(1)
        print(f"list of {CUSTOMERS:,} customers made in {time.monotonic() - started:.0f} s")
        warehouse = Warehouse(Settings.load({"data": data}, {}))
        straight = middle(measure(lambda: warehouse.client.query(_STRAIGHT, {"app": server.keys["app"]}), 3))
        deep = ask(server, "?limit=1000")
        for _ in range(20):
            deep = ask(server, f"?limit=1000&cursor={deep['next']}")
        for what, question in {
            "first page": "",
            "by events": "sort=-events",
            "search": "q=cus_123",
            "search by name": "q=jane 77",
            "did an event lately": "did=ticket_opened&did_within_days=30",
            "by attribute": "attribute=plan:eq:pro",
            "deep page": f"cursor={deep['next']}",
        }.items():
            seconds = measure(lambda question=question: ask(server, f"?{question}&limit=100"), ROUNDS)
            print(f"list of customers, {what}: p50 {middle(seconds) * 1e3:.0f} ms, p95 {seconds[-2] * 1e3:.0f} ms, "
                  f"{middle(seconds) / straight:.3f} of the same off `event` ({straight * 1e3:.0f} ms)")  # fmt: skip
        seconds = measure(lambda: ask(server, "/customer_id:cus_77"), ROUNDS)
        print(f"one customer: p50 {middle(seconds) * 1e3:.0f} ms, p95 {seconds[-2] * 1e3:.0f} ms")


def fill(warehouse: Warehouse, app: str) -> None:
    """Identifiers, events and attributes straight into the tables, and the counts of the events."""
    client = warehouse.client
    values = [f"cus_{number}" for number in range(CUSTOMERS)]
    rows = [(app, identity_key(app, Identifier("customer_id", value)), "customer_id", value) for value in values]
    columns = COLUMNS["identifier"]
    client.insert("identifier", rows, column_names=list(columns), column_type_names=list(columns.values()))
    for start in range(0, EVENTS, BLOCK):
        client.command(
            _EVENTS, {"app": app, "from": start, "customers": CUSTOMERS, "block": BLOCK}, settings=SMALL_BLOCKS
        )
    client.command(_FACTS, settings=SMALL_BLOCKS)
    for digit in "0123456789ABCDEF":  # a part of the customers at a time: what is counted is held in memory
        client.command(_SEEN, {"digit": digit}, settings=SMALL_BLOCKS)


def listed_all(server: Tenure) -> bool:
    """Whether the last customer is there."""
    return all(ask(server, f"?q=cus_{number}&limit=1")["items"] for number in range(0, CUSTOMERS, CUSTOMERS // 50))


def ask(server: Tenure, question: str) -> dict[str, list[object]]:
    """The answer of the list, or of one customer."""
    headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
    answer = httpx.get(f"{server.url}/v1/customers{question}", headers=headers, timeout=60)
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
