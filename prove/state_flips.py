"""Flips: one bit of one file changes while the server is down. What it then answers is right, or said to be wrong."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from prove.frame import Context, Result, Site, check, say
from prove.http import Api
from prove.ledger import Expected
from prove.server import NotReady, Server, command, send
from prove.verifier import Verdict, nothing_answers, settle

PROMISE = "One changed bit in a file never changes an answer unsaid; it is repaired, or its loss is told"
KINDS = {
    "journal": "journal/*.sqlite",
    "log of the journal": "journal/*.sqlite-wal",
    "state files": "journal/[!0-9]*",
}
"""Patterns of the files of a kind; `prove.flips` has those of the warehouse."""
AT_SCALE_ONE = 5
STEADY_SECONDS = 8.0


def run(context: Context) -> Result:
    """Flip bits in copies of one data directory, some in each kind of file."""
    result = Result("flips, journal and state", PROMISE)
    chance = context.chance("flips")
    directory = context.fresh("flips")
    site = make_base(directory, chance)
    expected = site.ledger.expected()
    for kind, pattern in KINDS.items():
        files = [path for path in sorted(site.data.glob(pattern)) if path.stat().st_size]
        for _ in range(max(1, round(AT_SCALE_ONE * min(context.scale, 6)))):
            file = chance.choice(files)
            bit = chance.randrange(file.stat().st_size * 8)
            what = f"{kind}: bit {bit} of {file.relative_to(site.data)}"
            result.add("flips")
            outcome = flip(context, site, expected, (file, bit))
            result.add(outcome.partition(":")[0])
            say(f"{what}: {outcome}")
            if outcome.startswith("violated"):
                result.violations.append(f"{what}: {outcome}")
    return result


def make_base(directory: Path, chance: random.Random) -> Site:
    """Fill a data directory, and kill its server while some requests are loaded and others wait in the journal."""
    site = Site(directory, seed=chance.randrange(1 << 30))
    try:
        site.server.start()
        with site.load(rate=100):
            time.sleep(15)
            for pid in site.server.role("loader"):
                send(pid, signal.SIGSTOP)
            time.sleep(3)
    finally:
        site.server.kill()
    return site


def flip(context: Context, site: Site, expected: Expected, target: tuple[Path, int]) -> str:
    """Flip one bit in a copy, and say what came of it; "violated" when an answer changed and nothing said so."""
    copy = context.directory / "flipped"
    subprocess.run(["cp", "-a", "--reflink=auto", site.data, copy], check=True)
    file, bit = target
    flip_bit(copy / file.relative_to(site.data), bit)
    server = Server(copy, context.directory / "flipped.log")
    try:
        verdict = answers(server, site.keys, expected)
        if verdict.holds:
            return "no harm"
        said = what_is_said(server)
        server.stop()
        command("restore-parts", data=copy, check=False)
        repaired = answers(server, site.keys, expected)
        if said is None:
            return f"violated: nobody said so: {verdict}"
        if repaired.holds:
            return "told and repaired"
        if (said := what_is_said(server)) is None:
            return f"violated: after restore-parts nobody says what is lost: {repaired}"
        return f"loss told: {said[:300]}"
    finally:
        server.kill()
        shutil.rmtree(copy)


def flip_bit(path: Path, bit: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def answers(server: Server, keys: dict[str, str], expected: Expected) -> Verdict:
    """Start a server and hold what it answers against the ledger."""
    api = Api(server.port, keys, patience=10)
    try:
        server.start(60)
        return settle(api, expected, seconds=60, receipts=30, steady=STEADY_SECONDS)
    except NotReady as error:
        server.kill()
        return nothing_answers(expected, error)
    finally:
        api.close()


def what_is_said(server: Server) -> str | None:
    """Return what `tenure check` has found; None when it says that all is whole."""
    return check(server.data)
