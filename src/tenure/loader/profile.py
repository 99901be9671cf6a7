"""What the list of customers shows of one: a row made of what is known of all the keys that are this customer. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from tenure.identity import CHURN_EVENT_ID, KINDS
from tenure.wire.times import EARLIEST, LATEST

COLUMNS = {
    "app": "LowCardinality(String)",
    "customer": "FixedString(16)",
    "version": "UInt64",
    "deleted": "UInt8",
    "keys": "Array(FixedString(16))",
    "kinds": "Array(LowCardinality(String))",
    "identifiers": "Array(String)",
    "search": "Array(String)",
    "name": "String",
    "name_search": "String",
    "events": "UInt64",
    "verified": "UInt64",
    "first_seen": "DateTime64(3, 'UTC')",
    "last_seen": "DateTime64(3, 'UTC')",
    "last_event": "String",
    "names": "Array(LowCardinality(String))",
    "counts": "Array(UInt64)",
    "lasts": "Array(DateTime64(3, 'UTC'))",
    "attribute_names": "Array(LowCardinality(String))",
    "attribute_values": "Array(String)",
}
"""Columns and ClickHouse types of `customer`, in the order of `row`; a test holds them to the schema."""

NAME_ATTRIBUTES = (
    "name", "full_name", "fullName", "display_name", "displayName", "company", "company_name", "companyName",
)  # fmt: skip
"""Attributes that hold a customer's name: the first that there is counts."""
FIRST_AND_LAST = (("first_name", "last_name"), ("firstName", "lastName"))

_RANK = {kind: rank for rank, kind in enumerate((*KINDS, CHURN_EVENT_ID))}


class Seen(NamedTuple):
    """What one key did under one name of events; the name '' is there for a key that an identify came under.

    Times are milliseconds since 1970 UTC.
    """

    name: str
    events: int
    verified: int
    first: int
    last: int


class Known(NamedTuple):
    """What there is about one customer: keys, (kind, value) pairs, what each key did, attributes as JSON by name."""

    keys: Iterable[bytes]
    identifiers: Iterable[tuple[str, str]]
    seen: Iterable[Seen]
    attributes: Mapping[str, str]


def fold(text: str) -> str:
    """The form in which search compares: without case, and composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def row(app: str, customer: bytes, version: int, about: Known) -> tuple[Any, ...]:
    """The row of a customer. Without anything seen it is the row that takes the customer off the list."""
    attributes = about.attributes
    total = _by_name(about.seen)
    known = sorted(set(about.identifiers), key=lambda found: (_RANK[found[0]], found[1]))
    names = sorted(name for name in total if name)
    did = [total[name] for name in names]
    name = display_name(attributes)
    return (
        app, customer, version, int(not total), sorted(about.keys), [kind for kind, _ in known],
        [value for _, value in known], [fold(value) for _, value in known], name, fold(name),
        sum(one.events for one in did), sum(one.verified for one in did),
        min((one.first for one in did), default=LATEST), max((one.last for one in did), default=EARLIEST),
        max(((one.last, one.name) for one in did), default=(0, ""))[1],
        names, [one.events for one in did], [one.last for one in did],
        sorted(attributes), [attributes[name] for name in sorted(attributes)],
    )  # fmt: skip


def display_name(attributes: Mapping[str, str]) -> str:
    """The name of a customer among its attributes (JSON texts), "" when there is none."""
    texts = {name: _text(attributes[name]) for name in attributes if name in _NAMING}
    for attribute in NAME_ATTRIBUTES:
        if texts.get(attribute):
            return texts[attribute]
    for parts in FIRST_AND_LAST:
        whole = " ".join(texts[part] for part in parts if texts.get(part))
        if whole:
            return whole
    return ""


_NAMING = frozenset(NAME_ATTRIBUTES).union(*FIRST_AND_LAST)


def _text(value: str) -> str:
    decoded = msgspec.json.decode(value)
    return decoded.strip() if isinstance(decoded, str) else ""


def _by_name(seen: Iterable[Seen]) -> dict[str, Seen]:
    total: dict[str, Seen] = {}
    for one in seen:
        other = total.get(one.name, Seen(one.name, 0, 0, LATEST, EARLIEST))
        total[one.name] = Seen(
            one.name,
            one.events + other.events,
            one.verified + other.verified,
            min(one.first, other.first),
            max(one.last, other.last),
        )
    return total
