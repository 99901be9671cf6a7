"""Runs the benchmarks: `python -m bench [--events N] [--only PART]`.

Everything stays on loopback and in a temporary directory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import httpx

from bench.customers import listing
from bench.erasures import erasing
from bench.mrr import revenue
from bench.servers import Tenure, decoding_server, load, resident, tenure_server
from bench.start import starting

SECONDS = 8
BATCH = 100
CONNECTIONS = {1: 64, BATCH: 16}
PAIRS = 3


def main() -> None:
    """Print what was measured, line by line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5_000_000, help="events in the warehouse when memory is read")
    parser.add_argument("--data", type=Path, help="where to put the data directory (default: a temporary one)")
    parts = {"customers": listing, "mrr": revenue, "erasures": erasing}
    parser.add_argument("--only", choices=("events", "start", *parts), help="one part alone (default: all)")
    wanted = parser.parse_args()
    parts = {"events": lambda data: events(data, wanted.events)} | parts
    parts["start"] = lambda data: starting(data, wanted.events)
    with tempfile.TemporaryDirectory(dir=wanted.data) as directory:
        for name, part in parts.items():
            if wanted.only in (None, name):
                data = Path(directory) / name
                data.mkdir()
                part(data)


def events(data: Path, resident_at: int) -> None:
    """Taking events in, and reading them; memory when the warehouse holds `resident_at` of them."""
    print(f"{os.cpu_count()} cores; fdatasync of 4 KiB: {fsync_milliseconds(data)}")
    decoding_rate = acknowledged(data)
    with tenure_server(data) as server:
        print(f"second start: {server.ready_seconds:.1f} s until /readyz")
        queryable(server, decoding_rate)
        visible(server)
        memory(server, resident_at)
        read(server)


def fsync_milliseconds(directory: Path, count: int = 500) -> str:
    """The disk's latency to make 4 KiB durable."""
    seconds = []
    with (directory / "fsync").open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - started)
    seconds.sort()
    return f"p50 {seconds[count // 2] * 1e3:.2f} ms, p99 {seconds[count * 99 // 100] * 1e3:.2f} ms"


def acknowledged(data: Path) -> float:
    """Durable, authenticated ingest against decoding alone, in turn; returns the rate of decoding batches."""
    rates: dict[tuple[str, int], list[float]] = {}
    with decoding_server() as reference, tenure_server(data) as server:
        key = server.keys["publishable_key"]
        for size, connections in CONNECTIONS.items():
            for _ in range(PAIRS):
                for name, url in (("decode", reference), ("tenure", server.url)):
                    seen = load(url, size=size, seconds=SECONDS, connections=connections, key=key)
                    rates.setdefault((name, size), []).append(seen.rate * size)
                    if name == "tenure":
                        last = seen
                        wait_until_loaded(server)
            kept, decoded = (middle(rates[name, size]) for name in ("tenure", "decode"))
            ratio = middle([a / b for a, b in zip(rates["tenure", size], rates["decode", size], strict=True)])
            what = "single-event requests" if size == 1 else f"events in batches of {size}"
            print(f"{what}: {kept:,.0f}/s durable, {decoded:,.0f}/s decoding only, ratio {ratio:.2f} "
                  f"(p50 {last.p50_ms:.1f} ms, p99 {last.p99_ms:.1f} ms, errors {last.errors})")  # fmt: skip
    return middle(rates["decode", BATCH])


def queryable(server: Tenure, decoding_rate: float) -> None:
    """From the first request sent until the last event can be read."""
    before = stored(server)
    started = time.monotonic()
    seen = load(server.url, size=BATCH, seconds=SECONDS, connections=16, key=server.keys["publishable_key"])
    wait_until_loaded(server)
    events = stored(server) - before
    rate = events / (time.monotonic() - started)
    sent = seen.requests * BATCH
    ratio = rate / decoding_rate
    print(f"events until queryable: {rate:,.0f}/s, ratio {ratio:.2f} ({events:,} stored, {sent:,} acknowledged)")


def visible(server: Tenure, rate: int = 1_000, seconds: int = 10) -> None:
    """How long after its acknowledgement an event is on its timeline, at a steady rate of events."""
    from bench.steady import delays

    found = sorted(delays(server, rate, seconds))
    print(f"visible after the ack at {rate:,} events/s: p50 {middle(found) * 1e3:.0f} ms, "
          f"p99 {found[len(found) * 99 // 100] * 1e3:.0f} ms ({len(found)} probes)")  # fmt: skip


def memory(server: Tenure, events: int) -> None:
    """Resident memory by role once the warehouse holds so many events."""
    while stored(server) < events:
        load(server.url, size=500, seconds=SECONDS, connections=8, key=server.keys["publishable_key"])
        wait_until_loaded(server)
    found = resident(server.process.pid)
    parts = ", ".join(f"{role} {size:,.0f}" for role, size in sorted(found.items()))
    print(f"resident MB at {stored(server):,} events: {sum(found.values()):,.0f} ({parts})")


def read(server: Tenure) -> None:
    """Server time of the read API at this size."""
    for path in ("/v1/customers/user_2919/timeline", "/v1/events"):
        seconds = []
        for _ in range(20):
            started = time.perf_counter()
            answer = get(server, path)
            seconds.append(time.perf_counter() - started)
        print(f"GET {path}: p50 {middle(seconds) * 1e3:.0f} ms, max {max(seconds) * 1e3:.0f} ms ({answer.status_code})")


def wait_until_loaded(server: Tenure) -> None:
    """Wait until the loader has nothing left to do."""
    from tenure.journal import Loaded, readers

    directory = data_of(server) / "journal"
    while True:
        positions = Loaded.read(directory).positions
        opened = readers(directory)
        waiting = sum(bool(reader.read(positions.get(reader.id, 0), max_bytes=1)) for reader in opened)
        for reader in opened:
            reader.close()
        if not waiting:
            return
        time.sleep(0.02)


def stored(server: Tenure) -> int:
    """Events that the catalogue counts."""
    return sum(row["count"] for row in get(server, "/v1/events").json()["items"])


def get(server: Tenure, path: str) -> httpx.Response:
    """Ask the read API, again while the warehouse is not up: events are taken before it is."""
    headers = {"Authorization": f"Bearer {server.keys['read_key']}"}
    while (answer := httpx.get(server.url + path, headers=headers, timeout=60)).status_code == 503:
        time.sleep(0.05)
    return answer


def data_of(server: Tenure) -> Path:
    """The data directory, from the command that was started."""
    arguments = server.process.args
    assert isinstance(arguments, list)
    return Path(arguments[arguments.index("--data") + 1])


def middle(values: list[float]) -> float:
    """The median."""
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    main()
