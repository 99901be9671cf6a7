"""What the journal holds: one accepted request, decoded, with everything the loader needs."""

from __future__ import annotations

import msgspec

from tenure.event import Decoded, Event, Identify, Refusal


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
    )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """The entry as the journal keeps it (MessagePack)."""
    return _encoder.encode(entry)


def decode(payload: bytes) -> Entry:
    """The inverse of `encode`. Raises msgspec.DecodeError (ValidationError included) when it is not one."""
    return _decoder.decode(payload)
