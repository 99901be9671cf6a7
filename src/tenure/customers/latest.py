"""The last thing that an app received: what a person who has just sent an event waits to see."""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple

from tenure.receipt import is_receipt
from tenure.warehouse.client import Tenant
from tenure.wire.times import rfc3339

LOOK_BACK_MS: Final = 3_600_000
"""How old it is at the most."""

_LAST = """
SELECT receipt, kind, outcome, dialect, event_id, part, toUnixTimestamp64Milli(received_at)
FROM arrival WHERE receipt > {after:FixedString(16)} AND outcome != 'erased'
ORDER BY receipt DESC, kind, position LIMIT 1
"""
_EVENT = """
SELECT name, verified, customer_id, uid, email, anonymous_id FROM event
WHERE (customer_key, occurred_at, event_id) IN (
    SELECT customer_key, occurred_at, event_id FROM first_copy WHERE event_id = {event_id:FixedString(16)}
        OR event_id IN (SELECT displaced_by FROM first_copy WHERE event_id = {event_id:FixedString(16)}))
ORDER BY precedence DESC LIMIT 1
"""
_REFUSAL = """
SELECT message, field FROM quarantine FINAL
WHERE received_at >= fromUnixTimestamp64Milli({at:Int64})
    AND receipt = {receipt:FixedString(16)} AND part = {part:UInt16}
LIMIT 1
"""


class Latest(NamedTuple):
    """A request that arrived, by its first element. Of an event its name and customer; of a refusal why."""

    receipt: str
    kind: str
    """event, identify or refusal."""
    dialect: str
    received_at: str
    name: str | None = None
    verified: bool = False
    customer: str | None = None
    message: str | None = None
    field: str | None = None


def latest(tenant: Tenant, seen: str = "") -> Latest | None:
    """The last request of the last hour that has been loaded, which takes about a second; None when there is none
    after the one whose receipt was `seen` already. Raises Unavailable."""
    after = _first_receipt(int(time.time() * 1_000) - LOOK_BACK_MS)
    if is_receipt(seen):
        after = max(after, bytes.fromhex(seen))
    rows = tenant.rows(_LAST, {"after": after})
    if not rows:
        return None
    receipt, kind, _, dialect, event_id, part, at = rows[0]
    found = Latest(receipt.hex(), kind, dialect, rfc3339(at))
    if kind == "event":
        return found._replace(**_event(tenant, event_id))
    if kind == "refusal":
        return found._replace(**_refusal(tenant, receipt, part, at))
    return found


def _first_receipt(ms: int) -> bytes:
    """No receipt of this time or later is smaller: they begin with the time (UUIDv7)."""
    return ms.to_bytes(6, "big") + bytes(10)


def _event(tenant: Tenant, event_id: bytes) -> dict[str, Any]:
    rows = tenant.rows(_EVENT, {"event_id": event_id})
    if not rows:
        return {}
    name, verified, *identifiers = rows[0]
    return {"name": name, "verified": verified, "customer": next(filter(None, identifiers), None)}


def _refusal(tenant: Tenant, receipt: bytes, part: int, at: int) -> dict[str, Any]:
    rows = tenant.rows(_REFUSAL, {"receipt": receipt, "part": part, "at": at})
    return dict(zip(("message", "field"), rows[0], strict=True)) if rows else {}
