"""The list of customers: searched, filtered, sorted and paged, off one table that has a row for each (`customer`).

A row is replaced by a newer one with the same key, so the table is read with `FINAL`, which takes the newest of each.
The engine reads what sorts and filters of all rows, and the item as it is answered (`shown`) of the page's rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from tenure.customers.conditions import LAST_USED, Filter, conditions
from tenure.customers.exact import decimal, folded, remainder
from tenure.customers.list_cursor import Cursor
from tenure.errors import BadRequest
from tenure.loader.profile import CustomerItem, moment
from tenure.warehouse.client import Tenant
from tenure.wire.times import EARLIEST, LATEST

MAX_LIMIT = 1_000
MAX_COLUMNS = 10
"""Attributes that are shown in one question."""


class Sort(NamedTuple):
    """What a list is sorted by, and who always comes last: then the value is that of `default`."""

    value: str
    absent: str
    type: str = "Int64"
    default: str = "0"


SORTS = {
    "last_seen": Sort("toUnixTimestamp64Milli(last_seen)", f"toUnixTimestamp64Milli(last_seen) <= {EARLIEST}"),
    "last_used": Sort(LAST_USED, f"{LAST_USED} <= {EARLIEST}"),
    "last_received": Sort(
        "toUnixTimestamp64Milli(last_received)", f"toUnixTimestamp64Milli(last_received) <= {EARLIEST}"
    ),
    "first_seen": Sort("toUnixTimestamp64Milli(first_seen)", f"toUnixTimestamp64Milli(first_seen) >= {LATEST}"),
    "events": Sort("toInt64(events)", "events = 0"),
    "mrr": Sort("mrr", "mrr_currency = ''", "Decimal(38, 10)", "toDecimal128(0, 10)"),
    "renews_at": Sort("toUnixTimestamp64Milli(assumeNotNull(renews_at))", "isNull(renews_at)"),
    "paying_since": Sort("toInt64(assumeNotNull(paying_since))", "isNull(paying_since)"),
    "health": Sort("toInt64(assumeNotNull(score))", "isNull(score)"),
    "name": Sort(
        "leftUTF8(if(name_search = '', search[1], name_search), 64)", "empty(search) AND name_search = ''",
        "String", "''",
    ),
    "plan": Sort("leftUTF8(toString(plans[1]), 64)", "empty(plans)", "String", "''"),
    "status": Sort("toString(billing_status)", "billing_status = ''", "String", "''"),
}  # fmt: skip
"""What a list can be sorted by; with a `-` before the name, the greatest come first."""
ATTRIBUTE = "attribute:"
"""A sort that begins so is by the attribute of that name: numbers, then texts."""

_MINE = "attribute_values[indexOf(attribute_names, {sorted_by:String})]"
_NO_DECIMAL = "toDecimal256(0, 18)"
_OF_ATTRIBUTE = Sort(
    f"(isNull({decimal(_MINE)} AS number)::Bool, ifNull(number, {_NO_DECIMAL}), ifNull({remainder(_MINE)}, 0.), "
    f"if(isNull(number), leftUTF8({folded(f'JSONExtractString({_MINE})')}, 64), ''))",
    "indexOf(attribute_names, {sorted_by:String}) = 0", "Tuple(Bool, Decimal(76, 18), Float64, String)",
    f"(false, {_NO_DECIMAL}, 0., '')",
)  # fmt: skip
_KINDS = {"Int64": int, "String": str, "Decimal(38, 10)": Decimal, _OF_ATTRIBUTE.type: tuple}
"""What a cursor holds for each type of value."""


class Customers(msgspec.Struct):
    """One page of customers; `next` is the cursor of the page after it, None on the last."""

    items: list[CustomerItem]
    next: str | None


_PAGE = """
SELECT customer, {absent} AS absent, if(absent, {default}, {value}) AS value, {shown} FROM customer FINAL
WHERE {where} ORDER BY absent, value {direction}, customer LIMIT {{limit:UInt32}}
"""
_WITH_FEW_THREADS = """
SETTINGS merge_tree_min_rows_for_concurrent_read = 16384, merge_tree_min_bytes_for_concurrent_read = 0,
    split_intersecting_parts_ranges_into_layers_final = 0
