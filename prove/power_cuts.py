"""Power cuts on a real ext4: images of its block device, copied at one moment under load, and verified one by one."""

from __future__ import annotations

import json
import queue
import random
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prove.disk import Disk, mounted, mounted_copy
from prove.frame import Context, Result, Site, check, say
from prove.http import Api
from prove.ledger import Expected
from prove.server import NotReady, Server, command
from prove.verifier import Verdict, nothing_answers, settle

PROMISE = "A power cut on ext4 with its defaults loses, doubles and revives nothing"
MEGABYTES = 1024
IMPORTED = 400
OLDER = "376d815"
"""The commit before tables were made durable, from which an upgrade is tried."""


@dataclass(frozen=True)
class Image:
    """The disk at one moment."""

    path: Path
    moment: int
    """Nanoseconds of the monotonic clock: what was acknowledged until then must be there."""
    at: str
    """When it was taken, in words."""


@dataclass(frozen=True)
class Episode:
    """One run of load on a fresh file system."""

    seconds: float
    cuts: int
    rate: float = 100
    senders: int = 1
    first_cut: float = 0.5
    """No cut is made before, in seconds from the start of the server."""
    from_start: bool = True
    """Whether cuts may come before the server is ready for the first time."""
    restarts: bool = False
    imports: bool = False
    upgrade: bool = False
    """Whether an older version fills the directory first, so that the cuts come in the migration."""
    late: float | None = None
    """Half of the cuts come after so many seconds."""

    def moments(self, chance: random.Random) -> list[float]:
        """Return when to cut, in seconds from the start of the server."""
        earliest = [self.first_cut if self.late is None or number % 2 else self.late for number in range(self.cuts)]
        return sorted(chance.uniform(first, self.seconds) for first in earliest)


def run(context: Context) -> Result:
    """Run episodes until there are enough cuts."""
    result = Result("power cuts, block images", PROMISE)
    chance = context.chance("power cuts")
    for number, episode in enumerate(plan(context.count(18))):
        play(context, episode, chance, result, f"episode {number + 1}")
    return result


