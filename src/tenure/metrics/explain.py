"""What is behind one number of MRR or churn: its subscriptions, a page at a time. Their amounts add up to it."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from clickhouse_connect.driver.external import ExternalData

from tenure.errors import BadRequest
from tenure.metrics.asked import DAY, Asked, Sql
from tenure.subscriptions.amount import exactly
from tenure.subscriptions.movements import KINDS
from tenure.warehouse.client import Tenant

MAX_LIMIT: Final = 1_000
OF_MRR: Final = ("opening", *KINDS, "closing")
OF_CHURN: Final = ("opening", "lost", "contracted", "expanded")

_EPOCH: Final = date(1970, 1, 1)
_FIRST_DAY: Final = (date(1900, 1, 1) - _EPOCH).days
_CURSOR: Final = struct.Struct(">8si16s16s")

_MOVEMENTS = """
SELECT day AS place, customer, sipHash128(source, subscription, plan) AS tie, source, subscription, plan, day AS at,
    kind AS how, before AS was, after AS is, amount AS number
FROM ({changes}) WHERE kind = {{of_kind:String}} AND day >= {{first:Date32}} AND {where}
"""
_MRR = """
SELECT toDate32(0) AS place, customer, sipHash128(source, subscription, plan) AS tie, source, subscription, plan,
    max(day) AS at, argMax(kind, day) AS how, argMax(before, day) AS was,
    argMax(after, day) AS is, is AS number
FROM ({changes}) WHERE {where} GROUP BY customer, source, subscription, plan HAVING is != 0
"""
_FIRST_CUSTOMERS = """
customer IN (
    SELECT customer FROM ({changes}) WHERE customer >= {{after_customer:FixedString(16)}}
    GROUP BY customer HAVING sum(amount) != 0 ORDER BY customer LIMIT {{room:UInt32}}
)
"""
_CHURN = """
SELECT toDate32(0) AS place, customer, sipHash128(source, subscription, plan) AS tie, source, subscription, plan,
    max(day) AS at, '' AS how,
    sumIf(amount, day < {{first:Date32}}) AS was, sum(amount) AS is, {number} AS number
FROM ({changes}) WHERE customer IN (
    SELECT customer FROM (
        SELECT customer, sumIf(amount, day < {{first:Date32}}) AS open, sum(amount) AS close, {main} AS main,
            toString(argMax(kind, day)) IN ('contraction', 'paused') AS held
        FROM ({changes}) GROUP BY customer
    ) WHERE open != 0 AND {category} AND {where} AND customer >= {{after_customer:FixedString(16)}}
    ORDER BY customer LIMIT {{room:UInt32}}
)
GROUP BY customer, source, subscription, plan HAVING {listed}
"""
_MAIN: Final = """
arraySort((plan, mrr) -> (-mrr, plan), mapKeys(sumMapIf(map(plan, amount), day < {first:Date32}) AS parts),
    mapValues(parts))[1]
"""
_CATEGORIES: Final = {
    "opening": ("true", "was", "was != 0"),
    "lost": ("close = 0 AND NOT held", "was - is", "was != is"),
    "contracted": ("close < open AND (close != 0 OR held)", "was - is", "was != is"),
    "expanded": ("close > open", "is - was", "was != is"),
}
"""Which customers, what a subscription adds to the number, and which subscriptions.

Of each such customer at least one is listed, so that as many customers as there is room for are enough for a page.
"""

_PAGE = """
SELECT * FROM ({rows})
WHERE (place, customer, tie)
    > ({{after_place:Date32}}, {{after_customer:FixedString(16)}}, {{after_tie:FixedString(16)}})
