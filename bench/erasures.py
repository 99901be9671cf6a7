"""Erasing a customer beside 2 million events, while none, 1,000 and 5,000 a second come in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx

from bench.customers import identify
from bench.servers import Tenure, tenure_server
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse

CUSTOMERS, EVENTS, BLOCK = 20_000, 2_000_000, 500_000
RATES, ERASED = (0, 1_000, 5_000), 8
BATCH = 500
LEAD_SECONDS = 5
"""So long events come in before the first erasure."""
FILLING = {"TENURE_ENGINE_MEMORY_MB": "3000"}

_EVENTS = """
INSERT INTO event (* EXCEPT(billing_id))
SELECT {app:String}, customer_key, toDateTime64('2025-11-01', 3, 'UTC') + rand64(2) % 25920000,
    sipHash128('e', number), arrayElement(['login', 'page_viewed', 'export_created', 'invite_sent', 'report_opened',
    'search_run', 'file_uploaded', 'ticket_opened', 'nps_response', 'invoice_paid'], 1 + rand64(3) % 10),
    value, '', '', '', '', '{"plan":"pro"}', '{}', toString(number), now64(6),
    sipHash128('r', intDiv(number, 100)), number % 100, 'native', true, 1, 0
FROM (
    SELECT number, concat('cus-', toString(rand64(1) % {customers:UInt64})) AS value
    FROM numbers({from:UInt64}, {block:UInt64})
) AS made INNER JOIN identifier USING value
"""
_FILLED = (
    """INSERT INTO first_copy SELECT event_id, app, precedence, receipt, position, toFixedString('', 8), customer_key,
    occurred_at FROM event""",
    """INSERT INTO arrival (* EXCEPT(path, key_prefix, verified))
    SELECT app, receipt, 'event', position, 0, event_id, toFixedString('', 8), received_at,
    dialect, 'accepted', '' FROM event""",
    """INSERT INTO seen SELECT app, customer_key, name, count(), countIf(verified), min(occurred_at), max(occurred_at),
    now64(6) FROM event GROUP BY app, customer_key, name""",
    """INSERT INTO fact SELECT app, customer_key, 'customer', '', 'plan', now64(3), 'set', sipHash128('x', value), true,
    '"pro"', 'native', now64(6), sipHash128('f', value), 0, 0, 1 FROM identifier""",
)


def erasing(data: Path) -> None:
    """Fill a data directory of its own, and erase customers of it."""
    fill(data)
    with tenure_server(data) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        while not (data / "journal" / "customers.json").exists():
            time.sleep(0.2)
        numbers = iter(range(CUSTOMERS - 1, 0, -1))  # with names that no other begins with
        for rate in RATES:
            with coming_in(server, rate) as reached:
                time.sleep(LEAD_SECONDS)
                found = [erased(server, http, next(numbers)) for _ in range(ERASED)]
                came = reached()
                marked = [seconds_to(server, http, asked, "hidden") for asked, _, _ in found]
                done = [seconds_to(server, http, asked, "done") for asked, _, _ in found]
            times = {"answered": [seconds for _, seconds, _ in found], "gone from answers": [one[2] for one in found],
                     "rows marked": marked, "out of every byte": done}  # fmt: skip
            told = (f"{what} p50 {sorted(spent)[ERASED // 2]:.2f} s, max {max(spent):.2f} s"
                    for what, spent in times.items())  # fmt: skip
            print(f"erasing at {came:,.0f} events/s: {'; '.join(told)} ({ERASED} customers)", flush=True)


def erased(server: Tenure, http: httpx.Client, number: int) -> tuple[str, float, float]:
    """The id of the erasure of a customer; seconds from the request until it is answered; and until nothing finds the
    customer, by a name that was sent a moment before neither."""
    secret, read = ({"Authorization": f"Bearer {server.keys[kind]}"} for kind in ("secret_key", "read_key"))
    name, new = f"cus-{number}", f"{time.time_ns()}-new"
    for event in ({"event": "named", "customer_id": name, "uid": new}, {"event": "named", "uid": new}):
        http.post("/v1/ingest", headers=secret, json={"events": [event]}).raise_for_status()
    paths = [f"/v1/customers/customer_id:{name}", f"/v1/customers/uid:{new}", f"/v1/customers/{name}/timeline"]
    began = time.monotonic()
    answer = http.delete(f"/v1/customers/{name}", headers=secret)
    answered = time.monotonic() - began
    if answer.status_code != 202 or answer.json()["identifiers"] != 2:
        raise RuntimeError(f"not erased: {answer.status_code} {answer.text}")
    gone = answered
    while any(http.get(path, headers=read).status_code != 404 for path in paths) or listed(server, http, name):
        gone = time.monotonic() - began
    return str(answer.json()["id"]), answered, gone


def listed(server: Tenure, http: httpx.Client, name: str) -> bool:
    """Whether the list of customers has this one."""
    read = {"Authorization": f"Bearer {server.keys['read_key']}"}
    answer = http.get("/v1/customers", params={"q": f"customer_id:{name}"}, headers=read)
    answer.raise_for_status()
    return bool(answer.json()["items"])


def seconds_to(server: Tenure, http: httpx.Client, erasure: str, phase: str) -> float:
    """Seconds from the request until an erasure has come to a phase."""
    headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
    while phase not in (reached := http.get(f"/v1/erasures/{erasure}", headers=headers).json()["reached"]):
        time.sleep(0.1)
    asked, then = (datetime.fromisoformat(reached[name]) for name in ("requested", phase))
    return (then - asked).total_seconds()


@contextmanager
def coming_in(server: Tenure, rate: int) -> Iterator[Callable[[], float]]:
    """Events of other customers come in at a rate; gives a function that tells what the rate came to."""
    stop, sent, started = threading.Event(), [0], time.monotonic()
    headers = {"X-API-Key": server.keys["secret_key"]}

    def send() -> None:
        with httpx.Client(base_url=server.url, timeout=30) as http:
            while rate and not stop.wait(max(0.0, started + sent[0] / rate - time.monotonic())):
                number = sent[0]
                events = [{"event": "login", "customer_id": f"cus-{(number + n) * 7919 % CUSTOMERS}",
                           "message_id": f"{started}-{number + n}", "properties": {"plan": "pro", "page": "/reports"}}
                          for n in range(BATCH)]  # fmt: skip
                answer = http.post("/v1/ingest", headers=headers, json={"events": events})
                answer.raise_for_status()
                sent[0] += BATCH

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield lambda: sent[0] / (time.monotonic() - started)
    finally:
        stop.set()
        thread.join()


def fill(data: Path) -> None:
    """Identifiers and events straight into the tables, and what the loader makes of them."""
    started = time.monotonic()
    with tenure_server(data, FILLING) as server:
        client, app = Warehouse(Settings.load({"data": data}, {})).client, server.keys["app"]
        identify(client, app, [f"cus-{number}" for number in range(CUSTOMERS)])
        for start in range(0, EVENTS, BLOCK):
            bound = {"app": app, "from": start, "customers": CUSTOMERS, "block": BLOCK}
            client.command(_EVENTS, bound, settings={"max_threads": 2, "min_insert_block_size_bytes": 0})
        for statement in _FILLED:
            client.command(statement, settings={"max_threads": 1})
    (data / "journal" / "customers.json").unlink(missing_ok=True)
    print(f"{EVENTS:,} events of {CUSTOMERS:,} customers put into the tables in {time.monotonic() - started:.0f} s")
