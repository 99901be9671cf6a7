"""What the list of customers shows of one: a row made of what is known of all the keys that are this customer. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tenure import mail_address
from tenure.health.score import Band, band
from tenure.identity import CHURN_EVENT_ID, KINDS, fold
from tenure.loader import ledger
from tenure.loader.ledger import BillingItem
from tenure.wire.times import EARLIEST, LATEST, rfc3339

COLUMNS = {
    "app": "LowCardinality(String)",
    "customer": "FixedString(16)",
    "version": "UInt64",
    "deleted": "UInt8",
    "keys": "Array(FixedString(16))",
    "kinds": "Array(LowCardinality(String))",
    "search": "Array(String)",
    "name_search": "String",
    "events": "UInt64",
    "verified": "UInt64",
    "first_seen": "DateTime64(3, 'UTC')",
    "last_seen": "DateTime64(3, 'UTC')",
    "names": "Array(LowCardinality(String))",
    "counts": "Array(UInt32)",
    "lasts": "Array(UInt32)",
    "attribute_names": "Array(LowCardinality(String))",
    "attribute_values": "Array(String)",
    "shown": "String",
    "billing_status": "LowCardinality(String)",
    "plans": "Array(LowCardinality(String))",
    "mrr": "Decimal(38, 10)",
    "mrr_currency": "LowCardinality(String)",
    "past_due": "Bool",
    "renews_at": "Nullable(DateTime64(3, 'UTC'))",
    "paying_since": "Nullable(Date32)",
    "score": "Nullable(UInt8)",
    "scored_at": "Nullable(DateTime64(3, 'UTC'))",
    "score_due": "DateTime64(3, 'UTC')",
    "score_rules": "LowCardinality(String)",
    "verified_lasts": "Array(Int64)",
    "last_received": "DateTime64(3, 'UTC')",
    "dated_ahead": "UInt64",
    "ahead_at": "DateTime64(3, 'UTC')",
}
"""Columns and ClickHouse types of `customer`, in the order of `row`; a test holds them to the schema."""

NAME_ATTRIBUTES = (
    "name", "full_name", "fullName", "display_name", "displayName", "company", "company_name", "companyName",
)  # fmt: skip
"""Attributes that hold a customer's name: the first that there is counts."""
FIRST_AND_LAST = (("first_name", "last_name"), ("firstName", "lastName"))

_ADDRESS = re.compile(r"(?:customer|user|contact|billing|account|company|owner|primary|work)?e?mail(?:address|id)?")
_BETWEEN = re.compile(r"[-_ .$]")

_RANK = {kind: rank for rank, kind in enumerate((*KINDS, CHURN_EVENT_ID))}


SHOWN_IDENTIFIERS = 20
MOST = 2**32 - 1
"""The greatest count of one name, and the greatest time in seconds, that a row has."""


class ListedHealth(msgspec.Struct):
    """The health of a customer as it was computed last."""

    score: int | None
    """From 0 to 100; null when there is too little to go by, and so is the band."""
    band: Band | None
    scored_at: str


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
    """Of the last verified event of any kind."""
    last_event: str | None
    billing: BillingItem | None = None
    """Null for one who has no subscription."""
    health: ListedHealth | None = None
    """Null for one who has just come, for some seconds."""
    last_used: str | None = None
    """Of the last verified event that counts as use."""
    last_received: str | None = None
    """When the last event was received, verified or not."""
    dated_ahead: int = 0
    """Events whose time has not come: none of the times above is of them."""
    attributes: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    """Those that were asked for and are there."""


NO_BILLING = ledger.Columns()


class Seen(NamedTuple):
    """What a customer did. `names`, `counts` and `lasts` go together, one for each name of events.

    Times are milliseconds since 1970 UTC, none of an event that is dated ahead; for none EARLIEST, in `first` LATEST.
    """

    names: Sequence[str] = ()
    counts: Sequence[int] = ()
    lasts: Sequence[int] = ()
    events: int = 0
    verified: int = 0
    first: int = LATEST
    last: int = EARLIEST
    """Of verified events alone, as are `verified_lasts`."""
    last_name: str = ""
    verified_lasts: Sequence[int] = ()
    received: int = EARLIEST
    ahead: int = 0
    ahead_at: int = EARLIEST
    """When the next event that is dated ahead comes."""


