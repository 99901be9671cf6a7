"""Faults: file systems that fill up, errors of the disk in each role, wrong clocks, an engine that is away, copies."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial

from prove.disk import mounted
from prove.frame import Context, Result, Site, check, say
from prove.preload import FAULTS, Preload
from prove.sender import Sender
from prove.server import NotReady, send
from prove.verifier import nothing_answers

ROLES = ("http", "loader", "engine")
FAULT_SECONDS = 5.0
RECOVERY_SECONDS = 90.0
AWAY_SECONDS = 30.0
HOUR, DAY = 3600, 86400
JUMPS = (HOUR, 0, -HOUR, 0, DAY, 0, -DAY, 0)
MEGABYTES = 768


def full_disks(context: Context) -> Result:
    """Fill what is left of a file system, and then remove a file that takes most of it."""
    result = Result("full disks", "A full disk costs no acknowledged event, and work goes on when there is room")
    chance = context.chance("full disks")
    for megabytes in (32, 64) if context.scale <= 1 else (24, 32, 48, 64):
        directory = context.fresh("full")
        with mounted(context.memory, directory.name, MEGABYTES) as disk:
            make_room = disk.fill(megabytes).unlink
            # The limit that a disk of this size would have: a quarter of it.
            limit = {"TENURE_MIN_FREE_MB": str(megabytes // 4)}
            seed = chance.randrange(1 << 30)
            site = Site(directory, data=disk.mount / "data", seed=seed, environment=limit, weight=1500)
            load(site, partial(fill, make_room=make_room, result=result), result, f"{megabytes} MB", rate=400)
        result.add("file systems filled")
    return result


def fill(senders: list[Sender], make_room: Callable[[], None], result: Result) -> None:
    """Send until the server says 503 for some seconds; then make room, and wait until it accepts again."""
    deadline = time.monotonic() + 180
    while refused(senders) < 20 and time.monotonic() < deadline:
        time.sleep(0.2)
    if not refused(senders):
        result.violations.append(f"the disk was never full: {[sender.statuses for sender in senders]}")
    make_room()
    if not accepts_again(senders):
        result.violations.append(f"no event was accepted within {RECOVERY_SECONDS:.0f} s after there was room")


def refused(senders: list[Sender]) -> int:
    """Return how many requests were answered 503."""
    return sum(sender.statuses.get("503", 0) for sender in senders)


def accepted(senders: list[Sender]) -> int:
    """Return how many requests were acknowledged."""
    return sum(sender.statuses.get("202", 0) for sender in senders)


def accepts_again(senders: list[Sender]) -> bool:
    """Wait until another request is acknowledged; False when none is."""
    before, deadline = accepted(senders), time.monotonic() + RECOVERY_SECONDS
    while accepted(senders) <= before:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def disk_errors(context: Context) -> Result:
    """Let the writes of each role fail for some seconds in each way."""
    result = Result("errors of the disk", "EIO, ENOSPC, EROFS and short writes in any role cost no acknowledged event")
    chance = context.chance("disk errors")
    for _ in range(context.count(1)):
        directory = context.fresh("errors")
        preload = Preload(directory, directory / "data")
        site = Site(directory, seed=chance.randrange(1 << 30), environment=preload.environment)

        def work(senders: list[Sender], preload: Preload = preload) -> None:
            for role in ROLES:
                for kind in [kind for kind in FAULTS if kind != "none"]:
                    say(f"{kind} in {role}")
                    preload.fault(kind, role)
                    time.sleep(FAULT_SECONDS)
                    preload.fault("none")
                    result.add("faults")
                    if not accepts_again(senders):
                        result.violations.append(f"{kind} in {role}: nothing was accepted afterwards")

        load(site, work, result, "disk errors", rate=100)
    return result


def clocks(context: Context) -> Result:
    """Move the wall clock of all roles while they run, by an hour and a day in both directions."""
    result = Result("wrong clocks", "A wall clock that jumps loses, doubles and revives nothing")
    chance = context.chance("clocks")
    for _ in range(context.count(1)):
        directory = context.fresh("clocks")
        preload = Preload(directory, directory / "data")
        site = Site(directory, seed=chance.randrange(1 << 30), environment=preload.environment)

        def work(senders: list[Sender], preload: Preload = preload) -> None:
            for seconds in JUMPS:
                say(f"the clock is {seconds / HOUR:+.0f} h off")
                preload.shift(seconds)
                time.sleep(chance.uniform(4, 8))
                result.add("jumps of the clock")
            preload.shift(DAY + HOUR)  # what was received a day ahead is then in the past, and counts

        load(site, work, result, "clocks", rate=100)
    return result


def engine_away(context: Context) -> Result:
    """Stop the engine for half a minute, kill it in a loop, and keep it from starting."""
    result = Result("engine away", "Without its engine the server goes on accepting, and loads everything later")
    chance = context.chance("engine")
    for _ in range(context.count(1)):
        directory = context.fresh("engine")
        preload = Preload(directory, directory / "data")
        site = Site(directory, seed=chance.randrange(1 << 30), environment=preload.environment)

        def work(senders: list[Sender], site: Site = site, preload: Preload = preload) -> None:
            for name, away in (("stopped", stop), ("killed in a loop", kill), ("unable to start", block)):
                say(f"the engine is {name}")
                before = accepted(senders)
                away(site, preload, AWAY_SECONDS)
                result.add(f"seconds {name}", round(AWAY_SECONDS))
                if accepted(senders) - before < AWAY_SECONDS:
                    result.violations.append(f"ingestion stopped while the engine was {name}")

        load(site, work, result, "engine away", rate=100)
    return result


def stop(site: Site, _: Preload, seconds: float) -> None:
    """Freeze the engine."""
    pids = site.server.role("engine")
    for pid in pids:
        send(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        send(pid, signal.SIGCONT)


def kill(site: Site, _: Preload, seconds: float) -> None:
    """Kill the engine as soon as it runs, again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for pid in site.server.role("engine"):
            send(pid, signal.SIGKILL)
        time.sleep(0.2)


