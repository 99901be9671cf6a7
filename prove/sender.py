"""Senders: steady traffic with erasures. Each request is in the ledger before it is sent, and when it is answered."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prove.http import TRANSPORT_ERRORS, Api, Connection
from prove.ledger import Element, Ledger, digest

NAMES = ("page_viewed", "report_opened", "invoice_paid", "member_invited", "file_uploaded", "plan_compared")
CUSTOMERS = 24
RETRY_SECONDS = 0.1


@dataclass(frozen=True)
class Event:
    """An event as it is sent, and as the ledger records it."""

    body: dict[str, Any]
    element: Element


class Events:
    """Makes events, each with a message id of its own. Safe to use from several threads."""

    def __init__(self, app: str, seed: int, weight: int = 120, prefix: str = "m") -> None:
        self._app = app
        self._chance = random.Random(seed)
        self._numbers = itertools.count()
        self._weight = weight
        self._prefix = prefix
        self._lock = threading.Lock()

    def make(self, customer: str | None = None) -> Event:
        """Return a new event, of one of the steady customers unless one is named."""
        with self._lock:
            number = next(self._numbers)
            name = self._chance.choice(NAMES)
            customer = customer or f"customer_{self._chance.randrange(CUSTOMERS)}"
            text = self._chance.randbytes(self._weight // 2).hex()
            ago = timedelta(minutes=self._chance.randrange(30 * 24 * 60))
        properties = {"n": number, "text": text}
        message_id = f"{self._prefix}{number}"
        body = {"event": name, "message_id": message_id, "uid": customer, "properties": properties}
        if number % 2:
            body["occurred_at"] = (datetime.now(UTC) - ago).isoformat()
        return Event(body, Element(self._app, message_id, customer, name, digest(name, customer, properties)))


class Sender(threading.Thread):
    """Sends requests one after the other at a rate; a request is sent again until it is acknowledged.

    `give_up` is how many tries a request gets; after them its events stay in the ledger as not acknowledged.
    """

    def __init__(
        self,
        port: int,
        keys: dict[str, str],
        ledger: Ledger,
        events: Events,
        *,
        rate: float = 60.0,
        batch: int = 5,
        give_up: int = 1_000_000,
        timeout: float = 10.0,
    ) -> None:
        super().__init__(daemon=True)
        self._port, self._keys, self._ledger, self._events = port, keys, ledger, events
        self._rate, self._batch, self._give_up, self._timeout = rate, batch, give_up, timeout
        self.stopping = threading.Event()
        self.started_request = threading.Event()
        """Set each time a request begins; who waits for one clears it first."""
        self.in_flight_since: float | None = None
        self.statuses: dict[str, int] = {}
        """How often each status, or error of the transport, was the answer."""
        self.bad_answers: list[str] = []
        """Answers with a 2xx that do not acknowledge the request as it was sent."""
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Send until told to stop."""
        connection = Connection(self._port, self._timeout)
        due = time.monotonic()
        try:
            while not self.stopping.is_set():
                batch = [self._events.make() for _ in range(self._batch)]
                self._deliver(connection, batch)
                due = max(due + self._batch / self._rate, time.monotonic() - 1.0)
                self.stopping.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:
            self.failure = error
            raise
        finally:
            connection.close()

    def _deliver(self, connection: Connection, batch: list[Event]) -> None:
        self._ledger.send([event.element for event in batch])
        for _ in range(self._give_up):
            self.in_flight_since = time.monotonic()
            self.started_request.set()
            receipt = deliver(connection, self._keys, batch, self._count, self.bad_answers)
            self.in_flight_since = None
            if receipt is not None:
                self._ledger.acknowledge([event.element for event in batch], receipt)
                return
            if self.stopping.wait(RETRY_SECONDS):
                return

    def _count(self, answer: str) -> None:
        self.statuses[answer] = self.statuses.get(answer, 0) + 1

    def finish(self, seconds: float = 60) -> None:
        """Stop, and wait until the last request is answered. Raises what ended the thread."""
        self.stopping.set()
        self.join(seconds)
        if self.failure is not None:
            raise self.failure


def deliver(
    connection: Connection,
    keys: dict[str, str],
    batch: Sequence[Event],
    count: Callable[[str], None] = lambda _: None,
    bad: list[str] | None = None,
) -> str | None:
    """Send one request; returns the receipt when all of it was acknowledged, otherwise None."""
    body = {"events": [event.body for event in batch]}
    try:
        status, answer, _ = connection.ask("POST", "/v1/ingest", {"X-API-Key": keys["secret_key"]}, body)
    except TRANSPORT_ERRORS as error:
        count(type(error).__name__)
        return None
    count(str(status))
    if status != 202:
        if 200 <= status < 300 and bad is not None:
            bad.append(f"{status} {str(answer)[:200]}")
        return None
    results = [result["status"] for result in answer["results"]]
    if len(results) != len(batch) or not set(results) <= {"stored_pending", "duplicate"}:
        if bad is not None:
            bad.append(f"{status} {results[:5]}")
        return None
    return str(answer["receipt"])


class CopySender(Sender):
    """Sends given requests, each until it is acknowledged, and ends."""

    def __init__(
        self, port: int, keys: dict[str, str], ledger: Ledger, events: Events, requests: Sequence[list[Event]]
    ) -> None:
        super().__init__(port, keys, ledger, events)
        self._requests = requests
        self.sent = sum(map(len, requests))

    def run(self) -> None:
        """Send all requests."""
        connection = Connection(self._port, self._timeout)
        try:
            for request in self._requests:
                self._deliver(connection, request)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            connection.close()


class Eraser(threading.Thread):
    """Makes customers, has each erased a little later, and follows the certificates until they say done."""

    def __init__(
        self,
        port: int,
        keys: dict[str, str],
        ledger: Ledger,
        events: Events,
        *,
        pause: float = 3.0,
        prefix: str = "victim",
    ) -> None:
        super().__init__(daemon=True)
        self._port, self._keys, self._ledger, self._events = port, keys, ledger, events
        self._pause, self._prefix = pause, prefix
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Erase one customer after the other until told to stop."""
        connection, api = Connection(self._port, 10), Api(self._port, self._keys)
        try:
            for number in itertools.count():
                if self.stopping.is_set():
                    return
                self._erase(connection, api, f"{self._prefix}_{number}")
                self._follow(api)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            connection.close()
            api.close()

    def _erase(self, connection: Connection, api: Api, customer: str) -> None:
        batch = [self._events.make(customer) for _ in range(8)]
        elements = [event.element for event in batch]
        self._ledger.send(elements)
        while (receipt := deliver(connection, self._keys, batch)) is None:
            if self.stopping.wait(RETRY_SECONDS):
                return
        self._ledger.acknowledge(elements, receipt)
        if self.stopping.wait(self._pause):
            return
        while not self.stopping.is_set():
            # Erasing somebody who is not loaded yet is possible, so the first question decides.
            self._ledger.request_erasure(customer)
            if (erasure_id := api.erase(customer)) is not None:
                self._ledger.acknowledge_erasure(customer, erasure_id)
                return
            self.stopping.wait(RETRY_SECONDS)

    def _follow(self, api: Api) -> None:
        for erasure in self._ledger.unfinished_erasures():
            if erasure.id is not None and api.erasure_done(erasure.id):
                self._ledger.finish_erasure(erasure.customer)

    def finish(self, seconds: float = 60) -> None:
        """Stop, and wait until the last question is answered."""
        self.stopping.set()
        self.join(seconds)
        if self.failure is not None:
            raise self.failure
