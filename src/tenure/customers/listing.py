"""The list of customers: searched, filtered, sorted and paged, off one table that has a row for each (`customer`).

A row is replaced by a newer one with the same key, so the table is read with `FINAL`, which takes the newest of each.
The engine reads what sorts and filters of all rows, and the item as it is answered (`shown`) of the page's rows alone.
"""

from __future__ import annotations

import base64
import binascii
import struct
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from tenure.customers.conditions import Filter, conditions
from tenure.errors import BadRequest
from tenure.loader.profile import CustomerItem
from tenure.warehouse.client import Tenant

MAX_LIMIT = 1_000
LAST = 2**63 - 1
"""Beyond any value that is sorted by."""

SORTS = {
    "last_seen": ("toUnixTimestamp64Milli(last_seen)", "events = 0"),
    "first_seen": ("toUnixTimestamp64Milli(first_seen)", "events = 0"),
    "events": ("toInt64(events)", "events = 0"),
    "mrr": ("toInt64(least(mrr, 900000000000000) * 10000)", "mrr_currency = ''"),
    "renews_at": ("toUnixTimestamp64Milli(assumeNotNull(renews_at))", "isNull(renews_at)"),
    "paying_since": ("toInt64(assumeNotNull(paying_since))", "isNull(paying_since)"),
}
"""What a list can be sorted by, as an integer, and who always comes last; with a `-` before the name, the greatest come
first."""


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

_PAGE = """
SELECT customer, {value} AS value, shown FROM customer FINAL
WHERE {where} ORDER BY value {direction}, customer LIMIT {{limit:UInt32}}
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
    value, absent = SORTS[field]
    parts = {
        "value": f"if({absent}, {-LAST if descending else LAST}, {value})",
        "direction": "DESC" if descending else "ASC",
    }
    where, parameters = conditions(filters)
    asked = msgspec.msgpack.encode((tenant.app, sort, msgspec.structs.replace(filters, now=0)))
    question = blake2b(asked, digest_size=8, person=b"customers").digest()
    if cursor is not None:
        after = Cursor.parse(cursor, question)
        where.append(_beyond("value", "customer", "after", descending))
        parameters |= {"after": after.value, "after_customer": after.customer}
    sql = _PAGE.format(**parts, where=" AND ".join(["NOT deleted", *where]))
    rows = tenant.rows(sql, parameters | {"limit": limit + 1})
    items = [msgspec.json.decode(shown, type=CustomerItem) for _, _, shown in rows[:limit]]
    if len(rows) <= limit:
        return Customers(items, None)
    customer, value, _ = rows[limit - 1]
    return Customers(items, Cursor(question, value, bytes(customer)).text())


def _beyond(value: str, customer: str, bound: str, descending: bool) -> str:
    """The condition that a row comes after the one bound as `bound` and `bound`_customer."""
    sign = "<" if descending else ">"
    return (
        f"({value} {sign} {{{bound}:Int64}} OR ({value} = {{{bound}:Int64}} "
        f"AND {customer} > {{{bound}_customer:FixedString(16)}}))"
    )
