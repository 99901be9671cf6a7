"""What every part of the campaign shares: its context, its result, and a site, which is a server with its ledger."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prove.http import Api
from prove.ledger import Ledger
from prove.sender import CopySender, Eraser, Events, Sender
from prove.server import Server, command, create_app
from prove.verifier import Verdict, settle

LONG = 10
"""The scale of the long campaign."""


@dataclass
class Context:
    """How large the campaign is, and where it works."""

    directory: Path
    """On a disk, for data directories and ledgers."""
    memory: Path
    """On a tmpfs, for images of file systems."""
    scale: float = 1.0
    """1 is `make prove`, 10 is `make soak`."""
    seed: int = 1

    def count(self, at_one: int) -> int:
        """Return how often something is done at this scale, given how often at scale 1."""
        return max(1, round(at_one * self.scale))

    @property
    def receipts(self) -> int | None:
        """How many receipts are read back where there are few verifications; None for all, in the long campaign."""
        return None if self.scale >= LONG else 60

    def chance(self, part: str) -> random.Random:
        """Return a source of random numbers for one part."""
        return random.Random(f"{self.seed} {part}")

    def fresh(self, name: str) -> Path:
        """Make an empty directory of that name under `directory`."""
        for number in range(1_000_000):
            path = self.directory / f"{name}-{number}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path
        raise AssertionError


@dataclass
class Result:
    """What one part did, and what did not hold."""

    part: str
    promise: str
    """The promise, in words."""
    figures: dict[str, int | str] = field(default_factory=dict)
    """What was done and counted, in the order in which it is told."""
    violations: list[str] = field(default_factory=list)

    def add(self, figure: str, count: int = 1) -> None:
        """Count something that was done."""
        self.figures[figure] = self.total(figure) + count

    def total(self, figure: str) -> int:
        """Return a count; 0 when nothing was counted."""
        return int(self.figures.get(figure, 0))

    def judge(self, what: str, verdict: Verdict) -> None:
        """Count what a verdict compared, and keep it when it does not hold."""
        self.add("events compared", verdict.required)
        for kind in ("lost", "twice", "undone", "miscounted"):
            self.add(kind, getattr(verdict, kind))
        if not verdict.holds:
            self.violations.append(f"{what}: {verdict}")
        say(f"{what}: {verdict}")


def say(text: str) -> None:
    """Tell on standard error how the campaign goes."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Site:
    """One data directory with its server, an app, and the ledger of what was sent to it."""

    def __init__(
        self,
        directory: Path,
        *,
        data: Path | None = None,
        seed: int = 1,
        environment: dict[str, str] | None = None,
        weight: int = 120,
    ) -> None:
        self.directory = directory
        self.data = data or directory / "data"
        self.server = Server(self.data, directory / "server.log", environment)
        self.ledger = Ledger(directory / "ledger.tsv")
        self.keys = create_app(self.data, environment)
        self.events = Events(self.keys["app"], seed, weight)
        self.started_at = time.monotonic_ns()

    def api(self, patience: float = 30.0) -> Api:
        """Return a client of the read API."""
        return Api(self.server.port, self.keys, patience)

    @contextlib.contextmanager
    def load(
        self, *, rate: float = 60, batch: int = 5, senders: int = 1, erasures: float | None = None
    ) -> Iterator[list[Sender]]:
        """Send steadily while the block runs; `erasures` is the pause in seconds before a customer is erased."""
        running: list[Sender] = [
            Sender(self.server.port, self.keys, self.ledger, self.events, rate=rate / senders, batch=batch)
            for _ in range(senders)
        ]
        threads: list[Sender | Eraser] = list(running)
        if erasures is not None:
            prefix = f"victim_{len(self.ledger.erasures)}"
            threads.append(Eraser(self.server.port, self.keys, self.ledger, self.events, pause=erasures, prefix=prefix))
        for thread in threads:
            thread.start()
        try:
            yield running
        finally:
            for thread in threads:
                thread.stopping.set()
            for thread in threads:
                thread.finish()
            self.ledger.flush()

    def copy_senders(self, count: int, chance: random.Random, *, senders: int, batch: int) -> list[CopySender]:
        """Return senders that share events among them, each event in one to five copies, in any order."""
        events = [self.events.make() for _ in range(count)]
        copies = [event for event in events for _ in range(chance.randint(1, 5))]
        chance.shuffle(copies)
        requests = [copies[start : start + batch] for start in range(0, len(copies), batch)]
        return [
            CopySender(self.server.port, self.keys, self.ledger, self.events, requests[number::senders])
            for number in range(senders)
        ]

    def verify(self, *, moment: int | None = None, seconds: float = 300, receipts: int | None = None) -> Verdict:
        """Read everything back and hold it against the ledger."""
        api = self.api()
        try:
            return settle(api, self.ledger.expected(moment), seconds=seconds, receipts=receipts)
        finally:
            api.close()


def check(data: Path) -> str | None:
    """Run `tenure check`; return what it says when it fails, and None when all is whole."""
    done = command("check", data=data, check=False)
    return None if done.returncode == 0 else (done.stdout + done.stderr)[-1500:]