def block(site: Site, preload: Preload, seconds: float) -> None:
    """Kill the engine, and let its writes fail while it tries to start."""
    preload.fault("EROFS", "engine")
    for pid in site.server.role("engine"):
        send(pid, signal.SIGKILL)
    time.sleep(seconds)
    preload.fault("none")


def doubles(context: Context) -> Result:
    """Send each event one to five times, shuffled, from several senders at once, with kills."""
    result = Result("doubles", "An event that arrives up to five times, in any order, counts once")
    chance = context.chance("doubles")
    directory = context.fresh("doubles")
    site = Site(directory, seed=chance.randrange(1 << 30), weight=40)
    senders = site.copy_senders(context.count(100_000), chance, senders=4, batch=500)
    try:
        site.server.start()
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            time.sleep(chance.uniform(4, 8))
            for pid in site.server.role(chance.choice(("http", "loader", "engine"))):
                send(pid, signal.SIGKILL)
            result.add("kills")
        for sender in senders:
            sender.finish()
            result.add("copies sent", sender.sent)
            result.violations += sender.bad_answers
        verdict = site.verify(receipts=context.receipts)
        if verdict.holds and (said := check(site.data)) is not None:
            result.violations.append(f"everything is there, but tenure check fails: {said}")
    except NotReady as error:
        verdict = nothing_answers(site.ledger.expected(), error)
    finally:
        for sender in senders:
            sender.stopping.set()
        site.server.kill()
    result.judge("doubles", verdict)
    return result


def load(site: Site, work: Callable[[list[Sender]], None], result: Result, name: str, *, rate: float) -> None:
    """Send steadily to a server while `work` runs, then read everything back."""
    try:
        site.server.start()
        with site.load(rate=rate, batch=5, senders=2, erasures=3.0) as senders:
            work(senders)
            time.sleep(1.0)
        verdict = site.verify(receipts=60)
        if verdict.holds and (said := check(site.data)) is not None:
            result.violations.append(f"{name}: everything is there, but tenure check fails: {said}")
        result.violations += [f"{name}: a false 2xx: {answer}" for one in senders for answer in one.bad_answers]
    except NotReady as error:
        verdict = nothing_answers(site.ledger.expected(), error)
    finally:
        site.server.kill()
    result.add("acknowledged", site.ledger.counts()[1])
    result.judge(name, verdict)
