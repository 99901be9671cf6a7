"""Which identifiers, and so which rows, are one customer."""

from __future__ import annotations

from typing import NamedTuple

from tenure.control.store import Store
from tenure.errors import NotFound
from tenure.identity import CHURN_EVENT_ID, KINDS, Identifier, identity_key, normal
from tenure.warehouse.client import Tenant

_KINDS = (*KINDS, CHURN_EVENT_ID)


class Customer(NamedTuple):
    """One customer: every identifier known to be theirs, and the keys that their rows are kept under."""

    identifiers: list[Identifier]
    keys: list[bytes]


def candidates(text: str) -> list[Identifier]:
    """What an id in a URL may mean, likeliest first: `kind:value` says which, a bare value tries every kind."""
    kind, colon, value = text.partition(":")
    exact = [Identifier(kind, normal(kind, value))] if colon and value and kind in _KINDS else []
    return exact + [Identifier(kind, normal(kind, text)) for kind in _KINDS]


def find_customer(tenant: Tenant, store: Store, text: str) -> Customer:
    """The customer that has this identifier; of several, the one with the strongest kind.

    Raises NotFound when no event and no link has it.
    """
    meant = candidates(text)
    present = _with_rows(tenant, [identity_key(tenant.app, identifier) for identifier in meant])
    for identifier in meant:
        known = store.linked(tenant.app, [identifier])
        if len(known) > 1 or identity_key(tenant.app, identifier) in present:
            keys = [identity_key(tenant.app, other) for other in known]
            if store.erasures.hides(tenant.app, keys):
                break
            return Customer(known, keys)
    raise NotFound("no customer of this app has that identifier", code="unknown_customer")


_WITH_ROWS = """
SELECT customer_key FROM event WHERE customer_key IN {keys:Array(FixedString(16))} LIMIT 1 BY customer_key
UNION ALL
SELECT customer_key FROM identify WHERE customer_key IN {keys:Array(FixedString(16))} LIMIT 1 BY customer_key
"""


def _with_rows(tenant: Tenant, keys: list[bytes]) -> set[bytes]:
    """Those of the keys under which something is kept."""
    return {bytes(row[0]) for row in tenant.rows(_WITH_ROWS, {"keys": keys})}
