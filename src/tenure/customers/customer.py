"""Which identifiers, and so which rows, are one customer."""

from __future__ import annotations

from typing import NamedTuple

from tenure.control.store import Store
from tenure.errors import NotFound
from tenure.identity import KINDS, Identifier, identity_key, normal
from tenure.warehouse.client import Tenant


class Customer(NamedTuple):
    """One customer: every identifier known to be theirs, and the keys that their rows are kept under."""

    identifiers: list[Identifier]
    keys: list[bytes]


def candidates(text: str) -> list[Identifier]:
    """What an id in a URL may mean, likeliest first: `kind:value` says which, a bare value tries every kind."""
    kind, colon, value = text.partition(":")
    exact = [Identifier(kind, normal(kind, value))] if colon and value and kind in KINDS else []
    return exact + [Identifier(kind, normal(kind, text)) for kind in KINDS]


def find_customer(tenant: Tenant, store: Store, text: str) -> Customer:
    """The customer that has this identifier; of several, the one with the strongest kind.

    Raises NotFound when no event and no link has it.
    """
    for identifier in candidates(text):
        known = store.linked(tenant.app, [identifier])
        keys = [identity_key(tenant.app, other) for other in known]
        if len(known) > 1 or _has_rows(tenant, keys):
            return Customer(known, keys)
    raise NotFound("no customer of this app has that identifier", code="unknown_customer")


def _has_rows(tenant: Tenant, keys: list[bytes]) -> bool:
    for table in ("event", "identify"):
        sql = f"SELECT 1 FROM {table} WHERE customer_key IN {{keys:Array(FixedString(16))}} LIMIT 1"
        if tenant.rows(sql, {"keys": keys}):
            return True
    return False