"""
# A second thread filters; sharing out what `FINAL` merges as well would cost two threads more than it saves them.
_ALL = "SELECT {shown} FROM customer FINAL WHERE {where} SETTINGS max_threads = 1"
_COUNT = "SELECT count() FROM customer FINAL WHERE {where}"


def customers(
    tenant: Tenant,
    filters: Filter,
    *,
    sort: str = "-last_seen",
    limit: int = 100,
    cursor: str | None = None,
    attributes: Sequence[str] = (),
) -> Customers:
    """A page of the app's customers, with some of their attributes; those with equal values by their keys, those
    without a value last.

    Raises BadRequest (sort, cursor, filters) and Unavailable.
    """
    field, descending = sort.removeprefix("-"), sort.startswith("-")
    by = _sort(field)
    where, parameters = conditions(filters)
    if field.startswith(ATTRIBUTE):
        parameters["sorted_by"] = field.removeprefix(ATTRIBUTE)
    if field == "last_used":
        parameters["uses"] = list(filters.uses)
    asked = msgspec.msgpack.encode((tenant.app, sort, filters.question))
    question = blake2b(asked, digest_size=8, person=b"customers").digest()
    if cursor is not None:
        after = Cursor.parse(cursor, question, _KINDS[by.type])
        where.append(_beyond(by.type, descending))
        parameters |= {"after_absent": after.absent, "after_customer": after.customer, **_after(after.value)}
    sql = (_PAGE + _WITH_FEW_THREADS * tenant.is_embedded).format(
        **by._asdict(), shown=_shown(attributes), direction="DESC" if descending else "ASC",
        where=" AND ".join(["NOT deleted", *where]),
    )  # fmt: skip
    rows = tenant.rows(sql, parameters | {"limit": limit + 1})
    uses = frozenset(filters.uses)
    items = [_item(row[3:], attributes, uses) for row in rows[:limit]]
    if len(rows) <= limit:
        return Customers(items, None)
    customer, absent, value, *_ = rows[limit - 1]
    return Customers(items, Cursor(question, bool(absent), _plain(value), bytes(customer)).text())


def all_customers(tenant: Tenant, filters: Filter, attributes: Sequence[str] = ()) -> Iterator[CustomerItem]:
    """Everybody whom the filters keep, in no order, as the list was at one moment; read as they are taken.

    Raises BadRequest at once, and Unavailable at the latest while it is read.
    """
    where, parameters = conditions(filters)
    sql = _ALL.format(shown=_shown(attributes), where=" AND ".join(["NOT deleted", *where]))
    uses = frozenset(filters.uses)
    return (_item(row, attributes, uses) for row in tenant.stream(sql, parameters))


def count_customers(tenant: Tenant, filters: Filter) -> int:
    """How many the filters keep. Raises BadRequest and Unavailable."""
    where, parameters = conditions(filters)
    return int(tenant.rows(_COUNT.format(where=" AND ".join(["NOT deleted", *where])), parameters)[0][0])


def _sort(field: str) -> Sort:
    if field.startswith(ATTRIBUTE) and field != ATTRIBUTE:
        return _OF_ATTRIBUTE
    if field not in SORTS:
        raise BadRequest(
            f"sort must be one of {', '.join(SORTS)}, {ATTRIBUTE}NAME, with a `-` before it for the greatest first",
            field="sort", code="invalid_parameter",
        )  # fmt: skip
    return SORTS[field]


def _plain(value: Any) -> Any:
    """A value to sort by, as a cursor has it."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return format(value, "f") if isinstance(value, Decimal) else value


def _shown(attributes: Sequence[str]) -> str:
    beside = ", attribute_names, attribute_values" if attributes else ""
    return f"shown, names, verified_lasts{beside}"


def _item(row: Sequence[Any], attributes: Sequence[str], uses: Set[str]) -> CustomerItem:
    shown, names, lasts, *known = row
    item = msgspec.json.decode(shown, type=CustomerItem)
    used = max((at for name, at in zip(names, lasts, strict=False) if name in uses), default=EARLIEST)
    item.last_used = moment(used)
    if attributes:
        values = dict(zip(*known, strict=True))
        item.attributes = {name: msgspec.Raw(values[name].encode()) for name in attributes if name in values}
    return item


def _beyond(kind: str, descending: bool) -> str:
    """The condition that a row comes after that of the cursor."""
    sign, last = "<" if descending else ">", _LAST.get(kind, f"{{after:{kind}}}")
    return (
        f"(absent > {{after_absent:Bool}} OR absent = {{after_absent:Bool}} AND (value {sign} {last} "
        f"OR value = {last} AND customer > {{after_customer:FixedString(16)}}))"
    )


_LAST = {
    "Decimal(38, 10)": "toDecimal128({after:String}, 10)",
    _OF_ATTRIBUTE.type: "({after_0:Bool}, toDecimal256({after_1:String}, 18), {after_2:Float64}, {after_3:String})",
}
"""The value of a cursor, where it is not bound as it is."""


def _after(value: Any) -> dict[str, Any]:
    if isinstance(value, tuple):
        return {f"after_{place}": part for place, part in enumerate(value)}
    return {"after": value}
