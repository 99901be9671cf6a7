"""The live page: requests as they come in, and where each of them went."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec
from fastapi import FastAPI, Form, Header, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from tenure.customers.receipts import reinstate
from tenure.errors import NotFound, RateLimited
from tenure.ingest.turned_away import TurnedAway, turned_away
from tenure.live import recent
from tenure.live import request as live
from tenure.live.follower import Follower, Missed, Seen
from tenure.live.marking import marked
from tenure.live.request import OUTCOMES, REFUSED, Wanted
from tenure.live.search import LONGEST, search
from tenure.pages.of_app import AppAdmin, AppPage, OfApp
from tenure.pages.rendering import environment, fragment, page
from tenure.receipt import is_receipt
from tenure.wire import codes, registry
from tenure.wire.warnings import sentence

DIALECTS: Final = tuple(sorted({operation.dialect for operation in registry.ALL}))
STREAMS: Final = 100
"""Streams of one process at a time, and of one session."""
STREAMS_OF_SESSION: Final = 6
STREAM_SECONDS: Final = 60
"""After this a stream ends, and the browser asks for the next: by then the session may have ended."""
HEARTBEAT_SECONDS: Final = 15
RETRY_MS: Final = 500
AT_ONCE: Final = 100
"""Items that are sent together at the most."""
MAX_LATE_US: Final = 3_600_000_000
"""How far back a stream goes on that was broken off."""
TONES: Final = {
    "accepted": "good", "stored": "good", "replayed": "good", "duplicate": "", "conflict": "warn",
    "quarantined": "warn", "rejected": "bad", "refused": "bad", "erased": "",
}  # fmt: skip

Text = Annotated[str, Query(max_length=LONGEST)]


class Streams:
    """Counts the streams that are open in this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, session: str) -> Iterator[None]:
        """While a stream of this session is open."""
        self._open[session] += 1
        try:
            yield
        finally:
            self._open -= Counter([session])

    def check(self, session: str) -> None:
        """Raises RateLimited when there are too many."""
        if self._open[session] >= STREAMS_OF_SESSION or self._open.total() >= STREAMS:
            message = "too many live pages are open; close one and load this page again"
            raise RateLimited(message, retry_after=STREAM_SECONDS)


def add_live(site: FastAPI) -> None:
    """Put the pages into the site."""
    journals: Path = site.state.journals
    follower: Follower = site.state.follower
    streams = Streams()
    environment().globals |= {"TONES": TONES, "OUTCOMES": OUTCOMES, "SENTENCES": codes.SENTENCES, "marked": marked}
    environment().globals["placeholder_sentence"] = sentence

    @site.get("/apps/{app}/live")
    def live_page(  # noqa: PLR0917 - query parameters, which are sent by name
        request: Request, of: AppPage, q: Text = "", outcome: str = "", dialect: str = "", name: Text = "",
        customer: Text = "",
    ) -> Response:  # fmt: skip
        wanted = Wanted(outcome, dialect, name.strip(), customer.strip())
        if q.strip():
            found = search(of.tenant, of.store, journals, q)
            return page(request, "live/found.html", q=q, found=found, noted=turned_away(journals, of.app.id))
        now = time.time_ns() // 1_000
        items = _items(of, journals, wanted)
        query = urlencode({name: value for name, value in wanted._asdict().items() if value} | {"since": now})
        return page(request, "live.html", wanted=wanted, items=items, dialects=DIALECTS, stream=f"live/stream?{query}")

    @site.get("/apps/{app}/live/requests/{receipt}")
    def one_request(request: Request, of: AppPage, receipt: str) -> Response:
        found = recent.request(of.tenant, of.store.erasures, journals, receipt) if is_receipt(receipt) else None
        if found is None:
            raise NotFound("this app has no request with this receipt", code="unknown_receipt")
        make = fragment if request.headers.get("HX-Request") else page
        template = "live/_detail.html" if make is fragment else "live/request.html"
        return make(request, template, one=found)

    @site.post("/apps/{app}/live/requests/{receipt}/reinstate")
    def reinstated(of: AppAdmin, receipt: str, index: Annotated[int, Form(ge=0)]) -> Response:
        reinstate(of.tenant, of.store, journals, receipt, index)
        return RedirectResponse(f"{of.path}/live/requests/{receipt}", 303)

    @site.get("/apps/{app}/live/stream")
    async def stream(  # noqa: PLR0917 - query parameters, which are sent by name
        request: Request, of: AppPage, since: int = 0, outcome: str = "", dialect: str = "", name: Text = "",
        customer: Text = "", last_event_id: Annotated[str, Header()] = "",
    ) -> Response:  # fmt: skip
        streams.check(of.visitor.session)
        now = time.time_ns() // 1_000
        since = max(int(last_event_id) if last_event_id.isdecimal() else since, now - MAX_LATE_US)
        since = min(since, now)  # what was seen while the clock was ahead is not to hide what comes now
        wanted = Wanted(outcome, dialect, name.strip(), customer.strip())
        told = _tell(follower, of, journals, wanted, since, partial(_framed, request))

        async def body() -> AsyncIterator[str]:
            with streams.one_more(of.visitor.session):
                async for text in told:
                    yield text

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(body(), media_type="text/event-stream", headers=headers)


