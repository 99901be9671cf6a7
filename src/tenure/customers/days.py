"""How many events a customer has on each day."""

from __future__ import annotations

from datetime import date

from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.warehouse.client import Tenant

_SQL = """
SELECT toDate32(occurred_at, {zone:String}) AS day, count() FROM event FINAL
WHERE customer_key IN {keys:Array(FixedString(16))} AND RECEIVED
    AND occurred_at >= fromUnixTimestamp64Milli({since:Int64}) AND occurred_at < fromUnixTimestamp64Milli({until:Int64})
GROUP BY day
"""
_NAMES = """
SELECT name FROM seen WHERE customer_key IN {keys:Array(FixedString(16))} AND name != ''
GROUP BY name ORDER BY sum(events) DESC, name LIMIT {limit:UInt32}
"""
MAX_NAMES = 200


def events_by_day(  # noqa: PLR0917 - whose, when, and how days are told
    tenant: Tenant, customer: Customer, since: int, until: int, zone: str, as_of: int | None = None
) -> dict[date, int]:
    """Events in [since, until), milliseconds since 1970 UTC, by the day in a time zone; days without any are left out.

    By what had been received by `as_of` (milliseconds). Raises Unavailable.
    """
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "since": since, "until": until, "zone": zone}
    return {day: int(count) for day, count in tenant.rows(_SQL.replace("RECEIVED", received), parameters)}


def names_of(tenant: Tenant, customer: Customer) -> list[str]:
    """The names of a customer's events, the most frequent first, 200 at the most. Raises Unavailable."""
    return [str(name) for (name,) in tenant.rows(_NAMES, {"keys": customer.keys, "limit": MAX_NAMES})]
