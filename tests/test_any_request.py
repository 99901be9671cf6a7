"""Many requests of every kind to a real server: never a 5xx, and what is stored is what was accepted."""

from __future__ import annotations

import hmac
import json
import os
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from tenure.control import keys as api_keys
from tenure.control.database import connect
from tenure.control.store import Store
from tenure.entry import Entry
from tenure.event import Decoded, Event, Identify
from tenure.identity import KINDS, element_ids, event_ids, event_names, identifiers
from tenure.ingest.claims import check_claims
from tenure.loader.rows import precedence
from tenure.retries import Received, duplicates, windows
from tenure.settings import Settings
from tenure.warehouse.client import Tenant, Warehouse
from tenure.wire import times
from tenure.wire.dialect import Operation, Reply
from tests.any_request import Keys, Request, requests
from tests.harness import Server, tenure
from tests.wire.invariants import check_reply

SEED = 20_260_614
REQUESTS = int(os.environ.get("TENURE_TEST_REQUESTS", "400"))
SENDERS = 4
SAMPLED = 10
"""Every which receipt is read over the API, which takes three questions for each."""
NEAR = 1_000_000
"""Microseconds between the time of receipt and the place in the order: they are read one after the other."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: `tenure check` has to find everything whole."""
    running = Server(tmp_path_factory.mktemp("own") / "data")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()


class Arrival(NamedTuple):
    """What the warehouse's books say of one element of a request."""

    kind: str
    index: int
    event_id: str
    outcome: str
    code: str