class Scored(NamedTuple):
    """A score as it stands on the list. Times are milliseconds since 1970 UTC."""

    score: int | None = None
    at: int | None = None
    """None: there was none so far."""
    due: int = 0
    """When it is to be computed again."""
    rules: str = ""
    """The stamp of the settings that it is by."""


NOT_SCORED = Scored()


class Known(NamedTuple):
    """What there is about one customer: keys, (kind, value) pairs, what was seen, attributes as JSON by name.

    `seen` is None for a customer of whose keys there is nothing.
    """

    keys: Iterable[bytes]
    identifiers: Iterable[tuple[str, str]]
    seen: Seen | None
    attributes: Mapping[str, str]
    billing: ledger.Columns = NO_BILLING
    scored: Scored = NOT_SCORED
    addresses: Collection[str] = ()
    """Addresses, in their normal form, at which the customer can be reached."""


def is_address_name(name: str) -> bool:
    """Whether an attribute of this name holds the customer's e-mail address: `email`, `Email Address`, `user_email`."""
    return _ADDRESS.fullmatch(_BETWEEN.sub("", name).lower()) is not None


def address_in(name: str, value: str) -> str | None:
    """The normal form of the address that an attribute (of a value in JSON) is; None when it is none."""
    if not is_address_name(name) or not isinstance(decoded := msgspec.json.decode(value), str):
        return None
    return mail_address.normal(decoded) if mail_address.parts(decoded) is not None else None


def row(app: str, customer: bytes, version: int, about: Known) -> tuple[Any, ...]:
    """The row of a customer. Without anything seen it is the row that takes the customer off the list."""
    attributes, seen = about.attributes, about.seen or Seen()
    known = sorted(set(about.identifiers), key=lambda found: (_RANK[found[0]], found[1]))
    name = display_name(attributes)
    addresses = {found for attribute, value in attributes.items() if (found := address_in(attribute, value))}
    sought = [*known, *(("email", found) for found in sorted(addresses.union(about.addresses)))]
    return (
        app, customer, version, int(about.seen is None), sorted(about.keys),
        [kind for kind, _ in sought], [fold(value) for _, value in sought], fold(name),
        seen.events, seen.verified, seen.first, seen.last, seen.names, [min(count, MOST) for count in seen.counts],
        [seconds(last) for last in seen.lasts],
        list(attributes), list(attributes.values()), _shown(known, name, seen, about),
        *about.billing[:-1], *about.scored, seen.verified_lasts, seen.received, seen.ahead, seen.ahead_at,
    )  # fmt: skip


def seconds(ms: int) -> int:
    """A time as `lasts` has it."""
    return max(0, min(ms // 1_000, MOST))


def listed(score: int | None, scored_at: int) -> ListedHealth:
    """A score that was computed at a time (milliseconds since 1970 UTC), as the list shows it."""
    return ListedHealth(score, band(score), rfc3339(scored_at))


def _shown(known: Sequence[tuple[str, str]], name: str, seen: Seen, about: Known) -> str:
    texts = [f"{kind}:{value}" for kind, value in known[:SHOWN_IDENTIFIERS]]
    item = CustomerItem(
        id=texts[0] if texts else "",
        identifiers=texts,
        identifier_count=len(known),
        name=name or None,
        events=seen.events,
        verified_events=seen.verified,
        first_seen=rfc3339(seen.first) if seen.first < LATEST else None,
        last_seen=moment(seen.last),
        last_event=seen.last_name or None,
        billing=about.billing.shown,
        last_received=moment(seen.received),
        dated_ahead=seen.ahead,
        health=None if about.scored.at is None else listed(about.scored.score, about.scored.at),
    )
    return msgspec.json.encode(item).decode()


def moment(ms: int) -> str | None:
    """A time in RFC 3339; None for EARLIEST, which is none."""
    return None if ms <= EARLIEST else rfc3339(ms)


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
