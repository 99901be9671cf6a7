"""One customer as a whole: who it is, what is known of it, its users, what it did, and whence we know."""

from __future__ import annotations

import msgspec

from tenure.churn_event import ChurnEvent
from tenure.control.keys import WHAT_TO_DO
from tenure.control.store import Store
from tenure.customers.activity import Activity, activity
from tenure.customers.as_of import received_by
from tenure.customers.attributes import Attribute, customer_attributes, name_of
from tenure.customers.billing import CustomerBilling, billing_of
from tenure.customers.churn_events import churn_events
from tenure.customers.customer import Customer
from tenure.customers.health import count, customer_health
from tenure.customers.use import uses
from tenure.customers.users import Users, users
from tenure.health.score import HealthInShort, in_short
from tenure.identity import CHURN_EVENT_ID
from tenure.warehouse.client import Tenant
from tenure.wire.times import rfc3339

SHOWN = 20
"""Users, churn events and receipts; their own routes have the others."""


class Received(msgspec.Struct):
    """A request that brought something of this customer; `elements` counts what of it, new or not."""

    receipt: str
    received_at: str
    dialect: str
    elements: int


class CustomerView(msgspec.Struct):
    """All that is known of a customer, in short. Times are RFC 3339 in UTC."""

    id: str | None
    """The strongest identifier, as `kind:value`; null for a churn event whose customer is unknown."""
    identifiers: list[str]
    """All, as `kind:value`, strongest first."""
    name: str | None
    health: HealthInShort
    activity: Activity
    billing: CustomerBilling | None
    """Null for one who has no subscription."""
    attributes: dict[str, Attribute]
    unverified: dict[str, Attribute]
    """What only unverified input says: never in force."""
    channels: list[Attribute]
    unverified_channels: list[Attribute]
    users: Users
    churn_events: list[ChurnEvent]
    receipts: list[Received]
    """The latest."""
    held_back: str | None
    """What to do where attributes, channels or events are held back as unverified; null where nothing is."""
    as_of: str | None
    """By what had been received by then; null: by all."""


_BESIDE = """
SELECT 'identify' FROM identify WHERE customer_key IN {keys:Array(FixedString(16))} LIMIT 1
UNION ALL
SELECT 'user' FROM fact WHERE customer_key IN {keys:Array(FixedString(16))} AND scope IN ('user', 'users') LIMIT 1
"""
_RECEIPTS = """
SELECT receipt, toUnixTimestamp64Milli(max(received_at)), any(dialect), uniqExact(kind, position)
FROM (
    SELECT receipt, received_at, dialect, 'event' AS kind, position FROM event FINAL
    WHERE customer_key IN {keys:Array(FixedString(16))} AND RECEIVED
    IDENTIFIED
)
GROUP BY receipt ORDER BY max(received_at) DESC, receipt DESC LIMIT {limit:UInt32}
"""
_IDENTIFIED = """
    UNION ALL
    SELECT receipt, received_at, dialect, 'identify', position FROM identify FINAL
    WHERE customer_key IN {keys:Array(FixedString(16))} AND RECEIVED
"""


def view(tenant: Tenant, store: Store, customer: Customer, as_of: int | None = None) -> CustomerView:
    """A customer as a whole, by what had been received by `as_of` (milliseconds since 1970 UTC).

    Days are counted back from `as_of`, or from now. Raises Unavailable.
    """
    known = customer_attributes(tenant, customer, limit=0, as_of=as_of)
    counts = count(tenant, store, customer, as_of)
    paid = billing_of(tenant, customer, store.billing.of(tenant.app), as_of)
    beside = {kind for (kind,) in tenant.rows(_BESIDE, {"keys": customer.keys})}
    has_users = counts.of_users or "user" in beside
    identifiers = [f"{one.kind}:{one.value}" for one in customer.identifiers if one.kind != CHURN_EVENT_ID]
    return CustomerView(
        id=next(iter(identifiers), None),
        identifiers=identifiers,
        name=name_of(known),
        health=in_short(customer_health(tenant, store, customer, counts, paid, as_of)),
        activity=activity(counts, uses(tenant, store, as_of)),
        billing=paid,
        attributes=known.attributes,
        unverified=known.unverified,
        channels=known.channels,
        unverified_channels=known.unverified_channels,
        users=users(tenant, customer, limit=SHOWN, as_of=as_of) if has_users else Users([], None),
        churn_events=churn_events(tenant, customer, limit=SHOWN, as_of=as_of) if counts.churn_events else [],
        receipts=_receipts(tenant, customer, as_of, identified="identify" in beside),
        held_back=WHAT_TO_DO if known.held_back or counts.total.verified < counts.total.events else None,
        as_of=None if as_of is None else rfc3339(as_of),
    )


def _receipts(tenant: Tenant, customer: Customer, as_of: int | None, *, identified: bool) -> list[Received]:
    received, parameters = received_by(as_of)
    parameters |= {"keys": customer.keys, "limit": SHOWN}
    sql = _RECEIPTS.replace("IDENTIFIED", _IDENTIFIED if identified else "").replace("RECEIVED", received)
    rows = tenant.rows(sql, parameters)
    return [Received(bytes(receipt).hex(), rfc3339(at), dialect, count) for receipt, at, dialect, count in rows]
