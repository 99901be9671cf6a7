"""Which identifiers, and so which rows, are one customer."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, NamedTuple

from tenure.control.partition import Partition, partition
from tenure.control.store import Store
from tenure.customers.as_of import received_by
from tenure.errors import NotFound
from tenure.identity import CHURN_EVENT_ID, KINDS, Identifier, identity_key, normal
from tenure.warehouse.client import Tenant

_KINDS = (*KINDS, CHURN_EVENT_ID)
_UNKNOWN = "no customer of this app has that identifier"


class Customer(NamedTuple):
    """One customer: every identifier known to be theirs, strongest first, and the keys that their rows are kept under.

    The first identifier is the canonical one, and does not depend on which one was asked for.
    """

    identifiers: Sequence[Identifier]
    keys: list[bytes]
    asked: Identifier
    """The identifier that was asked for."""
    links: Partition
    """All facts that can matter to who this is."""


def candidates(text: str) -> list[Identifier]:
    """What an id in a URL may mean, likeliest first: `kind:value` says which, a bare value tries every kind."""
    kind, colon, value = text.partition(":")
    exact = [Identifier(kind, normal(kind, value))] if colon and value and kind in _KINDS else []
    return exact + [Identifier(kind, normal(kind, text)) for kind in _KINDS]


def find_customer(tenant: Tenant, store: Store, text: str, as_of: int | None = None) -> Customer:
    """The customer that has this identifier; of several, the one with the strongest kind.

    With `as_of` (milliseconds since 1970 UTC, inclusive) as known then, by what had been received. Raises NotFound when
    no event and no link has it.
    """
    meant = candidates(text)
    present = with_rows(tenant, meant, as_of)
    linked = store.links.known(tenant.app, meant)

    def links(identifier: Identifier) -> Partition:
        if identifier not in linked:
            return partition(())
        if as_of is None:
            return store.links.customers(tenant.app, identifier)
        return partition(store.links.facts(tenant.app, identifier), as_of * 1_000 + 999)

    customer = first_customer(tenant.app, meant, present, links)
    if store.erasures.hides(tenant.app, customer.keys):
        raise NotFound(_UNKNOWN, code="unknown_customer")
    return customer


def first_customer(
    app: str, meant: Iterable[Identifier], present: Container[Identifier], links: Callable[[Identifier], Partition]
) -> Customer:
    """The customer that has the first of these identifiers that is `present` or linked. Raises NotFound."""
    for identifier in meant:
        found = links(identifier)
        if identifier in found.customers or identifier in present:
            return customer_of(app, identifier, found)
    raise NotFound(_UNKNOWN, code="unknown_customer")


def customer_of(app: str, identifier: Identifier, links: Partition) -> Customer:
    """The customer that an identifier belongs to by these facts."""
    known = links.customer(identifier)
    return Customer(known, [identity_key(app, other) for other in known], identifier, links)


_SEEN = "SELECT DISTINCT customer_key FROM seen WHERE customer_key IN {keys:Array(FixedString(16))}"
_SEEN_BY = """
SELECT customer_key FROM {table} FINAL
WHERE customer_key IN {{keys:Array(FixedString(16))}} AND {then} LIMIT 1 BY customer_key
"""


def with_rows(tenant: Tenant, meant: Sequence[Identifier], as_of: int | None = None) -> set[Identifier]:
    """Those of the identifiers under which something is kept, or was by a time (milliseconds since 1970, inclusive)."""
    of = {identity_key(tenant.app, identifier): identifier for identifier in meant}
    parameters: dict[str, Any] = {"keys": list(of)}
    sql = _SEEN
    if as_of is not None:
        then, more = received_by(as_of)
        sql = " UNION ALL ".join(_SEEN_BY.format(table=table, then=then) for table in ("event", "identify"))
        parameters |= more
    return {of[bytes(row[0])] for row in tenant.rows(sql, parameters)}
