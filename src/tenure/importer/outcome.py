"""What the warehouse has made of an import."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from tenure.delivery import Delivery
from tenure.errors import Unavailable
from tenure.importer.state import State
from tenure.mode import MODES, app_of
from tenure.settings import Settings
from tenure.warehouse.client import Tenant, Warehouse

ATTEMPTS = 60
RETRY_SECONDS = 0.5
EXAMPLES = 5
"""Conflicts that are shown."""

_STORED = """
SELECT count() FROM first_copy FINAL
WHERE receipt >= {first:FixedString(16)} AND receipt <= {last:FixedString(16)}
    AND event_id >= {from:FixedString(16)} AND event_id <= {through:FixedString(16)}
"""
_CONFLICTS = """
SELECT came.receipt, came.position, there.receipt, there.position, count() OVER () FROM (
    SELECT event_id, receipt, position, content FROM arrival
    WHERE receipt >= {first:FixedString(16)} AND receipt <= {last:FixedString(16)} AND kind = 'event'
        AND outcome = 'accepted' AND event_id >= {from:FixedString(16)} AND event_id <= {through:FixedString(16)}
) AS came INNER JOIN (
    SELECT event_id, receipt, position, content FROM first_copy FINAL
    WHERE event_id >= {from:FixedString(16)} AND event_id <= {through:FixedString(16)}
        AND (receipt, event_id) IN (
            SELECT receipt, event_id FROM arrival WHERE dialect = 'import' AND kind = 'event'
                AND event_id >= {from:FixedString(16)} AND event_id <= {through:FixedString(16)})
) AS there ON there.event_id = came.event_id
WHERE came.content != there.content
ORDER BY came.receipt, came.position LIMIT {examples:UInt8}
"""
"""Only what an import brought before is compared: what clients sent is written in another way."""
_SLICES = [(bytes([start]) + bytes(15), bytes([start + 15]) + b"\xff" * 15) for start in range(0, 256, 16)]
"""Ranges of event ids, so that no question reads more than a sixteenth of the table."""


class Outcome(NamedTuple):
    """What became of the events of an import."""

    stored: int
    """They were the first copy of theirs."""
    conflicts: list[Conflict]
    """The first of those that say something else than the event that was there under their message id."""
    conflicting: int
    """How many there are."""


class Conflict(NamedTuple):
    """An event that was not stored: an import brought another one under its message id before."""

    receipt: str
    position: int
    first_receipt: str
    """Of the event that is stored."""
    first_position: int


def outcome(settings: Settings, app: str, state: State, delivery: Delivery) -> Outcome:
    """What became of the events of an import, all of them loaded. Raises Unavailable when the warehouse stays away."""
    if not state.counts.entries:
        return Outcome(0, [], 0)
    for attempt in range(1, ATTEMPTS + 1):
        delivery.tend()
        try:
            warehouse = Warehouse(settings)
            return _outcome([warehouse.tenant(app_of(app, mode)) for mode in MODES], state)
        except Unavailable:  # the engine, or the server that had it, may have stopped this very moment
            if attempt == ATTEMPTS:
                raise
        time.sleep(RETRY_SECONDS)
    raise AssertionError("the last attempt returns or raises")


def _outcome(tenants: Sequence[Tenant], state: State) -> Outcome:
    receipts = {
        "first": bytes.fromhex(state.receipt(0)),
        "last": bytes.fromhex(state.receipt(state.counts.entries - 1)),
    }
    slices = [{**receipts, "from": start, "through": end} for start, end in _SLICES]
    questions = [(tenant, parameters) for tenant in tenants for parameters in slices]
    stored = sum(tenant.rows(_STORED, parameters)[0][0] for tenant, parameters in questions)
    if stored == state.counts.events:
        return Outcome(stored, [], 0)
    found: list[Conflict] = []
    conflicting = 0
    for tenant, parameters in questions:
        rows = tenant.rows(_CONFLICTS, {**parameters, "examples": EXAMPLES})
        found += [Conflict(row[0].hex(), row[1], row[2].hex(), row[3]) for row in rows]
        conflicting += rows[0][4] if rows else 0
    return Outcome(stored, sorted(found)[:EXAMPLES], conflicting)
