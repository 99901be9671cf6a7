"""Churn events: one by its id, or all of a customer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tenure import churn_event
from tenure.churn_event import ChurnEvent, Report, churn_event_id, is_churn_event_id
from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.customers.freshness import wait_until_loaded
from tenure.errors import NotFound, Unavailable
from tenure.identity import CHURN_EVENT_ID, Identifier, identity_key
from tenure.warehouse.client import Tenant
from tenure.wire.times import rfc3339

MAX_CHURN_EVENTS = 1_000
"""Of one customer, the latest."""
PATIENCE_SECONDS = 5.0
"""How long a question for one churn event waits for what was acknowledged before it."""

_COLUMNS = "event_id, email, customer_id, properties, toUnixTimestamp64Milli(received_at), verified"
_IS_OPENING = "dialect = {dialect:String} AND name IN {opening:Array(String)}"
_BY_ID = f"""
SELECT {_COLUMNS} FROM event FINAL
WHERE (customer_key, occurred_at) IN (
    SELECT customer_key, occurred_at FROM first_copy
    WHERE event_id >= {{first:FixedString(16)}} AND event_id <= {{last:FixedString(16)}})
AND event_id >= {{first:FixedString(16)}} AND event_id <= {{last:FixedString(16)}} AND {_IS_OPENING}
"""  # noqa: S608 - the parts are those above; every value is bound
_OF_CUSTOMER = f"""
SELECT {_COLUMNS} FROM event FINAL WHERE customer_key IN {{keys:Array(FixedString(16))}} AND {_IS_OPENING} AND RECEIVED
ORDER BY event.occurred_at DESC, event_id DESC LIMIT {{limit:UInt32}}
"""  # noqa: S608 - as above
_REPORTS = """
SELECT properties, toUnixTimestamp64Milli(received_at) FROM event FINAL
WHERE customer_key IN {keys:Array(FixedString(16))} AND dialect = {dialect:String} AND name = {name:String}
AND RECEIVED ORDER BY precedence DESC
"""
# What a client sent again has an id of its own, which it was told: it stands for the one that is stored.
_RETRIED = """
SELECT displaced_by FROM first_copy FINAL WHERE event_id >= {first:FixedString(16)}
    AND event_id <= {last:FixedString(16)} AND displaced_by != toFixedString('', 16)
"""
_RETRIES = """
SELECT event_id, displaced_by FROM first_copy FINAL WHERE displaced_by IN {ids:Array(FixedString(16))}
    AND event_id IN (SELECT event_id FROM retry_copy WHERE retry_key IN (
        SELECT toFixedString(concat(content, unhex('0000000000000000')), 16) FROM first_copy
        WHERE event_id IN {ids:Array(FixedString(16))}))
"""
_OPENING = {"dialect": churn_event.DIALECT, "opening": sorted(churn_event.OPENING)}


def find_churn_event(tenant: Tenant, journals: Path, text: str) -> ChurnEvent:
    """The churn event with this id, with all that was acknowledged before the question.

    Raises NotFound, and Unavailable when it may still be on its way into the warehouse.
    """
    if not is_churn_event_id(tenant.app, text):
        raise _unknown()
    fresh = wait_until_loaded(journals, PATIENCE_SECONDS)
    start = bytes.fromhex(text)[: churn_event.ID_BYTES]
    bounds = _bounds(start)
    for (of,) in tenant.rows(_RETRIED, bounds):
        bounds = _bounds(bytes(of))
    found = _with_reports(tenant, tenant.rows(_BY_ID, _OPENING | bounds))
    if found:
        return msgspec.structs.replace(found[0], id=text)
    if not fresh:
        raise Unavailable("what was sent last is not in the warehouse yet", code="not_loaded_yet", retry_after=2)
    raise _unknown()


def churn_events(
    tenant: Tenant, customer: Customer, *, limit: int = MAX_CHURN_EVENTS, as_of: int | None = None
) -> list[ChurnEvent]:
    """A customer's churn events, newest first, by what had been received by `as_of` (milliseconds since 1970 UTC).

    Raises Unavailable.
    """
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "limit": limit}
    return _with_reports(tenant, tenant.rows(_OF_CUSTOMER.replace("RECEIVED", received), _OPENING | parameters), as_of)


def _bounds(event_id: bytes) -> dict[str, bytes]:
    """Between which ids that of the event is, of which the beginning is known."""
    start = event_id[: churn_event.ID_BYTES]
    return {"first": start.ljust(16, b"\x00"), "last": start.ljust(16, b"\xff")}


def _with_reports(tenant: Tenant, rows: Sequence[Sequence[Any]], as_of: int | None = None) -> list[ChurnEvent]:
    received, parameters = received_by(as_of)
    ids = [churn_event_id(tenant.app, bytes(row[0])) for row in rows]
    reports: dict[str, list[Report]] = {found: [] for found in ids}
    stands = {found: found for found in ids}
    retries = tenant.rows(_RETRIES, {"ids": [bytes(row[0]) for row in rows]}) if rows else []
    stands |= {churn_event_id(tenant.app, bytes(own)): churn_event_id(tenant.app, bytes(of)) for own, of in retries}
    keys = [identity_key(tenant.app, Identifier(CHURN_EVENT_ID, found)) for found in stands]
    parameters |= {"keys": keys, "dialect": churn_event.DIALECT, "name": churn_event.REASON_REPORTED}
    for properties, received_at in tenant.rows(_REPORTS.replace("RECEIVED", received), parameters) if ids else ():
        said = msgspec.json.decode(properties)
        reports[stands[said["churn_event_id"]]].append(Report(said, rfc3339(received_at)))
    return [_churn_event(found, row, reports[found]) for found, row in zip(ids, rows, strict=True)]


def _churn_event(found: str, row: Sequence[Any], reports: list[Report]) -> ChurnEvent:
    _, email, customer_id, properties, received_at, verified = row
    known = {
        "id": found,
        "customer_email": email,
        "provider_customer_id": customer_id or None,
        "created_at": rfc3339(received_at),
        "verified": bool(verified),
    }
    return churn_event.churn_event(known, msgspec.json.decode(properties), reports)


def _unknown() -> NotFound:
    return NotFound("this app has no churn event with that id", code="unknown_churn_event")
