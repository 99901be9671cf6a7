"""The list of customers as CSV, for spreadsheets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from tenure.csv_text import BYTE_ORDER_MARK, Ours, line
from tenure.loader.profile import CustomerItem

ROWS: Final = 500
"""Rows that are written together."""
COLUMNS: Final = (
    "id", "name", "status", "plans", "mrr", "currency", "past_due", "renews_at", "paying_since", "health",
    "health_band", "health_at", "events", "verified_events", "first_seen", "last_seen",
    "last_event", "identifiers", "last_used", "last_received", "dated_ahead",
)  # fmt: skip


def lines(items: Iterable[CustomerItem], attributes: Sequence[str]) -> Iterator[bytes]:
    """The file, piece by piece: a header, then a line for each customer, with the attributes that were asked for."""
    written = [BYTE_ORDER_MARK, line([*COLUMNS, *attributes])]
    for number, item in enumerate(items, 1):
        written.append(line([*_of(item), *(_attribute(item, name) for name in attributes)]))
        if number % ROWS == 0:
            yield "".join(written).encode()
            written = []
    yield "".join(written).encode()


def _of(item: CustomerItem) -> list[object]:
    """In the order of `COLUMNS`."""
    paid, health = item.billing, item.health
    billing = [None] * 7 if paid is None else [
        paid.status, ", ".join(paid.plans), _ours(paid.mrr), paid.currency, paid.past_due, paid.renews_at,
        paid.paying_since,
    ]  # fmt: skip
    scored = [None] * 3 if health is None else [health.score, health.band, health.scored_at]
    return [
        item.id, item.name or "", *billing, *scored, item.events, item.verified_events, item.first_seen,
        item.last_seen, item.last_event or "", " ".join(item.identifiers), item.last_used, item.last_received,
        item.dated_ahead,
    ]  # fmt: skip


def _ours(amount: str | None) -> Ours | None:
    return None if amount is None else Ours(amount)


def _attribute(item: CustomerItem, name: str) -> object:
    values = {} if item.attributes is msgspec.UNSET else item.attributes
    if name not in values:
        return None
    value = msgspec.json.decode(values[name])
    if isinstance(value, str):
        return value
    return Ours(bytes(values[name]).decode())  # a number, a truth, or an object or array, which begin with brackets
