"""Power cuts on a model: a file system logs every change, and the disk at any moment is computed from the log."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from prove.disk import unmount
from prove.frame import Context, Result, Site, check
from prove.http import Api
from prove.model_disk import Record, Tree, only_synced, ordered, read
from prove.power_cuts import import_file
from prove.server import NotReady, Server
from prove.verifier import Verdict, nothing_answers, settle

PROMISE = "A power cut loses, doubles and revives nothing in either model of a disk"
SECONDS = 40.0
PER_RUN = 30
"""Cuts of one log."""
TURNING_POINTS = ("sync", "rename", "unlink")


def run(context: Context) -> Result:
    """Log runs of load, and verify disks computed from each."""
    result = Result("power cuts, model file system", PROMISE)
    chance = context.chance("model cuts")
    cuts = context.count(12)
    while cuts > 0:
        play(context, chance, min(cuts, PER_RUN), result)
        cuts -= PER_RUN
    return result


def play(context: Context, chance: random.Random, cuts: int, result: Result, seconds: float = SECONDS) -> None:
    """Run one server on a logging file system, with a restart and an import, then cut its log again and again."""
    directory = context.fresh("model-cuts")
    with logging_mount(directory) as (mount, log):
        (mount / "data").mkdir(mode=0o700)
        sync_directory(mount)  # as an operator's data directory is there before Tenure
        site = Site(directory, data=mount / "data", seed=chance.randrange(1 << 30))
        site.server.launch()
        try:
            with site.load(rate=40, batch=4, erasures=1.0):
                time.sleep(seconds / 2)
                import_file(site)
                site.server.stop() if chance.random() < 0.5 else site.server.kill()
                site.server.launch()
                time.sleep(seconds / 2)
        finally:
            site.server.kill()
    records = list(read(log))
    result.add("changes logged", len(records))
    result.add("acknowledged", site.ledger.counts()[1])
    result.add("erasures", len(site.ledger.erasures))
    first = next(number for number, record in enumerate(records) if record.time > site.started_at)
    for number in range(cuts):
        length = choose(records, first, chance)
        model = "ordered" if number % 2 else "only what was synced"
        tree, moment = disk(records, length, model, chance)
        result.add("cuts")
        verdict, said = verify(context.memory, site, tree, moment)
        if said is not None:
            result.violations.append(f"cut {number + 1}: everything is there, but tenure check fails: {said}")
        seconds_in = (moment - site.started_at) / 1e9
        result.judge(f"model cut {number + 1}, {model}, {seconds_in:.2f} s after the start, {length} changes", verdict)


def choose(records: list[Record], first: int, chance: random.Random) -> int:
    """Return how many changes happen before a cut: until a random one, or right before or after a turning point."""
    if chance.random() < 0.4:
        return chance.randrange(first, len(records) + 1)
    points = [number for number in range(first, len(records)) if records[number].kind in TURNING_POINTS]
    return chance.choice(points) + chance.randrange(2)


def disk(records: list[Record], length: int, model: str, chance: random.Random) -> tuple[Tree, int]:
    """Return the disk after so many changes, and the moment until which acknowledgements count."""
    log = records[:length]
    # The next change happens at once after a turning point; until it does, nothing else is durable.
    moment = records[length].time - 1 if length < len(records) else log[-1].time
    return (ordered(log, moment, chance) if model == "ordered" else only_synced(log)), moment


def verify(memory: Path, site: Site, tree: Tree, moment: int) -> tuple[Verdict, str | None]:
    """Start a server on a computed disk; return the verdict, and what `tenure check` says against it."""
    expected = site.ledger.expected(moment)
    root = memory / "model"
    root.mkdir()
    tree.write(root)
    server = Server(root / "data", root / "server.log")
    api = Api(server.port, site.keys)
    try:
        server.start()
        verdict = settle(api, expected, receipts=30)
        return verdict, check(server.data) if verdict.holds else None
    except NotReady as error:
        return nothing_answers(expected, error), None
    finally:
        server.kill()
        api.close()
        shutil.rmtree(root)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextlib.contextmanager
def logging_mount(directory: Path) -> Iterator[tuple[Path, Path]]:
    """Mount a logging file system; gives the mount and the log."""
    mount, log = directory / "mount", directory / "changes"
    mount.mkdir()
    with (directory / "mount.log").open("wb") as output:
        mounting = subprocess.Popen(
            [sys.executable, "-m", "prove.model_mount", str(mount), str(log)], stdout=output, stderr=output
        )
    deadline = time.monotonic() + 20
    while not mount.is_mount():
        if mounting.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"cannot mount by FUSE: {(directory / 'mount.log').read_text()}")
        time.sleep(0.05)
    try:
        yield mount, log
    finally:
        unmount(mount)
        mounting.wait(20)
