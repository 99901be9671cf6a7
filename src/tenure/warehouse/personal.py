"""Which tables of the warehouse hold something of a customer, and how their rows are bound to one.

Erasing and exporting go by this list alone. A test fails while a table of the schema is in neither part of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tenure import mail_address
from tenure.identity import KINDS, Identifier


class Keyed(NamedTuple):
    """A table whose rows are bound to a customer by identity keys."""

    keys: tuple[str, ...] = ("customer_key",)
    """Columns that hold the key of an identifier: a row is the customer's when one of them is."""
    is_ordered: bool = True
    """Whether it has the column `precedence`: a row is from before an erasure when it was received before. Otherwise
    every row of the customer goes, for a table that is computed anew from others."""
    times: tuple[str, ...] = ()
    """Columns of clients' own times: a row is from before an erasure, too, when one of them is."""
    identifiers: bool = False
    """Whether it has the columns of `identity.KINDS`: then a row under another customer's key that carries one of the
    erased identifiers goes too."""
    lists: tuple[str, ...] = ()
    """Columns that hold arrays of such keys."""


KEYED: dict[str, Keyed] = {
    "event": Keyed(times=("occurred_at",), identifiers=True),
    "identify": Keyed(times=("set_at",), identifiers=True),
    "fact": Keyed(times=("set_at",)),
    "subscription_fact": Keyed(),
    "seen": Keyed(is_ordered=False),
    "identifier": Keyed(is_ordered=False),
    "canonical": Keyed(keys=("key", "canonical"), is_ordered=False),
    "customer": Keyed(keys=("customer",), is_ordered=False, lists=("keys",)),
    "ledger": Keyed(keys=("customer",), is_ordered=False, lists=("keys",)),
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
    "retry_copy": "hashes of what was sent, so that what is erased is known when it is sent again",
    "erased_event": "ids of erased events: hashes",
    "erasing": "hashes, while an erasure lasts",
    "schema_migration": "names of schema files",
}
"""Tables that hold nothing of a customer, and what they hold instead."""


def of_customer(table: Keyed) -> str:
    """The condition of a customer's rows.

    Parameters: `app`; `erasure` (FixedString(16)); `after` (UInt128), the number that the precedence of all that was
    received before exceeds; `cut_off` (Int64), the time in milliseconds until which something happened before.
    """
    keyed = [f"{column} IN ({_KEYS})" for column in table.keys]
    keyed += [f"hasAny({column}, ({_ALL_KEYS}))" for column in table.lists]
    return f"app = {{app:String}} AND ({' OR '.join(keyed)}){_until(table)}"


def carrying(table: Keyed) -> str:
    """The condition of the rows that carry an identifier of the customer, under whatever key; the same parameters."""
    carried = " OR ".join(f"{kind} != '' AND {_fingerprint(kind)} IN ({_FINGERPRINTS})" for kind in KINDS)
    return f"app = {{app:String}} AND ({carried}){_until(table)}"


_ODD = "'" + mail_address.ODD.replace("\\", "\\\\") + "'"
IS_ODD = f"match(email, {_ODD})"
ODD_ADDRESSES = f"SELECT app, value FROM identifier FINAL WHERE kind = 'email' AND match(value, {_ODD})"  # noqa: S608
"""What addresses of all apps are kept under, where it is odd."""
ODD_SPELLINGS = " UNION DISTINCT ".join(
    f"SELECT email FROM {name} WHERE app = {{app:String}} AND {IS_ODD}"  # noqa: S608 - names and a pattern of ours
    for name, table in KEYED.items()
    if table.identifiers
)
"""Addresses of an app that are not normal in lower case. Whose they are, `mail_address.normal` tells, and no SQL."""

_ERASURE = "{erasure:FixedString(16)}"
_KEYS = f"SELECT key FROM erasing WHERE erasure = {_ERASURE}"  # noqa: S608 - nothing but the above
_ALL_KEYS = f"SELECT groupArray(key) FROM erasing WHERE erasure = {_ERASURE}"  # noqa: S608 - nothing but the above
_FINGERPRINTS = f"SELECT fingerprint FROM erasing WHERE erasure = {_ERASURE}"  # noqa: S608 - nothing but the above


def _fingerprint(kind: str) -> str:
    """As `loader.removal.fingerprint`, in SQL; an address that is odd stands for itself (see `ODD_SPELLINGS`)."""
    value = f"if({IS_ODD}, email, lower(email))" if kind == "email" else kind
    return f"SHA256(concat('{kind}:', {value}))"


def _until(table: Keyed) -> str:
    if not table.is_ordered:
        return ""
    before = ["precedence > {after:UInt128}", *(_happened_before(column) for column in table.times)]
    return f" AND ({' OR '.join(before)})"


def _happened_before(column: str) -> str:
    """A time that is the time of receipt is not the client's own."""
    own = f"toUnixTimestamp64Milli({column}) != intDiv(toUnixTimestamp64Micro(received_at), 1000)"
    return f"({column} <= fromUnixTimestamp64Milli({{cut_off:Int64}}) AND {own})"


def may_hold(column: str) -> str:
    """The condition that a text in JSON holds one of `needles`, or may spell an address among them in a way of which no
    needle is a part. Whether it does, `identity.normal` tells."""
    return f"({_holds(column)} OR {_IS_ADDRESS} AND match({column}, '{_ODDLY_WRITTEN}'))"


def _holds(column: str) -> str:
    return f"multiSearchAnyCaseInsensitiveUTF8({column}, {{needles:Array(String)}})"


_IS_ADDRESS = "arrayExists(needle -> position(needle, '@') > 0, {needles:Array(String)})"
_ODDLY_WRITTEN = r"[^ -~]|[xX][nN]--|%| @|@ |\\\\[a-z]"
_QUARANTINED = "SELECT receipt, part, payload FROM quarantine FINAL WHERE app = {app:String} AND "
HOLDING_A_NEEDLE = _QUARANTINED + _holds("payload")
"""Quarantined elements that hold one of `needles`."""
PERHAPS_QUARANTINED = _QUARANTINED + may_hold("payload")
"""The same, and those that may do so: whether one holds an identifier, `identity.keys_in` tells."""


def needles(identifiers: Iterable[Identifier]) -> list[str]:
    """Texts of which a payload that holds one of the identifiers holds one, in upper or lower case, unless it spells an
    address in an odd way."""
    found: set[str] = set()
    for identifier in identifiers:
        composed = unicodedata.normalize("NFC", identifier.value)
        decomposed = unicodedata.normalize("NFD", identifier.value)
        found.update(msgspec.json.encode(value).decode()[1:-1] for value in (identifier.value, composed, decomposed))
    return sorted(found)
