"""What the journal holds: one accepted request, decoded, with everything the loader needs."""

from __future__ import annotations

import msgspec

from tenure.event import Decoded, Event, Identify, Refusal


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
    """Microseconds since 1970 UTC."""
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
    )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """The entry as the journal keeps it (MessagePack)."""
    return _encoder.encode(entry)


def decode(payload: bytes) -> Entry:
    """The inverse of `encode`. Raises msgspec.DecodeError (ValidationError included) when it is not one."""
    return _decoder.decode(payload)
