"""The list of customers as CSV, for spreadsheets. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from tenure.loader.profile import CustomerItem

ROWS: Final = 500
"""Rows that are written together."""
COLUMNS: Final = (
    "id", "name", "status", "plans", "mrr", "currency", "past_due", "renews_at", "paying_since", "health",
    "health_band", "health_at", "events", "verified_events", "first_seen", "last_seen", "last_event", "identifiers",
)  # fmt: skip
_BYTE_ORDER_MARK: Final = "\ufeff"
"""By it a spreadsheet knows that the file is UTF-8."""
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for the beginning of a formula, in full width too."""


def lines(items: Iterable[CustomerItem], attributes: Sequence[str]) -> Iterator[bytes]:
    """The file, piece by piece: a header, then a line for each customer, with the attributes that were asked for."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write(_BYTE_ORDER_MARK)
    writer.writerow([*COLUMNS, *(safe(name) for name in attributes)])
    for number, item in enumerate(items, 1):
        writer.writerow([*_of(item), *(_attribute(item, name) for name in attributes)])
        if number % ROWS == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def safe(text: str) -> str:
    """Text that no spreadsheet runs: with an apostrophe before what looks like a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text


def _of(item: CustomerItem) -> list[object]:
    """In the order of `COLUMNS`. Numbers and times are ours, texts are somebody's."""
    paid, health = item.billing, item.health
    billing = [None] * 7 if paid is None else [
        paid.status, safe(", ".join(paid.plans)), paid.mrr, paid.currency, paid.past_due, paid.renews_at,
        paid.paying_since,
    ]  # fmt: skip
    scored = [None] * 3 if health is None else [health.score, health.band, health.scored_at]
    return [
        safe(item.id), safe(item.name or ""), *billing, *scored, item.events, item.verified_events, item.first_seen,
        item.last_seen, safe(item.last_event or ""), safe(" ".join(item.identifiers)),
    ]  # fmt: skip


def _attribute(item: CustomerItem, name: str) -> object:
    values = {} if item.attributes is msgspec.UNSET else item.attributes
    if name not in values:
        return None
    value = msgspec.json.decode(values[name])
    if isinstance(value, str):
        return safe(value)
    return bytes(values[name]).decode()  # a number, a truth, or an object or array, which begin with brackets


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
