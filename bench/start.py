"""How long a start takes, by step, and how long nobody acknowledges when something is killed.

Seconds are counted from the moment when `tenure serve` is run, or when something is killed. Steps are read off the log.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bench.servers import free_port, processes
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse

STARTS = KILLS = 5
FILLING = {"TENURE_ENGINE_MEMORY_MB": "3000"}
LOADED, BLOCK = 20_000, 500
"""Events that are sent and loaded before all others are copied from them, and how many are in a request."""
COPIED = 1_000_000
"""Events that one statement copies."""

_COPY = {
    "event": "SELECT * REPLACE (sipHash128(event_id, {copy:UInt64}) AS event_id) FROM event",
    "first_copy": "SELECT * REPLACE (sipHash128(event_id, {copy:UInt64}) AS event_id) FROM first_copy",
    "arrival": "SELECT * REPLACE (sipHash128(event_id, {copy:UInt64}) AS event_id) FROM arrival",
}


def starting(data: Path, events: int) -> None:
    """An empty directory; a small one after a kill; kills of http workers; and a directory of many events."""
    served = Served(data / "small")
    show("first start, of an empty directory", [served.start()])
    served.load(LOADED)
    show("after kill -9 of everything", [served.restart() for _ in range(STARTS)])
    print(f"memory at rest, MB: {memory(served.process.pid)}")
    for victim in ("worker", "http"):
        pauses = sorted(pause for _ in range(KILLS) for pause in [served.pause(victim)])
        print(f"kill -9 of {victim}: no acknowledgement for {pauses[KILLS // 2]:.2f} s, at most {pauses[-1]:.2f} s")
    served.stop()
    with filled(served, events) as stored:
        served.restart()
        show(f"after kill -9 of everything, {stored:,} events", [served.restart() for _ in range(STARTS)])
    served.stop()


class Served:
    """`tenure serve` on one directory, started and killed again and again."""

    process: subprocess.Popen[bytes]

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = data.with_name("serve.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.keys: dict[str, str] = {}
        self._sent = 0
        self._http = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=60, trust_env=False)

    def start(self, settings: Mapping[str, str] | None = None) -> dict[str, float]:
        """Start, and return the seconds until each step."""
        self.log.unlink(missing_ok=True)
        began, began_at = time.monotonic(), time.time()
        command = [sys.executable, "-m", "tenure", "serve", "--data", str(self.data), "--port", str(self.port)]
        environment = os.environ | {"TENURE_LOG_FORMAT": "json", "TENURE_HTTP_WORKERS": "1"} | dict(settings or {})
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        steps = {}
        if not self.keys:
            while not (self.data / "control.sqlite").exists():  # an empty directory: the app is made beside the start
                time.sleep(0.01)
            self.keys = create_app(self.data)
        steps["first acknowledgement"] = self._until("POST", "/v1/events/batch", began)
        steps["/readyz"] = self._until("GET", "/readyz", began)
        steps["first answer of the read API"] = self._until("GET", "/v1/events", began)
        steps |= {name: at - began_at for name, at in self._logged().items()}
        return dict(sorted(steps.items(), key=lambda step: step[1]))

    def restart(self) -> dict[str, float]:
        """kill -9 of every process, and start."""
        for _, pid in list(processes(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        return self.start()

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait(120)

    def load(self, events: int) -> None:
        """Send events and wait until they are in the warehouse."""
        for _ in range(0, events, BLOCK):
            self.ask("POST", "/v1/events/batch", BLOCK).raise_for_status()
        while sum(row["count"] for row in self.ask("GET", "/v1/events").json()["items"]) < events:
            time.sleep(0.2)

    def ask(self, method: str, path: str, events: int = 1) -> httpx.Response:
        """One request over a connection of its own; a POST sends new events."""
        if method == "GET":
            return self._http.get(self.url + path, headers={"Authorization": f"Bearer {self.keys['read_key']}"})
        numbers = range(self._sent, self._sent + events)
        self._sent += events
        body = {"events": [{"external_user_id": f"user_{number % 997}", "event_type": "opened",
                            "context": {"$message_id": f"start-{number}"}} for number in numbers]}  # fmt: skip
        headers = {"X-API-Key": self.keys["publishable_key"]}
        return self._http.post(self.url + path, headers=headers, json=body)

    def pause(self, victim: str) -> float:
        """Kill an http worker, or the process that forks them; the longest time between two acknowledgements."""
        http = [pid for role, pid in processes(self.process.pid) if role == "http"]
        pid = http[-1] if victim == "worker" else http[0]
        acknowledged: list[float] = []
        stop = threading.Event()

        def keep_sending() -> None:
            while not stop.is_set():
                with suppress(httpx.TransportError):
                    if self.ask("POST", "/v1/events/batch").status_code == 202:
                        acknowledged.append(time.monotonic())

        thread = threading.Thread(target=keep_sending)
        thread.start()
        time.sleep(1)
        os.kill(pid, signal.SIGKILL)
        time.sleep(3)
        stop.set()
        thread.join()
        return max(later - earlier for earlier, later in itertools.pairwise(acknowledged))

    def _until(self, method: str, path: str, began: float) -> float:
        while True:
            with suppress(httpx.TransportError):
                if self.ask(method, path).is_success:
                    return time.monotonic() - began
            time.sleep(0.005)

    def _logged(self) -> dict[str, float]:
        """When each step was logged."""
        found: dict[str, float] = {}
        for line in self.log.read_text().splitlines():
            entry: dict[str, Any] = msgspec.json.decode(line) if line.startswith("{") else {}
            name = entry.get("event", "")
            if name == "role started":
                name = f"{entry['started']} started"
            elif name not in ("http worker ready", "engine opened", "loader ready"):
                continue
            found.setdefault(name, datetime.fromisoformat(entry["timestamp"]).timestamp())
        return found


@contextmanager
def filled(served: Served, events: int) -> Iterator[int]:
    """Copy what is stored until there are so many events, and start again as usual; gives how many there are."""
    served.start(FILLING)
    client = Warehouse(Settings.load({"data": served.data}, {})).client
    stored = LOADED
    while stored < events:
        size = min(stored, COPIED, events - stored)
        for table, select in _COPY.items():
            client.command(f"INSERT INTO {table} {select} LIMIT {size}", {"copy": stored})
        stored += size
    yield int(client.query("SELECT count() FROM event").result_rows[0][0])


def create_app(data: Path) -> dict[str, str]:
    """An app with one key of each kind."""
    engine = connect(Settings.load({"data": data}, {}))
    migrate(engine)
    store = Store(engine)
    app = store.create_app("bench")
    return {"app": app.id} | store.create_keys(app.id)


def show(what: str, starts: list[dict[str, float]]) -> None:
    """The median of each step, in order."""
    print(f"{what} ({len(starts)} starts, median seconds):")
    for name in starts[0]:
        seconds = sorted(start[name] for start in starts if name in start)
        print(f"  {seconds[len(seconds) // 2]:6.2f}  {name}")


def memory(pid: int) -> str:
    """Resident memory by process, and with what is shared counted once."""
    sizes = []
    total = {"Rss": 0, "Pss": 0}
    for role, each in processes(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()[1:]
        found = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        total = {kind: total[kind] + found[kind] for kind in total}
        sizes.append(f"{role} {found['Rss'] / 1_000:.0f}")
    return f"{total['Rss'] / 1_000:.0f}, shared counted once {total['Pss'] / 1_000:.0f} ({', '.join(sizes)})"