class Kept(NamedTuple):
    """A request that was taken, and what it says."""

    request: Request
    operation: Operation
    decoded: Decoded
    receipt: str
    received_at: int
    """Microseconds since 1970 UTC."""
    verified: bool
    key: str
    """The id of the API key."""

    def entry(self, app: str) -> Entry:
        """As it is in the journal, as far as ids are made of it."""
        return Entry(app=app, receipt=self.receipt, received_at=self.received_at, dialect=self.operation.dialect,
                     verified=self.verified, key_prefix="", key=self.key, events=self.decoded.events,
                     idempotency_key=self.request.headers.get("Idempotency-Key") or None,
                     identifies=self.decoded.identifies, refusals=self.decoded.refusals,
                     path=self.operation.path)  # fmt: skip

    def events(self, app: str) -> list[tuple[str, Event]]:
        """(id, event) of each event."""
        ids = event_ids(self.entry(app))
        return [(event_id.hex(), event) for event_id, event in zip(ids, self.decoded.events, strict=True)]

    def verified_ids(self, app: str) -> list[str]:
        """The id that each event has where it is verified."""
        return [names.of(True, None).hex() for names in event_names(self.entry(app))]

    def identifies(self, app: str) -> list[tuple[str, Identify]]:
        """(id of the element, identify) of each identify."""
        ids = element_ids(self.entry(app))
        return [(found.hex(), said) for found, said in zip(ids, self.decoded.identifies, strict=True)]

    def item(self, event_id: str, event: Event) -> dict[str, Any]:
        """The event as it is to stand on a timeline."""
        received_at = times.rfc3339(self.received_at // 1_000)
        names = (*KINDS, "user_id", "message_id", "name")
        return {name: getattr(event, name) for name in names} | {
            "event_id": event_id,
            "occurred_at": received_at if event.occurred_at is None else times.rfc3339(event.occurred_at),
            "received_at": received_at,
            "properties": json.loads(event.properties),
            "context": json.loads(event.context),
            "dialect": self.operation.dialect,
            "verified": self.verified or event.signed,
            "receipt": self.receipt,
        }


class Copy(NamedTuple):
    """One received copy of an event, in the order of receipt."""

    order: int
    kept: Kept
    event: Event


def test_what_is_stored_is_what_was_accepted(server: Server, keys: Keys) -> None:
    """Sent by several clients at once, each element is in the books and on its timeline exactly as it was accepted."""
    no_limit(server, keys)
    sent = requests(keys, churn_event(server, keys)["id"], REQUESTS, SEED)
    with ThreadPoolExecutor(SENDERS) as senders:
        answers = list(senders.map(lambda request: request.send(server.http), sent))
    for request, answer in zip(sent, answers, strict=True):
        check_answer(request, answer)
    server.wait_loaded()
    with tenant_of(server, keys) as tenant:
        booked, received = arrivals(tenant)
        kept = []
        with connected(server) as store:
            ids = {key.digest: key.id for key in store.live_keys()}
        of_keys = {key: ids[api_keys.digest(key)] for name, key in keys.items() if name != "app"}
        for request, answer in zip(sent, answers, strict=True):
            found = what_was_kept(keys, of_keys, request, answer, received)
            check_booked(keys, answer, found, booked)
            kept += [found] if found else []
        check_attributes(tenant, kept)
    assert len(kept) > REQUESTS / 3
    copies = copies_of(kept, keys["app"])
    check_timelines(server, keys, copies)
    check_receipts(server, keys, kept[::SAMPLED], copies)
    items = server.read("/v1/events", keys)["items"]
    assert (
        sum(item["count"] for item in items) == len({copy.order for copy in copies.values()}) + 1
    )  # and the churn event from before
    findings = json.loads(tenure("check", "--json", data=server.data))
    assert all(finding["holds"] for finding in findings), findings


def test_what_is_hardly_http_harms_nobody(server: Server, keys: Keys) -> None:
    """Requests that no client library would send are refused or cut off, and the next one is answered."""
    body = b'{"event":"a","customer_email":"a@b.c"}'
    key = f"X-API-Key: {keys['secret_key']}".encode()
    projects = b"/api/v1/projects/"
    hostile = [
        (b"POST /api/v1/track", b"Content-Length: " + b"9" * 5_000, body),
        (b"POST /api/v1/track", b"Content-Length: -1", body),
        (b"POST /api/v1/track", b"Content-Length: 3\r\nContent-Length: 38", body),
        (
            b"POST /api/v1/track",
            b"Content-Length: 3\r\nTransfer-Encoding: chunked",
            b"26\r\n" + body + b"\r\n0\r\n\r\n",
        ),
        (b"POST /api/v1/track", b"Transfer-Encoding: chunked", b"zz\r\n" + body),
        (b"POST /api/v1/track", b"Transfer-Encoding: chunked", b"fffffffffffffffff\r\n" + body),
        (b"POST /api/v1/track", b"Content-Length: 38\r\nContent-Encoding: \xff", body),
        (b"POST /api/v1/track", b"Content-Length: 38\r\nIdempotency-Key: \xff\x80", body),
        (b"POST /api/v1/tr%61ck", b"Content-Length: 38", body),
        (b"POST //api/v1/track", b"Content-Length: 38", body),
        (b"POST /api/v1/track?x=%ff#y", b"Content-Length: 38", body),
        (b"POST /\xff", b"Content-Length: 38", body),
        (b"POST /%ff", b"Content-Length: 38", body),
        (b"POST " + projects + b"%ff%fe/churn-events", b"Content-Length: 38", body),
        (b"POST " + projects + b"%ed%a0%80/churn-events", b"Content-Length: 38", body),
        (b"POST " + projects + b"a%2Fb/churn-events", b"Content-Length: 38", body),
        (b"PATCH " + projects + b"x/churn-events/%ff/cancel-reason", b"Content-Length: 38", body),
        (b"POST http://other/api/v1/track", b"Content-Length: 38", body),
        (b"\x00POST /api/v1/track", b"Content-Length: 38", body),
    ]
    for line, headers, content in hostile:
        start = raw(server, line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + key + b"\r\n" + headers
                    + b"\r\n\r\n" + content)  # fmt: skip
        assert not start.startswith(b"HTTP/1.1 5"), (line, headers[:40], start)
    answer = server.http.post("/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, content=body)
    assert answer.status_code == 200


def raw(server: Server, request: bytes) -> bytes:
    """The beginning of what the server says to these bytes; nothing, when it hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        try:
            return connection.recv(4_096)
        except ConnectionResetError:
            return b""


def no_limit(server: Server, keys: Keys) -> None:
    """Let the app send to every dialect as often as it likes."""
    with connected(server) as store:
        for dialect in ("churnkey", "windback", "customerscore", "whisperr", "native"):
            store.set_limit(keys["app"], dialect, None)


@contextmanager
def connected(server: Server) -> Iterator[Store]:
    engine = connect(Settings.load({"data": server.data}, {}))
    yield Store(engine)
    engine.dispose()


def churn_event(server: Server, keys: Keys) -> Any:
    """A churn event that reasons can be reported for."""
    body = {"customer_email": "first@example.com", "provider": "stripe", "mrr": 1, "currency": "USD"}
    path, headers = "/api/v1/projects/p/churn-events", {"X-API-Key": keys["secret_key"]}
    answer = server.http.post(path, headers=headers, json=body)
    assert answer.status_code == 201
    return answer.json()


def check_answer(request: Request, answer: httpx.Response) -> None:
    """No 5xx; a receipt, and JSON that a client can read."""
    about = (request.method, request.path, request.body[:300], answer.status_code, answer.text[:300])
    assert answer.status_code < 500, about
    if request.method == "OPTIONS":
        assert answer.status_code == 204
        return
    assert len(answer.headers["tenure-receipt"]) == 32, about
    if request.method != "HEAD":
        assert answer.status_code < 400 or answer.json()["message"], about


def what_was_kept(
    keys: Keys, ids: dict[str, str], request: Request, answer: httpx.Response, received: dict[str, int]
) -> Kept | None:
    """What is live of the request as it was taken; None where it was refused, or nothing of it is. Its answer counts
    what it says."""
    if not 200 <= answer.status_code < 300 or request.method == "OPTIONS":
        return None
    operation, receipt = request.operation, answer.headers["tenure-receipt"]
    assert operation is not None
    decoded = operation.decode(request.body, received.get(receipt, time.time_ns() // 1_000) // 1_000)
    check_claims(decoded, lambda subject, claimed: claimed.lower() == signed(keys, subject))
    check_reply(operation, decoded, Reply(answer.status_code, answer.content))
    decoded = Decoded(**{kind: [one for one in getattr(decoded, kind) if one.index not in decoded.modes]
                         for kind in ("events", "identifies", "refusals")})  # fmt: skip
    if receipt not in received:
        assert decoded == Decoded()
        return None
    verified = keys["secret_key"] in str(request.headers)
    key = next((found for key, found in ids.items() if key in str(request.headers)), keys["app"])
    return Kept(request, operation, decoded, receipt, received[receipt], verified, key)


def signed(keys: Keys, subject: str) -> str:
    return hmac.new(keys["secret_key"].encode(), subject.encode(), "sha256").hexdigest()


@contextmanager
def tenant_of(server: Server, keys: Keys) -> Iterator[Tenant]:
    warehouse = Warehouse(Settings.load({"data": server.data}, {}))
    yield warehouse.tenant(keys["app"])
    warehouse.forget()


def arrivals(tenant: Tenant) -> tuple[dict[str, list[Arrival]], dict[str, int]]:
    """The books, and when each request was received, by receipt."""
    sql = """SELECT receipt, toUnixTimestamp64Micro(received_at), kind, position, event_id, outcome, code
        FROM arrival FINAL"""
    booked: dict[str, list[Arrival]] = {}
    received = {}
    for receipt, received_at, kind, index, event_id, outcome, code in tenant.rows(sql):
        booked.setdefault(receipt.hex(), []).append(Arrival(kind, index, event_id.hex(), outcome, code))
        received[receipt.hex()] = received_at
    return booked, received


def check_booked(keys: Keys, answer: httpx.Response, kept: Kept | None, booked: dict[str, list[Arrival]]) -> None:
    """The books have each element once, and a request refused as a whole under the code that it was told."""
    found = Counter(booked.get(answer.headers.get("tenure-receipt", ""), []))
    nothing = "00" * 16
    if kept is None:
        assert not found or answer.status_code >= 400
        if answer.status_code in (400, 413, 415):
            assert found == {Arrival("refusal", index_told(answer), nothing, "rejected", code_told(answer)): 1}
        return
    assert found == Counter(
        [
            *(Arrival("event", event.index, event_id, "accepted", "") for event_id, event in kept.events(keys["app"])),
            *(Arrival("identify", said.index, found, "accepted", "") for found, said in kept.identifies(keys["app"])),
            *(Arrival("refusal", bad.index or 0, nothing, "rejected" if bad.reported else "quarantined", bad.code)
              for bad in kept.decoded.refusals),
        ]
    )  # fmt: skip


def code_told(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    return error if isinstance(error, str) else error["code"]


def index_told(answer: httpx.Response) -> int:
    return answer.json().get("index", 0)


def copies_of(kept: list[Kept], app: str) -> dict[str, Copy]:
    """Of each event, by its id, the copy that was received first; a verified one is that of unverified ones, too."""
    first: dict[str, Copy] = {}
    for found in kept:
        for event_id, event in found.events(app):
            order = precedence(found.received_at, bytes.fromhex(found.receipt)) - event.index
            first[event_id] = max(
                first.get(event_id, Copy(-1, found, event)), Copy(order, found, event), key=first_is_most
            )
    believed = {}
    for found in kept:
        for (event_id, _), verified_id in zip(found.events(app), found.verified_ids(app), strict=True):
            if verified_id in first:
                believed[event_id] = first[verified_id]
    first |= believed
    return first | {one: first[of] for one, of in retries_of(kept, app).items()}


def retries_of(kept: list[Kept], app: str) -> dict[str, str]:
    """By id: the event that each event is a retry of, by the rule that has tests of its own."""
    received: defaultdict[bytes, list[Received]] = defaultdict(list)
    for found in kept:
        entry = found.entry(app)
        for (event_id, event), names, window in zip(found.events(app), event_names(entry), windows(entry), strict=True):
            if window is not None:
                order = precedence(found.received_at, bytes.fromhex(found.receipt)) - event.index
                copy = Received(order, bytes.fromhex(event_id), names.trusted, window.seconds)
                received[window.key].append(copy)
    told = (each for group in received.values() for each in duplicates(group).items())
    return {one.hex(): of.hex() for one, of in told if of is not None}


def first_is_most(copy: Copy) -> int:
    return copy.order


def check_timelines(server: Server, keys: Keys, copies: dict[str, Copy]) -> None:
    """Each event is found by its strongest identifier, and is what the copy received first says."""

    @cache
    def timeline(identifier: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        path, cursor = f"/v1/customers/{quote(identifier, safe='')}/timeline", {}
        while cursor is not None:
            page = server.read(path, keys, limit=1_000, **cursor)
            found |= {item["event_id"]: item for item in page["items"]}
            cursor = page["next"] and {"cursor": page["next"]}
        return found

    for _, kept, event in copies.values():
        event_id = next(one for one, said in kept.events(keys["app"]) if said is event)
        strongest = identifiers(event)[0]
        assert timeline(f"{strongest.kind}:{strongest.value}")[event_id] == kept.item(event_id, event)


def check_receipts(server: Server, keys: Keys, kept: list[Kept], copies: dict[str, Copy]) -> None:
    """The first copy of an event is stored, and every other one names it."""
    for found in kept:
        told = {(element["kind"], element.get("index")): element
                for element in server.read(f"/v1/receipts/{found.receipt}", keys)["elements"]}  # fmt: skip
        for event_id, event in found.events(keys["app"]):
            first = copies[event_id]
            element = told["event", event.index]
            assert element["event_id"] == event_id
            if (first.kept.receipt, first.event.index) == (found.receipt, event.index):
                assert element["outcome"] == "stored"
            else:
                assert (element["outcome"], element["of"]) == ("duplicate", first.kept.receipt)


def check_attributes(tenant: Tenant, kept: list[Kept]) -> None:
    """Each identify is kept as it was said; without a time of its own, at its place in the order of receipt."""
    names = (*KINDS, "user_id", "traits", "user_traits", "channels", "users")
    columns = ("precedence", "receipt", "position", "toUnixTimestamp64Milli(set_at)", *names)
    sql = f"SELECT {', '.join(columns)} FROM identify FINAL"
    rows = {(receipt.hex(), position): (order_of(place), *said) for place, receipt, position, *said in tenant.rows(sql)}
    expected = {(found.receipt, said.index): (found, said) for found in kept for said in found.decoded.identifies}
    assert rows.keys() == expected.keys()
    for at, (found, said) in expected.items():
        order, set_at, *texts = rows[at]
        assert abs(order - found.received_at) < NEAR
        assert set_at == (order // 1_000 if said.set_at is None else said.set_at)
        assert texts == [getattr(said, name) or "" for name in names]


def order_of(place: int) -> int:
    """The reading of the hybrid clock in a precedence."""
    return (1 << 128) - 1 - place >> 64
