"""A customer's events, newest first."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import msgspec

from tenure.customers.as_of import received_by
from tenure.customers.customer import Customer
from tenure.errors import BadRequest
from tenure.warehouse.client import Tenant
from tenure.wire.times import rfc3339

MAX_LIMIT = 1_000


class Cursor(NamedTuple):
    """The last event of a page: the next page begins after it."""

    occurred_at: int
    event_id: bytes

    def text(self) -> str:
        """As it stands in a URL."""
        return (
            base64.urlsafe_b64encode(self.occurred_at.to_bytes(8, "big", signed=True) + self.event_id)
            .decode()
            .rstrip("=")
        )

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The inverse of `text`. Raises BadRequest."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != 24:
            raise BadRequest("cursor is not one that this API gave out", field="cursor", code="invalid_cursor")
        return cls(int.from_bytes(raw[:8], "big", signed=True), raw[8:])


class Item(msgspec.Struct):
    """One event on a timeline. Times are RFC 3339 in UTC."""

    event_id: str
    name: str
    occurred_at: str
    received_at: str
    properties: msgspec.Raw
    context: msgspec.Raw
    dialect: str
    verified: bool
    customer_id: str | None
    uid: str | None
    billing_id: str | None
    email: str | None
    anonymous_id: str | None
    user_id: str | None
    message_id: str | None
    receipt: str


class Page(msgspec.Struct):
    """One page of a timeline; `next` is the cursor of the page after it, None on the last."""

    items: list[Item]
    next: str | None


COLUMNS = """event_id, name, toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Micro(received_at), properties,
    context, dialect, verified, customer_id, uid, billing_id, email, anonymous_id, user_id, message_id, receipt"""
"""Of `event`, in the order of `item`."""


def timeline(
    tenant: Tenant,
    customer: Customer,
    *,
    limit: int = 100,
    cursor: str | None = None,
    name: str | None = None,
    since: int | None = None,
    until: int | None = None,
    as_of: int | None = None,
) -> Page:
    """A page of a customer's events, newest first, those with equal times by event id.

    `name` keeps one name only; `since` (inclusive) and `until` (exclusive) are milliseconds since 1970 UTC,
    and so is `as_of`, by which they had been received. Raises BadRequest (cursor) and Unavailable.
    """
    received, parameters = received_by(as_of)
    where = ["customer_key IN {keys:Array(FixedString(16))}", received]
    parameters |= {"keys": customer.keys, "limit": limit + 1}
    if cursor is not None:
        after = Cursor.parse(cursor)
        where.append("(occurred_at, event_id) < (fromUnixTimestamp64Milli({at:Int64}), {after:FixedString(16)})")
        where.append("occurred_at <= fromUnixTimestamp64Milli({at:Int64})")
        parameters |= {"at": after.occurred_at, "after": after.event_id}
    if name is not None:
        where.append("name = {name:String}")
        parameters["name"] = name
    if since is not None:
        where.append("occurred_at >= fromUnixTimestamp64Milli({since:Int64})")
        parameters["since"] = since
    if until is not None:
        where.append("occurred_at < fromUnixTimestamp64Milli({until:Int64})")
        parameters["until"] = until
    sql = (  # the parts of `where` are those above; every value is bound
        f"SELECT {COLUMNS} FROM event FINAL WHERE {' AND '.join(where)} "  # noqa: S608 - see above
        "ORDER BY event.occurred_at DESC, event_id DESC LIMIT {limit:UInt32}"
    )
    rows = tenant.rows(sql, parameters)
    items = [item(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(items, None)
    last = rows[limit - 1]
    return Page(items, Cursor(int(last[2]), bytes(last[0])).text())


def item(row: Any) -> Item:
    """An event from a row of `COLUMNS`."""
    (event_id, name, occurred_at, received_at, properties, context, dialect, verified, *known, receipt) = row
    customer_id, uid, billing_id, email, anonymous_id, user_id, message_id = (value or None for value in known)
    return Item(
        event_id=event_id.hex(),
        name=name,
        occurred_at=rfc3339(occurred_at),
        received_at=rfc3339(received_at // 1_000),
        properties=msgspec.Raw(properties.encode()),
        context=msgspec.Raw(context.encode()),
        dialect=dialect,
        verified=bool(verified),
        customer_id=customer_id,
        uid=uid,
        billing_id=billing_id,
        email=email,
        anonymous_id=anonymous_id,
        user_id=user_id,
        message_id=message_id,
        receipt=receipt.hex(),
    )
