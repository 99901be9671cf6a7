"""The ledger of acknowledgements: what was sent, what was acknowledged, and what was asked to be erased.

The ledger lives outside the data directory and decides what the server must still have. It shares no code with the
product. Times are nanoseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Element:
    """One event as it was sent."""

    app: str
    message_id: str
    customer: str
    name: str
    digest: str


@dataclass(slots=True)
class Erasure:
    """One request to erase a customer. Times are None while the step has not happened."""

    customer: str
    sent_at: int
    acknowledged_at: int | None = None
    done_at: int | None = None
    id: str | None = None


@dataclass(frozen=True)
class Expected:
    """What a server must answer that stopped at one moment."""

    required: dict[str, Element]
    """Acknowledged before the moment: each is stored exactly once."""
    allowed: dict[str, Element]
    """Sent, but not acknowledged before the moment: each is stored at most once."""
    erased: frozenset[str]
    """Customers whose erasure was acknowledged: nothing of them is stored."""
    undecided: frozenset[str]
    """Customers whose erasure was sent and not acknowledged: everything of them is stored, or nothing."""
    receipts: dict[str, list[str]]
    """Message ids by the receipt that acknowledged them."""
    customers: frozenset[str] = field(default_factory=frozenset)


def digest(name: str, customer: str, properties: dict[str, Any]) -> str:
    """Return a hash of what an event says."""
    text = json.dumps([name, customer, properties], sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class Ledger:
    """Records in a file and in memory; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", buffering=1 << 16)
        self._lock = threading.Lock()
        self._sent: dict[str, tuple[int, Element]] = {}
        self._acknowledged: dict[str, int] = {}
        self._receipts: dict[str, tuple[int, list[str]]] = {}
        self.erasures: dict[str, Erasure] = {}

    def send(self, elements: Iterable[Element]) -> None:
        """Record elements before the request that carries them is sent."""
        now = time.monotonic_ns()
        with self._lock:
            for element in elements:
                self._sent.setdefault(element.message_id, (now, element))
                self._write("sent", now, *astuple(element))

    def acknowledge(self, elements: Sequence[Element], receipt: str | None) -> None:
        """Record the acknowledgement of a request; an import has no receipt."""
        now = time.monotonic_ns()
        with self._lock:
            for element in elements:
                self._acknowledged.setdefault(element.message_id, now)
                self._write("acknowledged", now, *astuple(element), receipt)
            if receipt is not None:
                self._receipts[receipt] = (now, [element.message_id for element in elements])

    def request_erasure(self, customer: str) -> None:
        """Record that the erasure of a customer is about to be asked for."""
        with self._lock:
            erasure = self.erasures.setdefault(customer, Erasure(customer, time.monotonic_ns()))
            self._write("erasure sent", erasure.sent_at, customer)

    def acknowledge_erasure(self, customer: str, erasure_id: str) -> None:
        """Record that the server took the request."""
        with self._lock:
            erasure = self.erasures[customer]
            erasure.id = erasure_id
            erasure.acknowledged_at = erasure.acknowledged_at or time.monotonic_ns()
            self._write("erasure acknowledged", erasure.acknowledged_at, customer, erasure_id)

    def finish_erasure(self, customer: str) -> None:
        """Record that the certificate says done."""
        with self._lock:
            erasure = self.erasures[customer]
            erasure.done_at = erasure.done_at or time.monotonic_ns()
            self._write("erasure done", erasure.done_at, customer)

    def unfinished_erasures(self) -> list[Erasure]:
        """Return the erasures that were acknowledged and are not known to be done."""
        with self._lock:
            return [one for one in self.erasures.values() if one.acknowledged_at is not None and one.done_at is None]

    def counts(self) -> tuple[int, int]:
        """Return how many elements were sent and how many acknowledged."""
        with self._lock:
            return len(self._sent), len(self._acknowledged)

    def flush(self) -> None:
        """Write what is buffered to the file."""
        with self._lock:
            self._file.flush()

    def expected(self, moment: int | None = None) -> Expected:
        """Return what must be stored by a server that stopped at a moment; by default now."""
        moment = time.monotonic_ns() if moment is None else moment
        with self._lock:
            sent, acknowledged, receipts = dict(self._sent), dict(self._acknowledged), dict(self._receipts)
            erasures = list(self.erasures.values())
        erased, undecided = set(), set()
        for erasure in erasures:
            if erasure.acknowledged_at is not None and erasure.acknowledged_at <= moment:
                erased.add(erasure.customer)
            elif erasure.sent_at <= moment:
                undecided.add(erasure.customer)
        gone = erased | undecided
        required, allowed = {}, {}
        for message_id, (sent_at, element) in sent.items():
            if sent_at > moment:
                continue
            known = acknowledged.get(message_id)
            if known is not None and known <= moment and element.customer not in gone:
                required[message_id] = element
            else:
                allowed[message_id] = element
        return Expected(
            required=required,
            allowed=allowed,
            erased=frozenset(erased),
            undecided=frozenset(undecided),
            receipts={receipt: ids for receipt, (when, ids) in receipts.items() if when <= moment},
            customers=frozenset(element.customer for sent_at, element in sent.values() if sent_at <= moment),
        )

    def _write(self, *fields: object) -> None:
        self._file.write("\t".join(map(str, fields)) + "\n")