ORDER BY place, customer, tie LIMIT {{room:UInt32}}
"""
_IDS = """
SELECT customer, JSONExtractString(argMax(shown, version), 'id') FROM customer
WHERE customer IN (SELECT customer FROM asked) GROUP BY customer
"""


class Behind(msgspec.Struct):
    """A subscription, under one plan, behind a number. Amounts are exact decimals in units of the currency."""

    customer: str | None
    """As the list of customers gives it; null for the moment in which it is not on the list yet."""
    source: str
    subscription: str
    plan: str
    day: date
    """When it changed last."""
    kind: str | None
    """Of the movement; null in what explains churn."""
    before: str
    after: str
    """Its MRR, before and after: of a movement the change, of churn the period, of MRR the last change."""
    amount: str
    """What it adds to the number."""


class Explained(msgspec.Struct):
    """A page of what is behind a number; `next` is the cursor of the page after it, null on the last."""

    number: str
    """The number, exact: what all amounts add up to. The row has it rounded."""
    items: list[Behind]
    next: str | None


class Place(NamedTuple):
    """The last item of a page: the next page begins after it. `question` tells what was asked."""

    question: bytes
    place: int
    customer: bytes
    tie: bytes

    def text(self) -> str:
        """As it stands in a URL."""
        return base64.urlsafe_b64encode(_CURSOR.pack(*self)).decode()

    @classmethod
    def parse(cls, text: str, question: bytes) -> Place:
        """The inverse of `text`. Raises BadRequest, also for the cursor of another question."""
        try:
            found = cls(*_CURSOR.unpack(base64.b64decode(text, altchars=b"-_", validate=True)))
        except (binascii.Error, ValueError, struct.error):
            raise _bad_cursor("cursor is not one that this API gave out") from None
        if found.question != question:
            raise _bad_cursor("cursor belongs to another number; ask with the same parameters")
        return found


def of_mrr(asked: Asked, what: str) -> Sql:
    """What is behind the opening, the closing, or a kind of movements, of the one period that is asked about."""
    until = asked if what != "opening" else msgspec.structs.replace(asked, last=asked.first - DAY)
    changes = until.changes()
    if what in KINDS:
        text, where = _MOVEMENTS, "true"
    else:
        text, where = _MRR, _FIRST_CUSTOMERS.format(changes=changes.text)
    if asked.plan is not None:
        where = "plan = {of_plan:String}"
    return Sql(text.format(changes=changes.text, where=where),
               changes.parameters | {"of_kind": what, "of_plan": asked.plan or ""})  # fmt: skip


def of_churn(asked: Asked, what: str) -> Sql:
    """What is behind the opening MRR, or that of customers who were lost, contracted or expanded, of one period."""
    changes = asked.changes()
    category, number, listed = _CATEGORIES[what]
    main, where = ("''", "true") if asked.plan is None else (_MAIN, "main = {of_plan:String}")
    text = _CHURN.format(changes=changes.text, category=category, number=number, listed=listed, main=main, where=where)
    return Sql(text, changes.parameters | {"of_plan": asked.plan or ""})


def explain(
    tenant: Tenant, asked: Asked, what: str, rows: Sql, number: Fraction, *, limit: int, cursor: str | None
) -> Explained:
    """A page of the rows behind a number. Raises BadRequest (cursor) and Unavailable."""
    segment = asked.segment and asked.segment.question
    told = what, rows.text, msgspec.structs.replace(asked, segment=segment)
    found, after = page(tenant, rows, told, limit=limit, cursor=cursor)
    ids = customer_ids(tenant, {bytes(row[1]) for row in found})
    items = [_behind(row, ids.get(bytes(row[1])), asked.currency or "") for row in found]
    return Explained(exactly(number, asked.currency or ""), items, after)


def page(
    tenant: Tenant, rows: Sql, told: object, *, limit: int, cursor: str | None
) -> tuple[Sequence[Sequence[Any]], str | None]:
    """A page of rows that begin with a day (`place`), a `customer` and a `tie`, in this order; the cursor of the next.

    `told` is the question, which a cursor belongs to. Raises BadRequest (cursor) and Unavailable.
    """
    question = blake2b(msgspec.json.encode((tenant.app, told)), digest_size=8, person=b"explain").digest()
    after = Place(question, _FIRST_DAY, bytes(16), bytes(16)) if cursor is None else Place.parse(cursor, question)
    parameters = rows.parameters | {
        "room": limit + 1,
        "after_place": _EPOCH + timedelta(days=after.place),
        "after_customer": after.customer,
        "after_tie": after.tie,
    }
    found = tenant.rows(_PAGE.format(rows=rows.text), parameters)
    if len(found) <= limit:
        return found, None
    place, customer, tie = found[limit - 1][:3]
    return found[:limit], Place(question, (place - _EPOCH).days, bytes(customer), bytes(tie)).text()


def customer_ids(tenant: Tenant, customers: set[bytes]) -> dict[bytes, str]:
    """What the list of customers calls them. Raises Unavailable."""
    sent = ExternalData(
        file_name="asked", data=b"".join(customers), fmt="RowBinary", structure="customer FixedString(16)"
    )
    return {bytes(customer): found for customer, found in tenant.rows(_IDS, external=sent)} if customers else {}


def _behind(row: Any, customer: str | None, currency: str) -> Behind:
    source, subscription, plan, day, kind, *amounts = row[3:]
    before, after, amount = (exactly(Fraction(each), currency) for each in amounts)
    return Behind(customer, source, subscription, plan, day, kind or None, before, after, amount)


def _bad_cursor(message: str) -> BadRequest:
    return BadRequest(message, field="cursor", code="invalid_cursor")
