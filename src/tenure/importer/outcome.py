"""What the warehouse has made of an import."""

from __future__ import annotations

import time

from tenure.delivery import Delivery
from tenure.errors import Unavailable
from tenure.importer.state import State
from tenure.settings import Settings
from tenure.warehouse.client import Tenant, Warehouse

ATTEMPTS = 60
RETRY_SECONDS = 0.5

_STORED = """
SELECT count() FROM first_copy FINAL
WHERE receipt >= {first:FixedString(16)} AND receipt <= {last:FixedString(16)}
    AND event_id >= {from:FixedString(16)} AND event_id <= {through:FixedString(16)}
"""
_SLICES = [(bytes([start]) + bytes(15), bytes([start + 15]) + b"\xff" * 15) for start in range(0, 256, 16)]
"""Ranges of event ids, so that no question reads more than a sixteenth of the table."""


def stored(settings: Settings, app: str, state: State, delivery: Delivery) -> int:
    """How many events of an import, all loaded, were the first copy of theirs. The others were there already.

    Raises Unavailable when the warehouse stays away.
    """
    if not state.counts.entries:
        return 0
    for attempt in range(1, ATTEMPTS + 1):
        delivery.tend()
        try:
            return _stored(Warehouse(settings).tenant(app), state)
        except Unavailable:  # the engine, or the server that had it, may have stopped this very moment
            if attempt == ATTEMPTS:
                raise
        time.sleep(RETRY_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def _stored(tenant: Tenant, state: State) -> int:
    receipts = {
        "first": bytes.fromhex(state.receipt(0)),
        "last": bytes.fromhex(state.receipt(state.counts.entries - 1)),
    }
    return sum(tenant.rows(_STORED, {**receipts, "from": start, "through": end})[0][0] for start, end in _SLICES)