def plan(cuts: int) -> list[Episode]:
    """Divide the cuts: some around starts and imports, most in a run that outlives `old_parts_lifetime`."""
    brief = max(1, cuts // 6)
    long = cuts - 3 * brief
    episodes = [
        Episode(15, brief, rate=60, first_cut=0.2, upgrade=True),
        Episode(25, brief, rate=60, imports=True),
        Episode(45, brief, rate=400, senders=4, restarts=True),
    ]
    while long > 0:
        episodes.append(Episode(560, min(long, 40), rate=100, first_cut=20, imports=True, late=485))
        long -= 40
    return episodes if cuts > 3 else episodes[:cuts]


def play(context: Context, episode: Episode, chance: random.Random, result: Result, name: str) -> None:
    """Load a server on a file system of its own, take the images, and verify each on a second server."""
    images: queue.Queue[Image | None] = queue.Queue()
    directory = context.fresh("power-cuts")
    with mounted(context.memory, directory.name, MEGABYTES) as disk:
        seed = chance.randrange(1 << 30)
        if episode.upgrade:
            site = filled_by_an_older_version(directory, disk.mount / "data", seed)
        else:
            site = Site(directory, data=disk.mount / "data", seed=seed)
        verification = Verification(site, directory, result, name, episode.upgrade)
        verifying = threading.Thread(target=verification.run, args=(images,), daemon=True)
        verifying.start()
        site.server.launch()
        if not episode.from_start:
            site.server.wait_ready()
        started = time.monotonic()
        try:
            with site.load(rate=episode.rate, senders=episode.senders, erasures=2.0):
                background = [threading.Thread(target=import_file, args=(site,))]
                for thread in background[: int(episode.imports)]:
                    thread.start()
                for number, moment in enumerate(episode.moments(chance)):
                    time.sleep(max(0.0, started + moment - time.monotonic()))
                    target = disk.image.with_name(f"cut-{number}")
                    images.put(cut(site, disk, target, f"{time.monotonic() - started:.1f} s after the start"))
                    if episode.restarts:
                        restart(site, chance, result)
                time.sleep(max(0.0, started + episode.seconds - time.monotonic()))
                for thread in background[: int(episode.imports)]:
                    thread.join()
        finally:
            site.server.kill()
            images.put(None)
            verifying.join()
        result.add("acknowledged", site.ledger.counts()[1])
        result.add("erasures", len(site.ledger.erasures))


def filled_by_an_older_version(directory: Path, data: Path, seed: int) -> Site:
    """Return a site whose directory an older version of the server made and filled."""
    older = directory / "older"
    older.mkdir()
    archive = subprocess.run(["git", "archive", OLDER, "src"], capture_output=True, check=True)
    subprocess.run(["tar", "--extract", "--directory", str(older)], input=archive.stdout, check=True)
    site = Site(directory, data=data, seed=seed, environment={"PYTHONPATH": str(older / "src")})
    site.server.start()
    with site.load(rate=100):
        time.sleep(8)
    site.server.stop()
    site.server.environment = {}
    return site


def cut(site: Site, disk: Disk, target: Path, at: str) -> Image:
    """Freeze the server, copy the image, and let the server go on."""
    site.server.freeze()
    try:
        moment = time.monotonic_ns()
        disk.copy(target)
    finally:
        site.server.thaw()
    return Image(target, moment, at)


def restart(site: Site, chance: random.Random, result: Result) -> None:
    """Stop the server, or kill it, and start it again; the next cut may come while it starts."""
    if chance.random() < 0.5:
        site.server.stop()
    else:
        site.server.kill()
    result.add("restarts")
    site.server.launch()


def import_file(site: Site) -> None:
    """Import a file of events; they count as acknowledged when the command has ended well."""
    events = [site.events.make() for _ in range(IMPORTED)]
    elements = [event.element for event in events]
    path = site.directory / "import.jsonl"
    with path.open("w") as file:
        for event in events:
            body = dict(event.body)
            row = {"name": body["event"], "message_id": body["message_id"], "uid": body["uid"], **body["properties"]}
            row["occurred_at"] = body.get("occurred_at") or datetime.now(UTC).isoformat()
            file.write(json.dumps(row) + "\n")
    site.ledger.send(elements)
    done = command("import", str(path), "--app", site.keys["app"], "--json", data=site.data, check=False)
    if done.returncode == 0:
        site.ledger.acknowledge(elements, None)
    else:
        say(f"the import failed: {done.stdout[-300:]} {done.stderr[-300:]}")


@dataclass(frozen=True)
class Verification:
    """What the images of one episode are held against."""

    site: Site
    directory: Path
    result: Result
    name: str
    upgraded: bool

    def run(self, images: queue.Queue[Image | None]) -> None:
        """Verify images as they come, until None comes."""
        number = 0
        while (image := images.get()) is not None:
            number += 1
            log = self.directory / f"cut-{number}.log"
            self.result.add("cuts")
            verdict = verify(self.site, image, log, self.result, upgraded=self.upgraded)
            self.result.judge(f"{self.name}, cut {number}, {image.at}", verdict)


def verify(site: Site, image: Image, log: Path, result: Result, *, upgraded: bool) -> Verdict:
    """Start a server on the copy of an image and hold it against the ledger.

    A version before tables were durable may have left parts that it never synced. Where the engine sets one of them
    aside, `tenure check` says so, and `tenure restore-parts` has to put it right.
    """
    expected = site.ledger.expected(image.moment)
    with mounted_copy(image.path, image.path.with_name(f"{image.path.name}-mount")) as disk:
        server = Server(disk.mount / "data", log)
        api = Api(server.port, site.keys)
        try:
            server.start()
            verdict = settle(api, expected, receipts=30)
            said = check(server.data) if verdict.holds else None
            if said is not None and upgraded:
                verdict, said = settle_restored(server, api, expected)
                result.add("put right by restore-parts")
            if said is not None:
                result.violations.append(f"{log.name}: everything is there, but tenure check fails: {said}")
            return verdict
        except NotReady as error:
            return nothing_answers(expected, error)
        finally:
            server.kill()
            api.close()


def settle_restored(server: Server, api: Api, expected: Expected) -> tuple[Verdict, str | None]:
    """Run `tenure restore-parts`; return the verdict after it, and what `tenure check` says against it."""
    server.stop()
    command("restore-parts", data=server.data, check=False)
    server.start()
    verdict = settle(api, expected, receipts=30)
    return verdict, check(server.data) if verdict.holds else None