def _items(of: OfApp, journals: Path, wanted: Wanted) -> list[Seen]:
    """What a page begins with, newest first."""
    requests: list[Seen] = [*recent.recent(of.tenant, of.store.erasures, journals, wanted)]
    return sorted([*requests, *_refused(turned_away(journals, of.app.id), wanted)], key=_at, reverse=True)


def _refused(noted: list[TurnedAway], wanted: Wanted) -> list[TurnedAway]:
    """What was turned away, where that is wanted: it is not known what was in it."""
    if wanted.outcome not in {"", REFUSED} or wanted.name or wanted.customer:
        return []
    return [one for one in noted if wanted.dialect in {"", one.dialect}]


def _at(seen: Seen) -> int:
    """When, in microseconds since 1970 UTC."""
    if isinstance(seen, TurnedAway):
        return seen.last * 1_000
    return seen.received_at if isinstance(seen, live.Request) else 0


async def _tell(  # noqa: PLR0917 - private, all of one stream
    follower: Follower,
    of: OfApp,
    journals: Path,
    wanted: Wanted,
    since: int,
    framed: Callable[[list[Seen], int], str],
) -> AsyncIterator[str]:
    """The text of a stream: what was missed, then what comes, until it is time to ask again."""
    ends_at = time.monotonic() + STREAM_SECONDS
    yield f"retry: {RETRY_MS}\n\n"
    async with follower.watch(of.app.id) as subscription:
        missed: list[Seen] = [*await asyncio.to_thread(recent.since, of.tenant, of.store.erasures, journals, since)]
        seen: list[Seen] | None = missed
        while seen is not None and time.monotonic() < ends_at:
            found = _few([one for one in seen if _is_wanted(one, wanted)])
            since = max([since, *(_at(one) for one in seen)])
            yield await asyncio.to_thread(framed, found, since) if found else ": still here\n\n"
            seen = await subscription.get(HEARTBEAT_SECONDS)


def _few(seen: list[Seen]) -> list[Seen]:
    """The last of them, for more can be neither rendered in time nor read."""
    return seen if len(seen) <= AT_ONCE else [Missed(len(seen) - AT_ONCE), *seen[-AT_ONCE:]]


def _is_wanted(seen: Seen, wanted: Wanted) -> bool:
    if isinstance(seen, live.Request):
        return wanted.takes(seen)
    return isinstance(seen, Missed) or bool(_refused([seen], wanted))


def _framed(request: Request, seen: list[Seen], moment: int) -> str:
    """Items as server-sent events: each is JSON with the list's item as HTML, escaped by Jinja."""
    frames = []
    for one in seen:
        html = fragment(request, "live/_item.html", one=one).body
        data = msgspec.json.encode({"html": bytes(html).decode()}).decode()
        frames.append(f"id: {moment}\ndata: {data}\n\n")
    return "".join(frames)
