"""What the dialects' replies are made from, without a server."""

from __future__ import annotations

from tenure import entry as entries
from tenure.event import Decoded
from tenure.wire.dialect import Operation, Taken

RECEIPT = "0198a5c1f3b07c2e8f4d6b1a9c3e5d70"
RECEIVED_AT = 1_781_438_700_000_000
APP = "app_0123456789abcdef"


def taken(operation: Operation, decoded: Decoded, *, verified: bool = True) -> Taken:
    """The request as it is after it has been put on disk."""
    kept = entries.of(
        decoded,
        app=APP,
        receipt=RECEIPT,
        received_at=RECEIVED_AT,
        dialect=operation.dialect,
        verified=verified,
        key_prefix="sk_live_0123",
    )
    return Taken(kept)
