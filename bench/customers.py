"""The list of customers at 100,000 customers and 10 million events, beside the same answer straight off `event`."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from bench.servers import Tenure, tenure_server
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tenure.warehouse.migrate import migrations

CUSTOMERS, EVENTS, BLOCK = 100_000, 10_000_000, 1_000_000
ROUNDS = 20

_EVENTS = """
INSERT INTO event
SELECT {app:String}, sipHash128('c', customer), toDateTime64('2025-11-01', 3, 'UTC') + rand64(2) % 31536000,
    sipHash128('e', number), arrayElement(['login', 'page_viewed', 'export_created', 'invite_sent', 'report_opened',
    'search_run', 'file_uploaded', 'ticket_opened', 'nps_response', 'invoice_paid'], 1 + rand64(3) % 10),
    concat('cus_', toString(customer)), '', '', '', '', '{"plan":"pro"}', '{}', toString(number), now64(6),
    sipHash128('r', number), 0, 'native', true, 1, 0
FROM (SELECT number, toUInt64(rand64(1) % {customers:UInt64}) AS customer FROM numbers({from:UInt64}, {block:UInt64}))
"""
_IDENTIFIERS = """
INSERT INTO identifier SELECT {app:String}, sipHash128('c', number), 'customer_id', concat('cus_', toString(number))
FROM numbers({customers:UInt64})
"""
_TRAITS = """
INSERT INTO identify SELECT {app:String}, sipHash128('c', number), now64(3), sipHash128('r', number), 0, 0, now64(6),
    'native', true, '', '', '', '', '',
    concat('{"name":"Jane ', toString(number), '","plan":"', ['pro', 'free'][1 + number % 2], '"}'),
    '{}', '[]', '' FROM numbers({customers:UInt64})
"""
_STRAIGHT = """
SELECT customer_key, count(), min(occurred_at), max(occurred_at) AS last FROM event FINAL WHERE app = {app:String}
GROUP BY customer_key ORDER BY last DESC LIMIT 101
"""


def listing(data: Path) -> None:
    """Fill a data directory of its own, and ask."""
    with tenure_server(data) as server:
        warehouse = Warehouse(Settings.load({"data": data}, {}))
        fill(warehouse, server.keys["app"])
    (data / "journal" / "customers.json").unlink(missing_ok=True)
    with tenure_server(data) as server:
        started = time.monotonic()
        while not ask(server, "sort=events&limit=1")["items"] or not listed_all(server):
            time.sleep(1)
        print(f"list of {CUSTOMERS:,} customers made in {time.monotonic() - started:.0f} s")
        straight = middle(measure(lambda: warehouse.client.query(_STRAIGHT, {"app": server.keys["app"]}), 3))
        deep = ask(server, "limit=1000")
        for _ in range(20):
            deep = ask(server, f"limit=1000&cursor={deep['next']}")
        for what, question in {
            "first page": "",
            "by events": "sort=-events",
            "search": "q=cus_123",
            "search by name": "q=jane 77",
            "did an event lately": "did=ticket_opened&did_within_days=30",
            "by attribute": "attribute=plan:eq:pro",
            "deep page": f"cursor={deep['next']}",
        }.items():
            seconds = measure(lambda question=question: ask(server, f"{question}&limit=100"), ROUNDS)
            print(f"list of customers, {what}: p50 {middle(seconds) * 1e3:.0f} ms, p95 {seconds[-2] * 1e3:.0f} ms, "
                  f"{middle(seconds) / straight:.3f} of the same off `event` ({straight * 1e3:.0f} ms)")  # fmt: skip


def fill(warehouse: Warehouse, app: str) -> None:
    """Events, identifiers and attributes straight into the tables, then the counts by the schema's own statements."""
    for start in range(0, EVENTS, BLOCK):
        warehouse.client.command(_EVENTS, {"app": app, "from": start, "customers": CUSTOMERS, "block": BLOCK})
    for sql in (_IDENTIFIERS, _TRAITS):
        warehouse.client.command(sql, {"app": app, "customers": CUSTOMERS})
    (statements,) = [statements for number, _, statements in migrations() if number == 5]
    for statement in statements:
        if not statement.startswith("CREATE"):
            warehouse.client.command(statement)


def listed_all(server: Tenure) -> bool:
    """Whether the last customer is there."""
    return all(ask(server, f"q=cus_{number}&limit=1")["items"] for number in range(0, CUSTOMERS, CUSTOMERS // 50))


def ask(server: Tenure, question: str) -> dict[str, list[object]]:
    """The list's answer."""
    headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
    answer = httpx.get(f"{server.url}/v1/customers?{question}", headers=headers, timeout=60)
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
