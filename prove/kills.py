"""Kills: at random moments, and exactly at the N-th write, sync or rename of a role.

A kill counts only when a request was in flight at the client or the loader had a block half loaded. Half of the kills
happen while an erasure, a merge, a mutation or a first start is under way.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from prove.frame import Context, Result, Site, check, say
from prove.sender import Sender
from prove.server import NotReady, send
from prove.verifier import nothing_answers

PROMISE = "A kill of any process at any moment loses, doubles and revives nothing"
VICTIMS = ("http", "loader", "engine", "supervisor", "tree")
ROUND = 25
"""Kills on one data directory before everything is read back."""
SYSCALLS = {
    "http": ("pwrite64", "fdatasync", "write"),
    "loader": ("write", "fsync", "rename", "pread64"),
    "engine": ("write", "fsync", "fdatasync", "rename", "unlink", "rmdir"),
    "start": ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "mkdir"),
}
"""Where a process is killed exactly."""
FURTHEST = {"write": 120, "pwrite64": 60, "pread64": 200, "unlink": 40, "rename": 30}
"""The largest N that is tried; 20 for the others."""
EXACT_SECONDS = 6.0
"""A process that has not come to its N-th call after so long is let go, and nothing is counted."""


@dataclass(frozen=True)
class Moment:
    """What was under way when a process died."""

    in_flight: bool
    half_loaded: bool
    busy: str | None
    """An erasure, merge, mutation or start that was under way."""

    @property
    def counts(self) -> bool:
        """Whether something could have been lost."""
        return self.in_flight or self.half_loaded


def run(context: Context) -> Result:
    """Kill until enough kills have counted."""
    result = Result("kills", PROMISE)
    chance = context.chance("kills")
    wanted = context.count(100)
    while result.total("kills that count") < wanted:
        play(context, chance, min(ROUND, wanted - result.total("kills that count")), result)
    return result


def play(context: Context, chance: random.Random, kills: int, result: Result) -> None:
    """Kill a server of its own again and again under load, then read everything back."""
    directory = context.fresh("kills")
    site = Site(directory, seed=chance.randrange(1 << 30))
    before = result.total("kills that count")
    # Every other round has no erasures, so that merges and quiet moments are hit too.
    erasures = 0.5 if before % (2 * ROUND) < ROUND else None
    tries = 0
    try:
        with site.load(rate=300, batch=3, senders=3, erasures=erasures) as senders:
            kill_at_start(site, senders, chance, result)
            while result.total("kills that count") - before < kills and tries < 4 * kills:
                tries += 1
                time.sleep(chance.uniform(0.1, 1.2))
                kill_one(site, senders, chance, result)
        verdict = site.verify(receipts=context.receipts)
        if verdict.holds and (said := check(site.data)) is not None:
            result.violations.append(f"everything is there, but tenure check fails: {said}")
    except NotReady as error:
        verdict = nothing_answers(site.ledger.expected(), error)
    finally:
        site.server.kill()
    result.add("acknowledged", site.ledger.counts()[1])
    result.add("erasures", len(site.ledger.erasures))
    result.judge(f"{before} to {result.total('kills that count')} kills", verdict)
    for sender in senders:
        result.violations += [f"a 2xx that acknowledges nothing: {answer}" for answer in sender.bad_answers]


def kill_at_start(site: Site, senders: list[Sender], chance: random.Random, result: Result) -> None:
    """Kill everything at the N-th call of any process during the first start, and start again."""
    syscall = chance.choice(SYSCALLS["start"])
    when = chance.randrange(1, 40)
    strace = ("strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", *injection(syscall, when))
    site.server.launch(before=strace)
    deadline = time.monotonic() + 30
    before = set(site.server.pids())
    while time.monotonic() < deadline and not site.server.ready():
        now = set(site.server.pids())
        if before - now or site.server.process is None or site.server.process.poll() is not None:
            break
        before = now
        time.sleep(0.01)
    moment = Moment(any(sender.in_flight_since for sender in senders), False, "first start")
    site.server.kill()
    record(result, "tree", f"{syscall} during the first start", moment)
    site.server.start()


def kill_one(site: Site, senders: list[Sender], chance: random.Random, result: Result) -> None:
    """Kill one role or the whole tree, and wait until the server accepts events again."""
    victim = chance.choice(VICTIMS)
    if result.total("at random") <= result.total("at an exact call"):
        moment = kill_at_random(site, senders, chance, victim)
        how = "random"
    else:
        role = chance.choice(("http", "loader", "engine")) if victim in ("tree", "supervisor") else victim
        how = chance.choice(SYSCALLS[role])
        moment = kill_exactly(site, senders, role, how, chance.randrange(1, FURTHEST.get(how, 20)))
    if moment is None:
        return
    record(result, victim, how, moment)
    if victim in ("tree", "supervisor"):
        if victim == "tree":
            site.server.kill()
        else:
            assert site.server.process is not None
            send(site.server.process.pid, signal.SIGKILL)
            site.server.process.wait()
            wait_until_roles_are_gone(site)
        site.server.start()
    else:
        site.server.wait_ready()


def kill_at_random(site: Site, senders: list[Sender], chance: random.Random, victim: str) -> Moment | None:
    """Kill a few milliseconds after a request began, or while a block is half loaded."""
    sender = chance.choice(senders)
    sender.started_request.clear()
    sender.started_request.wait(5)
    time.sleep(chance.uniform(0.0, 0.004))
    moment = observe(site, senders)
    role = {"tree": "http"}.get(victim, victim)
    pids = site.server.role(role)
    if not pids or (victim == "supervisor"):
        return moment if victim == "supervisor" else None
    for pid in pids:
        send(pid, signal.SIGKILL)
    return moment


def kill_exactly(site: Site, senders: list[Sender], role: str, syscall: str, when: int) -> Moment | None:
    """Let strace kill a role at the N-th call of one of its threads; None when it did not come to it."""
    pids = site.server.role(role)
    if not pids:
        return None
    attached = [word for pid in pids for word in ("-p", str(pid))]
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", *injection(syscall, when), *attached],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + EXACT_SECONDS
    moment = None
    try:
        while time.monotonic() < deadline:
            moment = observe(site, senders)
            if not all(alive(pid) for pid in pids):
                return moment
            time.sleep(0.002)
        return None
    finally:
        tracer.kill()  # the kernel lets its tracees go; asked to end, strace may wait for one of them
        tracer.wait(10)


def injection(syscall: str, when: int) -> tuple[str, str, str, str]:
    """Return the arguments by which strace kills at the N-th call."""
    return ("-e", f"trace={syscall}", "-e", f"inject={syscall}:signal=SIGKILL:when={when}")


def observe(site: Site, senders: list[Sender]) -> Moment:
    """Tell what is under way now."""
    return Moment(
        in_flight=any(sender.in_flight_since is not None for sender in senders),
        half_loaded=has_plan(site.data / "journal" / "loaded.json"),
        busy=what_runs(site),
    )


def has_plan(path: Path) -> bool:
    """Whether the loader's checkpoint says that a block is being loaded."""
    with contextlib.suppress(OSError, ValueError):
        return _has_plan(json.loads(path.read_text().rpartition("\n")[2]))  # after a line with the checksum
    return False


