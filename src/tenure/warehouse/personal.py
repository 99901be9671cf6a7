"""Which tables of the warehouse hold something of a customer, and how their rows are bound to one.

Erasing and exporting go by this list alone. A test fails while a table of the schema is in neither part of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tenure.identity import KINDS, Identifier


class Keyed(NamedTuple):
    """A table whose rows are bound to a customer by identity keys."""

    keys: tuple[str, ...] = ("customer_key",)
    """Columns that hold the key of an identifier: a row is the customer's when one of them is."""
    times: tuple[str, ...] = ("received_at",)
    """Columns of time. A row is from before an erasure when one of them is. None: every row of the customer goes, for a
    table that is computed anew from others."""
    identifiers: bool = False
    """Whether it has the columns of `identity.KINDS`: then a row under another customer's key that carries one of the
    erased identifiers goes too."""
    lists: tuple[str, ...] = ()
    """Columns that hold arrays of such keys."""


KEYED: dict[str, Keyed] = {
    "event": Keyed(times=("received_at", "occurred_at"), identifiers=True),
    "identify": Keyed(times=("received_at", "set_at"), identifiers=True),
    "fact": Keyed(times=("received_at", "set_at")),
    "subscription_fact": Keyed(),
    "seen": Keyed(times=()),
    "identifier": Keyed(times=()),
    "canonical": Keyed(keys=("key", "canonical"), times=()),
    "customer": Keyed(keys=("customer",), times=(), lists=("keys",)),
    "ledger": Keyed(keys=("customer",), times=(), lists=("keys",)),
}
BY_IDENTIFY = ("fact",)
"""Tables whose rows go with the element that said so, by (receipt, position, part)."""
BY_EVENT = ("event", "first_copy", "subscription_fact")
"""Tables whose rows go with their event, by `event_id`."""
BY_PAYLOAD = ("quarantine",)
"""Tables whose rows go when their payload holds an erased identifier."""
BY_COUNT = ("volume",)
"""Tables of counts over all customers, from which what is erased is taken off; a name that comes to nothing goes."""

PERSONAL = tuple(dict.fromkeys([*KEYED, *BY_EVENT, *BY_PAYLOAD, *BY_COUNT]))
"""Every table that is rewritten by an erasure."""

IMPERSONAL = {
    "arrival": "counts of elements by receipt, without anything that was in them",
    "erased_event": "ids of erased events: hashes",
    "erasing": "hashes, while an erasure lasts",
    "schema_migration": "names of schema files",
}
"""Tables that hold nothing of a customer, and what they hold instead."""


def of_customer(table: Keyed) -> str:
    """The condition of a customer's rows: parameters `app`, `erasure` (FixedString(16)), `erased_at` (ms, Int64)."""
    keyed = [f"{column} IN ({_KEYS})" for column in table.keys]
    keyed += [f"hasAny({column}, ({_ALL_KEYS}))" for column in table.lists]
    return f"app = {{app:String}} AND ({' OR '.join(keyed)}){_until(table)}"


def carrying(table: Keyed) -> str:
    """The condition of the rows that carry an identifier of the customer, under whatever key; the same parameters."""
    carried = " OR ".join(f"{kind} != '' AND {_fingerprint(kind)} IN ({_FINGERPRINTS})" for kind in KINDS)
    return f"app = {{app:String}} AND ({carried}){_until(table)}"


_ERASURE = "{erasure:FixedString(16)}"
_KEYS = f"SELECT key FROM erasing WHERE erasure = {_ERASURE}"  # noqa: S608 - nothing but the above
_ALL_KEYS = f"SELECT groupArray(key) FROM erasing WHERE erasure = {_ERASURE}"  # noqa: S608 - nothing but the above
_FINGERPRINTS = f"SELECT fingerprint FROM erasing WHERE erasure = {_ERASURE}"  # noqa: S608 - nothing but the above


def _fingerprint(kind: str) -> str:
    """As `fingerprint` below, in SQL."""
    value = "lowerUTF8(normalizeUTF8NFC(trimBoth(email)))" if kind == "email" else kind
    return f"SHA256(concat('{kind}:', {value}))"


def _until(table: Keyed) -> str:
    before = " OR ".join(f"{column} <= fromUnixTimestamp64Milli({{erased_at:Int64}})" for column in table.times)
    return f" AND ({before})" if before else ""


PERHAPS_QUARANTINED = """
SELECT receipt, part, payload FROM quarantine FINAL
WHERE app = {app:String} AND multiSearchAnyCaseInsensitiveUTF8(payload, {needles:Array(String)})
"""
"""Quarantined elements that hold one of `needles`: whether one is an identifier, `identity.keys_in` tells."""


def needles(identifiers: Iterable[Identifier]) -> list[str]:
    """Texts of which a payload that holds one of the identifiers holds one, in upper or lower case."""
    found: set[str] = set()
    for identifier in identifiers:
        composed = unicodedata.normalize("NFC", identifier.value)
        decomposed = unicodedata.normalize("NFD", identifier.value)
        found.update(msgspec.json.encode(value).decode()[1:-1] for value in (identifier.value, composed, decomposed))
    return sorted(found)
