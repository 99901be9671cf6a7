"""What links cost: `python -m bench.linked [--links N]`. A linked customer's timeline against one with no link."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from itertools import count
from pathlib import Path

import httpx

from bench.__main__ import get, middle, wait_until_loaded
from bench.servers import Tenure, tenure_server
from tenure.control.database import connect
from tenure.control.link import API, CARRIED, LARGE, Link
from tenure.control.links import Links
from tenure.identity import Identifier
from tenure.receipt import new
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse

BLOCK = 20_000
FILLING_SECONDS = 1_200
"""Filling ends after this time, with as many links as there are then."""
PROBES, EVENTS = 200, 50
"""Customers that are asked for of each sort, and the events of each."""
MANY = 2_500
"""Identifiers of the largest customer."""


def main() -> None:
    """Print what was measured, line by line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--links", type=int, default=1_000_000, help="links in the app")
    parser.add_argument("--data", type=Path, help="where to put the data directory (default: a temporary one)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.data) as directory:
        data = Path(directory) / "data"
        data.mkdir()
        print(f"{os.cpu_count()} cores")
        with tenure_server(data) as server:
            settings = Settings.load({"data": data}, {})
            links = Links(connect(settings))
            filled = fill(links, server.keys["app"], wanted.links)
            print(f"canonical customers in the warehouse {projected(settings, links):.1f} s after the last link")
            send(server, filled)
            timelines(server, filled)


def fill(links: Links, app: str, wanted: int) -> int:
    """Two links a customer (customer id, uid, e-mail), and one customer of 2,500 identifiers; returns how many."""
    many = Identifier("customer_id", "many")
    links.add([Link(app, many, many, LARGE, API, True, 1, "large")])
    links.add(link(app, "many", "uid", f"many{n}") for n in range(MANY - 1))
    written, started = 0, time.monotonic()
    for start in count(0, BLOCK // 2):
        if written >= wanted or time.monotonic() - started > FILLING_SECONDS:
            break
        numbers = range(start, start + BLOCK // 2)
        links.add(link(app, f"c{n}", kind, f"{kind}{n}@x.y") for n in numbers for kind in ("uid", "email"))
        written += BLOCK
    print(f"{written:,} links written at {written / (time.monotonic() - started):,.0f}/s")
    started = time.monotonic()
    links.add(link(app, f"c{n}", kind, f"{kind}{n}@x.y") for n in numbers for kind in ("uid", "email"))
    print(f"a block of {BLOCK:,} that is known: {(time.monotonic() - started) * 1e3:.0f} ms")
    return written


def link(app: str, customer: str, kind: str, value: str) -> Link:
    """A fact as the loader records it."""
    now = time.time_ns() // 1_000
    return Link(app, Identifier("customer_id", customer), Identifier(kind, value), CARRIED, "native", True, now, new())


def projected(settings: Settings, links: Links) -> float:
    """Seconds until the warehouse has the last change of links."""
    started = time.monotonic()
    warehouse = Warehouse(settings)
    while True:
        version = warehouse.client.query("SELECT max(version) FROM canonical").result_rows[0][0]
        if not links.changed_after(version, "g", 1):  # ids are hexadecimal: all of that revision come before
            return time.monotonic() - started
        time.sleep(0.1)


def send(server: Tenure, filled: int) -> None:
    """Events of customers with links, of customers without, and of the one with many."""
    step = filled // 2 // PROBES
    for sort in range(PROBES):
        whos = ({"uid": f"uid{sort * step}@x.y"}, {"uid": f"alone{sort}"}, {"uid": f"many{sort}"})
        events = [{"event": "seen", "occurred_at": 1_700_000_000 + n, "message_id": f"{who}{n}", **who}
                  for who in whos for n in range(EVENTS)]  # fmt: skip
        headers = {"X-API-Key": server.keys["secret_key"]}
        httpx.post(f"{server.url}/v1/ingest", headers=headers, json={"events": events}).raise_for_status()
    wait_until_loaded(server)


def timelines(server: Tenure, filled: int) -> None:
    """Server time of a page, asked for in turn; and of the identity of the largest customer."""
    step = filled // 2 // PROBES
    sorts = {"no link": "alone{0}", "two links": "uid{1}@x.y", f"{MANY:,} identifiers": "many{0}"}
    seconds: dict[str, list[float]] = {sort: [] for sort in sorts}
    for number in range(PROBES):
        for sort, form in sorts.items():
            seconds[sort].append(timed(server, form.format(number, number * step), "timeline"))
    alone = middle(seconds["no link"])
    for sort, seen in seconds.items():
        print(f"timeline of a customer with {sort}, {filled:,} links in the app: p50 {middle(seen) * 1e3:.1f} ms, "
              f"p99 {sorted(seen)[len(seen) * 99 // 100] * 1e3:.1f} ms, ratio {middle(seen) / alone:.2f}")  # fmt: skip
    identity = middle([timed(server, "many1", "identity") for _ in range(20)])
    print(f"identity of the customer with {MANY:,} identifiers: p50 {identity * 1e3:.0f} ms")


def timed(server: Tenure, customer: str, what: str) -> float:
    """Seconds of one answer."""
    started = time.perf_counter()
    get(server, f"/v1/customers/{customer}/{what}?limit={EVENTS}").raise_for_status()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