def _has_plan(value: object) -> bool:
    if isinstance(value, dict):
        return bool(value.get("plan")) or any(_has_plan(one) for one in value.values())
    return False


def what_runs(site: Site) -> str | None:
    """Name an erasure, merge or mutation that is under way; None when there is none."""
    if site.ledger.unfinished_erasures():
        return "erasure"
    for kind, pattern in (("merge", "tmp_merge_*"), ("mutation", "tmp_mut_*")):
        if next(site.data.glob(f"warehouse/chdb/store/*/*/{pattern}"), None) is not None:
            return kind
    return None


def record(result: Result, victim: str, how: str, moment: Moment) -> None:
    """Count a kill, when it counts."""
    result.add("kills")
    if not moment.counts:
        return
    result.add("kills that count")
    result.add(f"of {victim}")
    result.add("at random" if how == "random" else "at an exact call")
    if moment.busy is not None:
        result.add("while busy")
    if moment.half_loaded:
        result.add("block half loaded")
    say(f"kill {result.total('kills that count')}: {victim}, {how}, busy: {moment.busy}")


def alive(pid: int) -> bool:
    """Whether a process runs, and is not a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def wait_until_roles_are_gone(site: Site, seconds: float = 10) -> None:
    """Wait until the roles of a killed supervisor have ended: the next server needs their locks."""
    deadline = time.monotonic() + seconds
    marker = f"TENURE_DATA={site.data.resolve()}"
    while time.monotonic() < deadline:
        if not any(marker in environment(pid) for pid in all_pids()):
            return
        time.sleep(0.02)


def all_pids() -> list[int]:
    """Return the ids of all processes."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def environment(pid: int) -> list[str]:
    """Return the environment of a process; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    return []
