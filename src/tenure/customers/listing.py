"""The list of customers: searched, filtered, sorted and paged, off one table that has a row for each (`customer`).

A row is replaced by a newer one with the same key, and to merge away what was replaced when reading (FINAL) costs
more than all the rest. So a page is found in two steps: the first rows in order, among which are replaced ones; then of
just those customers the rows in force, asked the same question again. Whoever belongs on the page is among the first,
since their row in force is one of the rows.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from clickhouse_connect.driver.external import ExternalData

from tenure.customers.conditions import Filter, conditions
from tenure.errors import BadRequest
from tenure.warehouse.client import Tenant
from tenure.wire.times import EARLIEST, LATEST, rfc3339

MAX_LIMIT = 1_000
SHOWN_IDENTIFIERS = 20
SPARE = 50
"""The first step has room for twice the page and so many more, of which replaced rows may take a part."""

SORTS = {
    "last_seen": "toUnixTimestamp64Milli(last_seen)",
    "first_seen": "toUnixTimestamp64Milli(first_seen)",
    "events": "toInt64(events)",
}
"""What a list can be sorted by; with a `-` before it, the greatest come first."""


class CustomerItem(msgspec.Struct):
    """One customer on the list. Times are RFC 3339 in UTC, null for one who has no event."""

    id: str
    """The strongest identifier, as `kind:value`: what the other questions about a customer take."""
    identifiers: list[str]
    """All that are known, as `kind:value`, strongest first; the first 20."""
    identifier_count: int
    name: str | None
    events: int
    verified_events: int
    first_seen: str | None
    last_seen: str | None
    last_event: str | None


class Customers(msgspec.Struct):
    """One page of customers; `next` is the cursor of the page after it, None on the last."""

    items: list[CustomerItem]
    next: str | None


class Cursor(NamedTuple):
    """The last customer of a page: the next page begins after it. `question` tells what was asked."""

    question: bytes
    value: int
    customer: bytes

    def text(self) -> str:
        """As it stands in a URL."""
        raw = _CURSOR.pack(*self)
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, question: bytes) -> Cursor:
        """The inverse of `text`. Raises BadRequest, also for the cursor of another question."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            found = cls(*_CURSOR.unpack(raw))
        except (binascii.Error, ValueError, struct.error):
            raise BadRequest(
                "cursor is not one that this API gave out", field="cursor", code="invalid_cursor"
            ) from None
        if found.question != question:
            raise BadRequest(
                "cursor belongs to another list; ask with the same filters and sort", field="cursor",
                code="invalid_cursor",
            )  # fmt: skip
        return found


_CURSOR = struct.Struct(">8sq16s")

_FIRST = """
SELECT customer, {value} AS value FROM customer
WHERE {where} ORDER BY value {direction}, customer LIMIT {{room:UInt32}}
"""
_IN_FORCE = """
SELECT customer, {value} AS value, arraySlice(kinds, 1, {{shown:UInt32}}), arraySlice(identifiers, 1, {{shown:UInt32}}),
    length(identifiers), name, events, verified, toUnixTimestamp64Milli(first_seen), toUnixTimestamp64Milli(last_seen),
    last_event
FROM (
    SELECT * FROM customer PREWHERE customer IN (SELECT customer FROM candidate)
    ORDER BY version DESC LIMIT 1 BY customer
)
WHERE NOT deleted AND {where} ORDER BY value {direction}, customer
LIMIT {{room:UInt32}}
"""


def customers(
    tenant: Tenant,
    filters: Filter,
    *,
    sort: str = "-last_seen",
    limit: int = 100,
    cursor: str | None = None,
) -> Customers:
    """A page of the app's customers; those with equal values by their keys, those without an event last.

    Raises BadRequest (sort, cursor, filters) and Unavailable.
    """
    field, descending = sort.removeprefix("-"), sort.startswith("-")
    if field not in SORTS:
        raise BadRequest(
            f"sort must be one of {', '.join(SORTS)}, with a `-` before it for the greatest first", field="sort",
            code="invalid_parameter",
        )  # fmt: skip
    last = EARLIEST - 1 if descending else LATEST + 1
    parts = {
        "value": f"if(events = 0, {last}, {SORTS[field]})",
        "direction": "DESC" if descending else "ASC",
    }
    where, parameters = conditions(filters)
    asked = msgspec.msgpack.encode((tenant.app, sort, msgspec.structs.replace(filters, now=0)))
    question = blake2b(asked, digest_size=8, person=b"customers").digest()
    if cursor is not None:
        after = Cursor.parse(cursor, question)
        where.append(_beyond("value", "customer", "after", descending))
        parameters |= {"after": after.value, "after_customer": after.customer}
    rows = _page(tenant, parts, where, parameters, limit + 1)
    items = [_item(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return Customers(items, None)
    return Customers(items, Cursor(question, rows[limit - 1][1], bytes(rows[limit - 1][0])).text())


def _page(
    tenant: Tenant, parts: dict[str, str], where: list[str], parameters: dict[str, Any], wanted: int
) -> Sequence[Sequence[Any]]:
    """The first `wanted` rows in force."""
    room = 2 * wanted + SPARE
    while True:
        first = tenant.rows(
            _FIRST.format(**parts, where=" AND ".join(["NOT deleted", *where])), parameters | {"room": room}
        )
        if not first:
            return []
        all_there = len(first) < room
        until = [] if all_there else [f"NOT {_beyond('value', 'customer', 'until', parts['direction'] == 'DESC')}"]
        sent = {bytes(row[0]) for row in first}
        rows = tenant.rows(
            _IN_FORCE.format(**parts, where=" AND ".join([*where, *until]) or "1"),
            parameters | {"room": wanted, "shown": SHOWN_IDENTIFIERS, "until": first[-1][1],
                          "until_customer": bytes(first[-1][0])},
            external=ExternalData(
                file_name="candidate", data=b"".join(sent), fmt="RowBinary", structure="customer FixedString(16)"
            ),
        )  # fmt: skip
        if len(rows) >= wanted or all_there:
            return rows
        room *= 8


def _beyond(value: str, customer: str, bound: str, descending: bool) -> str:
    """The condition that a row comes after the one bound as `bound` and `bound`_customer."""
    sign = "<" if descending else ">"
    return (
        f"({value} {sign} {{{bound}:Int64}} OR ({value} = {{{bound}:Int64}} "
        f"AND {customer} > {{{bound}_customer:FixedString(16)}}))"
    )


def _item(row: Sequence[Any]) -> CustomerItem:
    _, _, kinds, values, count, name, events, verified, first_seen, last_seen, last_event = row
    known = [f"{kind}:{value}" for kind, value in zip(kinds, values, strict=True)]
    return CustomerItem(
        id=known[0] if known else "",
        identifiers=known,
        identifier_count=count,
        name=name or None,
        events=events,
        verified_events=verified,
        first_seen=rfc3339(first_seen) if events else None,
        last_seen=rfc3339(last_seen) if events else None,
        last_event=last_event or None,
    )
