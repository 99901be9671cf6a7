"""As known on a date: what had been received by then."""

from __future__ import annotations

from typing import Any


def received_by(as_of: int | None) -> tuple[str, dict[str, Any]]:
    """A condition on `received_at` and its parameters: all that was received by the end of the
    millisecond `as_of` (since 1970 UTC); None: all."""
    if as_of is None:
        return "true", {}
    return "received_at < fromUnixTimestamp64Milli({received_before:Int64})", {"received_before": as_of + 1}
