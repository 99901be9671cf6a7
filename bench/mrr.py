"""MRR and churn of 100,000 customers over 36 months, asked over HTTP, beside the same by the pure functions."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from bench.customers import middle
from bench.pages import OF_MONEY, pages
from bench.servers import Tenure, processor_seconds, tenure_server
from tenure.control.billing import DEFAULT
from tenure.identity import Identifier, identity_key
from tenure.loader.ledger import COLUMNS, Told, row
from tenure.settings import Settings
from tenure.subscriptions import metrics
from tenure.subscriptions.account import OWN, account
from tenure.subscriptions.fact import Fact, Item
from tenure.subscriptions.movements import Movement
from tenure.warehouse.client import Warehouse

CUSTOMERS, HISTORIES, BLOCK = 100_000, 5_000, 5_000
DAYS, ROUNDS = 36 * 30, 5
PLANS = {"basic": 900, "pro": 2_900, "team": 9_900}
DAY_MS = 86_400_000

_LISTED = """
INSERT INTO customer (app, customer, version, deleted, keys, kinds, search, events, verified, first_seen, last_seen,
    names, counts, lasts, shown)
SELECT app, customer, version, 0, keys, ['customer_id'], [hex(customer)], 1, 1, now64(3), now64(3), ['login'], [1],
    [now64(3)], concat('{"id":"customer_id:', hex(customer), '"}')
FROM ledger
"""


def revenue(data: Path) -> None:
    """Fill the ledger of a data directory of its own, and ask."""
    today = datetime.now(UTC).date()
    with tenure_server(data) as server:
        started = time.monotonic()
        book = fill(Warehouse(Settings.load({"data": data}, {})), server.keys["app"], today)
        changes = sum(len(movement.changes) for movement in book)
        print(
            f"{changes:,} changes of {CUSTOMERS:,} customers put into the ledger in {time.monotonic() - started:.0f} s"
        )
        span = today - timedelta(days=DAYS), today
        references = {
            "mrr?by=none": lambda: metrics.statement(book, "month", *span),
            "mrr?by=plan": lambda: metrics.statement(book, "month", *span, by_plan=True),
        }
        question = f"from={span[0]}"
        closed = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
        behind = f"period_start={closed}&currency=USD"
        for what, path in {
            "MRR, 36 months": f"mrr?by=none&{question}",
            "MRR, 36 months by plan": f"mrr?by=plan&{question}",
            "MRR, 36 months of a segment": f"mrr?did=login&{question}",
            "MRR, a year by day": "mrr?period=day",
            "churn, 36 months": f"churn?by=none&{question}",
            "churn, 36 months by plan": f"churn?by=plan&{question}",
            "cohorts, 36 months": f"churn?by=cohort&{question}",
            "what is behind a month's expansion": f"mrr?{behind}&explain=expansion",
            "what is behind a month's closing": f"mrr?{behind}&explain=closing",
            "what is behind a month's churn": f"churn?{behind}&explain=lost",
        }.items():
            seconds, processor = measured(server, path)
            reference = references.get(path.partition("&")[0])
            beside = "" if reference is None else compared(processor, reference)
            print(f"{what}: p50 {middle(seconds) * 1e3:.0f} ms, max {seconds[-1] * 1e3:.0f} ms; "
                  f"processor {processor * 1e3:.0f} ms{beside}")  # fmt: skip
        pages(server, data, OF_MONEY)


def measured(server: Tenure, path: str) -> tuple[list[float], float]:
    """Seconds that it took over HTTP, sorted; and processor time of engine and http worker, each time on average."""
    before, seconds = processor(server), []
    headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = httpx.get(f"{server.url}/v1/metrics/{path}", headers=headers, timeout=60)
        seconds.append(time.perf_counter() - started)
        answer.raise_for_status()
    return sorted(seconds), (processor(server) - before) / ROUNDS


def processor(server: Tenure) -> float:
    """Processor time so far of the roles that answer."""
    return sum(processor_seconds(server.process.pid, role) for role in ("engine", "http"))


def compared(seconds: float, reference: Any) -> str:
    """The ratio, in processor time, to the pure functions over movements that are in memory."""
    started = time.process_time()
    reference()
    took = time.process_time() - started
    return f", {seconds / took:.2f} of the same in Python ({took * 1e3:.0f} ms)"


def fill(warehouse: Warehouse, app: str, today: date) -> list[Movement]:
    """Every history for as many customers as there is room for; returns the movements of all."""
    chance = random.Random(1)
    version = time.time_ns() // 1_000
    known = [account(_facts(chance, today), DEFAULT.rules) for _ in range(HISTORIES)]
    moved = [found.movements(DEFAULT.rules) for found in known]
    customers = iter(range(CUSTOMERS))
    while block := list(islice(customers, BLOCK)):
        rows = [
            row(app, key, version, Told([key], known[number % HISTORIES], moved[number % HISTORIES], DEFAULT.stamp))
            for number in block
            for key in (identity_key(app, Identifier("customer_id", f"cus_{number}")),)
        ]  # fmt: skip
        warehouse.client.insert("ledger", rows, column_names=list(COLUMNS), column_type_names=list(COLUMNS.values()))
    warehouse.client.command(_LISTED)
    return [movement for number in range(CUSTOMERS) for movement in moved[number % HISTORIES][OWN]]


def _facts(chance: random.Random, today: date) -> Iterator[Fact]:
    """Of a subscription that began within the 36 months: plan and seats change, it ends, and perhaps comes back."""
    last = (today - date(1970, 1, 1)).days
    day, yearly, alive = last - DAYS + chance.randrange(DAYS - 90), chance.random() < 0.2, True
    said: dict[str, Any] = {"currency": "USD" if chance.random() < 0.8 else "EUR", "status": "active"}
    plan, seats = chance.choice(list(PLANS)), chance.randrange(1, 5)
    while day <= last:
        item = Item(plan=plan, amount=PLANS[plan] * seats * (10 if yearly else 1), unit="year" if yearly else "month")
        items = {"items": (item,)} if alive else {}
        yield Fact(source="stripe", customer="", subscription="sub_1", effective_at=day * DAY_MS, received_at=0,
                   **said, **items)  # fmt: skip
        day += chance.randrange(40, 450)
        plan, seats = chance.choice(list(PLANS)), chance.randrange(1, 9)
        alive = not alive or chance.random() > 0.2
        said = {"status": "active" if alive else "canceled"}
