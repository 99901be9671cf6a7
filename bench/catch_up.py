"""How fast loading catches up after the engine was away: `python -m bench.catch_up`.

Beside it, in turn in the same run, the rate at which such events are loaded while they are sent. Everything stays on
loopback and in a temporary directory.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from bench.__main__ import CONNECTIONS, get, middle, stored, wait_until_loaded
from bench.servers import Tenure, load, processes, tenure_server

Away = Callable[[Tenure], AbstractContextManager[None]]

ROUNDS = 3


def main() -> None:
    """Print the rates, line by line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=8, help="how long events are sent in each part")
    parser.add_argument("--data", type=Path, help="where to put the data directory (default: a temporary one)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.data) as directory:
        for size, connections in CONNECTIONS.items():
            data = Path(directory) / str(size)
            with tenure_server(data) as server:
                measure(server, size, connections, wanted.seconds)


def measure(server: Tenure, size: int, connections: int, seconds: int) -> None:
    """Both rates with requests of `size` events."""
    bulk, behind, stopped, killed = [], [], [], []
    for _ in range(ROUNDS):
        bulk.append(loaded_while_sent(server, size, connections, seconds))
        for away, rates in ((stop, stopped), (kill_again_and_again, killed)):
            events, rate = caught_up(server, size, connections, seconds, away)
            rates.append(rate)
            behind.append(events)
    what = "single-event requests" if size == 1 else f"requests of {size} events"
    usual = middle(bulk)
    print(f"{what}: {usual:,.0f} events/s loaded while sent; with {middle(behind):,.0f} waiting after the engine was "
          f"stopped {middle(stopped):,.0f}/s (ratio {middle(stopped) / usual:.2f}), "
          f"killed {middle(killed):,.0f}/s (ratio {middle(killed) / usual:.2f})")  # fmt: skip


def loaded_while_sent(server: Tenure, size: int, connections: int, seconds: int) -> float:
    """Events a second, from the first request until the last event is loaded."""
    before, started = stored(server), time.monotonic()
    send(server, size, connections, seconds)
    wait_until_loaded(server)
    took = time.monotonic() - started
    return (stored(server) - before) / took


def caught_up(server: Tenure, size: int, connections: int, seconds: int, away: Away) -> tuple[int, float]:
    """How many events waited, and events a second from the engine's return until all are loaded."""
    before = stored(server)
    with away(server):
        send(server, size, connections, seconds)
    started = time.monotonic()
    wait_until_loaded(server)
    took = time.monotonic() - started
    events = stored(server) - before
    return events, events / took


@contextmanager
def stop(server: Tenure) -> Iterator[None]:
    """The engine answers nothing, and its connections stay."""
    engine = pid(server)
    assert engine
    os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine, signal.SIGCONT)


@contextmanager
def kill_again_and_again(server: Tenure) -> Iterator[None]:
    """The engine dies as soon as it starts; afterwards, wait until it answers."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.2):
            if engine := pid(server):
                with suppress(ProcessLookupError):
                    os.kill(engine, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        yield
    finally:
        over.set()
        killing.join()
        get(server, "/v1/events")


def pid(server: Tenure) -> int | None:
    """The engine's process, if it runs now."""
    with suppress(FileNotFoundError):  # a process that ends while we look
        return dict(processes(server.process.pid)).get("engine")
    return None


def send(server: Tenure, size: int, connections: int, seconds: int) -> None:
    """Send events as fast as they are acknowledged."""
    load(server.url, size=size, seconds=seconds, connections=connections, key=server.keys["publishable_key"])


if __name__ == "__main__":
    main()
