"""What the journal holds: one accepted request, decoded, with everything the loader needs."""

from __future__ import annotations

import msgspec

from tenure.event import Event, Identify, Refusal


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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """The entry as the journal keeps it (MessagePack)."""
    return _encoder.encode(entry)


def decode(payload: bytes) -> Entry:
    """The inverse of `encode`. Raises msgspec.DecodeError (ValidationError included) when it is not one."""
    return _decoder.decode(payload)
