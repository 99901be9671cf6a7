"""The list of customers: searched, filtered, sorted and paged, off one table that has a row for each (`customer`).

A row is replaced by a newer one with the same key, and to merge away what was replaced when reading (FINAL) costs
more than all the rest. So a page is found in two steps: the first rows in order, among which are replaced ones; then of
just those customers the newest version. Whoever belongs on the page is among the first, since their row in force is one
of the rows. The second step looks at no row that was written after the first: else one who was written anew, the same,
in between would be lost.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice, takewhile
from typing import Any, NamedTuple

import msgspec
from clickhouse_connect.driver.external import ExternalData

from tenure.customers.conditions import Filter, conditions
from tenure.errors import BadRequest
from tenure.loader.profile import CustomerItem
from tenure.warehouse.client import Tenant

MAX_LIMIT = 1_000
LAST = 2**63 - 1
"""Beyond any value that is sorted by."""
SPARE, ROWS_EACH = 25, 4
"""The first step looks for so many customers more than the page has, and for so many rows of each, in force or not."""

SORTS = {
    "last_seen": ("toUnixTimestamp64Milli(last_seen)", "events = 0"),
    "first_seen": ("toUnixTimestamp64Milli(first_seen)", "events = 0"),
    "events": ("toInt64(events)", "events = 0"),
    "mrr": ("toInt64(least(mrr * 10000, 9000000000000000000))", "mrr_currency = ''"),
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

_FIRST = """
SELECT customer, {value} AS value, version, (SELECT max(version) FROM customer) FROM customer
WHERE {where} ORDER BY value {direction}, customer LIMIT {{room:UInt32}}
"""
_NEWEST = """
SELECT customer, version, shown FROM customer
WHERE customer IN (SELECT customer FROM candidate) AND version <= {until:UInt64}
ORDER BY version DESC LIMIT 1 BY customer SETTINGS max_threads = 1
"""


class Row(NamedTuple):
    """A customer in force, with the value that is sorted by and the item as JSON."""

    customer: bytes
    value: int
    shown: str


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
    rows = _page(tenant, _FIRST.format(**parts, where=" AND ".join(["NOT deleted", *where])), parameters, limit + 1)
    items = [msgspec.json.decode(row.shown, type=CustomerItem) for row in rows[:limit]]
    if len(rows) <= limit:
        return Customers(items, None)
    return Customers(items, Cursor(question, rows[limit - 1].value, rows[limit - 1].customer).text())


def _page(tenant: Tenant, sql: str, parameters: dict[str, Any], wanted: int) -> list[Row]:
    """The first `wanted` rows in force."""
    count = wanted + SPARE
    while True:
        room = count * ROWS_EACH
        first = [(bytes(customer), *row) for customer, *row in tenant.rows(sql, parameters | {"room": room})]
        if not first:
            return []
        known = dict.fromkeys(islice(dict.fromkeys(row[0] for row in first), count))
        newest = _newest(tenant, known, first[0][3])
        looked_at = list(takewhile(lambda row: row[0] in known, first))  # noqa: B023 - used up at once
        rows = [
            Row(customer, value, newest[customer][1])
            for customer, value, version, _ in looked_at
            if newest.get(customer, (None,))[0] == version
        ]
        if len(rows) >= wanted or len(looked_at) == len(first) < room:
            return rows[:wanted]
        count *= 8


def _newest(tenant: Tenant, customers: Iterable[bytes], until: int) -> dict[bytes, tuple[int, str]]:
    """(version, item) of the newest row of each customer, up to that version."""
    sent = ExternalData(
        file_name="candidate", data=b"".join(customers), fmt="RowBinary", structure="customer FixedString(16)"
    )
    rows = tenant.rows(_NEWEST, {"until": until}, external=sent)
    return {bytes(customer): (version, shown) for customer, version, shown in rows}


def _beyond(value: str, customer: str, bound: str, descending: bool) -> str:
    """The condition that a row comes after the one bound as `bound` and `bound`_customer."""
    sign = "<" if descending else ">"
    return (
        f"({value} {sign} {{{bound}:Int64}} OR ({value} = {{{bound}:Int64}} "
        f"AND {customer} > {{{bound}_customer:FixedString(16)}}))"
    )
