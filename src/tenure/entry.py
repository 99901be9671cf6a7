"""What the journal holds: one accepted request, decoded, with everything the loader needs."""

from __future__ import annotations

from typing import Final

import msgspec

from tenure import receipt as receipts
from tenure.event import Decoded, Event, Identify, Refusal

RETRY_SECONDS: Final = 10
"""The retry window of an app that says nothing, and of entries of older versions."""
MAX_RETRY_SECONDS: Final = 300


class Replay(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The quarantined element that an entry brings again, repaired: as it is kept. Fields as in `Entry`."""

    receipt: str
    """Of the request that brought it first."""
    received_at: int
    part: int
    """Which refusal of that request it is."""
    refusal: Refusal
    repair: str
    """The id of the repair rule (`control.repairs`)."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One request as it was taken. Positional when encoded: add fields at the end, with a default."""

    app: str
    receipt: str
    """UUIDv7 as 32 hex digits: unique, and ordered by time."""
    received_at: int
    """Microseconds since 1970 UTC, by the wall clock as it was."""
    dialect: str
    verified: bool
    """Sent with a secret key, or signed."""
    key_prefix: str
    idempotency_key: str | None = None
    events: list[Event] = []
    identifies: list[Identify] = []
    refusals: list[Refusal] = []
    path: str = ""
    """The path of the operation; empty where there was none (an import) and in entries of older versions."""
    replay: Replay | None = None
    """What the entry is the replay of."""
    order: int = 0
    """The reading of the hybrid clock (`clock`) when the entry was made: of two entries the one with less was received
    first. 0 in entries of older versions, which are ordered by `received_at`."""
    key: str = ""
    """The id of the API key; empty where there was none (an import) and in entries of older versions."""
    retry_seconds: int = RETRY_SECONDS
    """How long before it a copy may have been received for it to be a retry (`retries`), as the app had it then: so
    loading it again comes to the same. 0: it is none."""

    @property
    def holds_back(self) -> bool:
        """Whether something of it is not verified, and so counts for nothing."""
        signed = [event.signed for event in self.events] + [identify.signed for identify in self.identifies]
        return not self.verified and not all(signed)

    @property
    def ordered_at(self) -> int:
        """Its place in the order of receipt, in microseconds."""
        return self.order or self.received_at

    @property
    def first_ordered_at(self) -> int:
        """The place in that order at which what is in it came here first: for a replay before `ordered_at`."""
        return self.ordered_at if self.replay is None else receipts.time_of(self.replay.receipt)

    @property
    def sent_at(self) -> int:
        """When what is in it came here first, microseconds since 1970 UTC: for a replay before `received_at`."""
        return self.received_at if self.replay is None else self.replay.received_at


def of(
    decoded: Decoded,
    *,
    app: str,
    receipt: str,
    received_at: int,
    dialect: str,
    verified: bool,
    key_prefix: str,
    idempotency_key: str | None = None,
    path: str = "",
    order: int = 0,
    key: str = "",
    retry_seconds: int = RETRY_SECONDS,
) -> Entry:
    """The entry of a request that decodes to this."""
    return Entry(
        app=app,
        receipt=receipt,
        received_at=received_at,
        dialect=dialect,
        verified=verified,
        key_prefix=key_prefix,
        idempotency_key=idempotency_key,
        events=decoded.events,
        identifies=decoded.identifies,
        refusals=decoded.refusals,
        path=path,
        order=order,
        key=key,
        retry_seconds=retry_seconds,
    )


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How many elements of each kind an entry brings: received, as the books count it, and what `arrival` will have."""

    app: str
    received_at: int
    """Microseconds since 1970 UTC."""
    events: int
    identifies: int
    quarantined: int
    """Refusals that the response did not report."""
    rejected: int
    """Refusals that the response reported."""
    receipt_sum: int
    """The last 32 bits of the receipt for each element: of two sets of elements with equal counts, it tells whether
    they are the same."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """An entry as the journal takes it. Without a tally it is not counted as received (again)."""

    receipt: str
    payload: bytes
    tally: Tally | None = None


def tally(entry: Entry) -> Tally:
    """Count the elements of an entry."""
    events, identifies, refusals = len(entry.events), len(entry.identifies), len(entry.refusals)
    rejected = sum(refusal.reported for refusal in entry.refusals) if refusals else 0
    receipts = int(entry.receipt[24:], 16) * (events + identifies + refusals)
    return Tally(entry.app, entry.received_at, events, identifies, refusals - rejected, rejected, receipts)


def record(entry: Entry) -> Record:
    """The entry as the journal takes it."""
    return Record(entry.receipt, _encoder.encode(entry), tally(entry))


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """The entry as the journal keeps it (MessagePack)."""
    return _encoder.encode(entry)


def decode(payload: bytes) -> Entry:
    """The inverse of `encode`. Raises msgspec.DecodeError (ValidationError included) when it is not one."""
    return _decoder.decode(payload)
