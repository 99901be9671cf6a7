"""What each page takes of the server beside 100,000 customers and 10 million events, and what its first load weighs."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from bench.servers import Tenure, processor_seconds
from tenure.control.database import connect
from tenure.control.store import Store
from tenure.settings import Settings

ROUNDS = 15
PAGES = ("customers", "customers/{customer}", "events", "events/{event}", "live", "quarantine", "settings/keys")
OF_MONEY = ("revenue", "retention")
EMAIL, PASSWORD = "admin@example.com", "correct horse battery"
_LATER = re.compile(r'hx-get="([^"]+)"[^>]*hx-trigger="load')
_ASSETS = re.compile(r'(?:src|href)="(/assets/[^"]+)"')


class Weight(NamedTuple):
    """Bytes of a page's first load: of the page, and of the files that it loads, as sent and as they are."""

    page: int
    sent: int
    assets: int


def pages(server: Tenure, data: Path, wanted: Sequence[str] = PAGES, **of: str) -> None:
    """Each page and each part that it loads by itself: time, processor, weight."""
    people = Store(connect(Settings.load({"data": data}, {}))).people
    if not people.any():
        people.create(EMAIL, PASSWORD, "admin")
    with httpx.Client(base_url=server.url, timeout=60) as http:
        sign_in(server, http)
        for pattern in wanted:
            path = f"/apps/{server.keys['app']}/" + pattern.format(**of)
            first = get(http, path)
            weight = weigh(http, first)
            print(f"page {pattern}: {timed(server, http, path)}; {weight.page / 1e3:.0f} KB of markup")
            print(
                f"  assets on the first load: {weight.sent / 1e3:.0f} KB as sent, {weight.assets / 1e3:.0f} KB unpacked"
            )
            for part in parts(first):
                print(f"  part {part.split('?')[0].rsplit('/', 1)[-1]}: {timed(server, http, part)}")


def sign_in(server: Tenure, http: httpx.Client) -> None:
    """Be the admin."""
    answer = http.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}, headers={"Origin": server.url})
    if answer.status_code != 303:
        raise RuntimeError(f"signing in: {answer.status_code}")


def timed(server: Tenure, http: httpx.Client, path: str) -> str:
    """p50 and p95 of a few rounds, and the processor time of all roles for one."""
    get(http, path)
    before, seconds = processor_seconds(server.process.pid), []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        get(http, path)
        seconds.append(time.perf_counter() - started)
    used = (processor_seconds(server.process.pid) - before) / ROUNDS
    seconds.sort()
    return f"p50 {seconds[ROUNDS // 2] * 1e3:.0f} ms, p95 {seconds[-1] * 1e3:.0f} ms, {used * 1e3:.0f} ms of processor"


def get(http: httpx.Client, path: str) -> str:
    """A page's markup."""
    answer = http.get(path)
    answer.raise_for_status()
    return answer.text


def parts(html: str) -> Iterator[str]:
    """What a page loads by itself after it is there."""
    for found in _LATER.findall(html):
        yield found.replace("&amp;", "&")


def weigh(http: httpx.Client, html: str) -> Weight:
    """The first load of a page."""
    sent = whole = 0
    for path in sorted(set(_ASSETS.findall(html))):
        content = http.get(path).content
        whole += len(content)
        sent += len(gzip.compress(content))
    return Weight(len(html.encode()), sent, whole)
