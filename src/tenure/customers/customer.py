"""Which identifiers, and so which rows, are one customer."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, NamedTuple

from tenure import mail_address
from tenure.control.partition import Partition, partition
from tenure.control.store import Store
from tenure.customers import addresses
from tenure.customers.as_of import received_by
from tenure.errors import Ambiguous, NotFound
from tenure.identity import CHURN_EVENT_ID, KINDS, Identifier, identity_key, normal
from tenure.warehouse.client import Tenant

_KINDS = (*KINDS, CHURN_EVENT_ID)
UNKNOWN = "no customer of this app has that identifier"


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
    also: tuple[Identifier, ...] = ()
    """What else was asked for by the same text: identifiers of other customers."""


def candidates(text: str) -> list[Identifier]:
    """What an id in a URL may mean, likeliest first: `kind:value` says which, a bare value tries every kind."""
    named = said(text)
    return ([] if named is None else [named]) + [Identifier(kind, normal(kind, text)) for kind in _KINDS]


def said(text: str) -> Identifier | None:
    """The identifier that a text names by its kind, too; None for a bare one."""
    kind, colon, value = text.partition(":")
    return Identifier(kind, normal(kind, value)) if colon and value and kind in _KINDS else None


def find_customer(tenant: Tenant, store: Store, text: str, as_of: int | None = None) -> Customer:
    """The customer that has this identifier; of several those with verified input first, then the strongest kind.

    An address that is no verified customer's identifier is that of whom it is shown, as an attribute or a channel.

    With `as_of` (milliseconds since 1970 UTC, inclusive) as known then, by what had been received. Raises NotFound when
    no event and no link has it. This is for reading: what changes something takes `find_only`.
    """
    found = _with_identifier(tenant, store, text, as_of)
    trusted = _trusted(tenant, found, as_of) if len(found) != 1 or _is_bare_address(text) else set()
    if not trusted:  # what is shown is verified, and takes longer to find
        found = _and_shown(tenant, store, text, found, as_of)
        trusted = _trusted(tenant, found, as_of) if len(found) > 1 else set()
    if not found:
        raise NotFound(UNKNOWN, code="unknown_customer")
    found.sort(key=lambda one: one.asked not in trusted)
    first, *others = found
    return first._replace(also=tuple(other.asked for other in others))


def find_only(tenant: Tenant, store: Store, text: str) -> Customer:
    """The one customer that has this identifier. Raises NotFound, and Ambiguous when several have it."""
    return only(find_customers(tenant, store, text))


def find_customers(tenant: Tenant, store: Store, text: str) -> list[Customer]:
    """Every customer that is meant by a text: by the strength of the identifier's kind, then those of whom it is shown
    as an address. Raises NotFound for none."""
    found = _and_shown(tenant, store, text, _with_identifier(tenant, store, text))
    if not found:
        raise NotFound(UNKNOWN, code="unknown_customer")
    return found


def _with_identifier(tenant: Tenant, store: Store, text: str, as_of: int | None = None) -> list[Customer]:
    meant = candidates(text)
    present = with_rows(tenant, meant, as_of)
    linked = store.links.known(tenant.app, meant)

    def links(identifier: Identifier) -> Partition:
        if identifier not in linked:
            return partition(())
        if as_of is None:
            return store.links.customers(tenant.app, identifier)
        return partition(store.links.facts(tenant.app, identifier), as_of * 1_000 + 999)

    found = customers_meant(tenant.app, text, present, links)
    return [customer for customer in found if not store.erasures.hides(tenant.app, customer.keys)]


def _and_shown(
    tenant: Tenant, store: Store, text: str, found: list[Customer], as_of: int | None = None
) -> list[Customer]:
    """These, and who else is meant by an address: unless the text says that an identifier is meant, and it is one."""
    if found and not _is_bare_address(text):
        return found
    known = {customer.identifiers[0] for customer in found}
    return found + [one for one in at_address(tenant, store, text, as_of) if one.identifiers[0] not in known]


def _is_bare_address(text: str) -> bool:
    return said(text) is None and mail_address.parts(text) is not None


def at_address(tenant: Tenant, store: Store, text: str, as_of: int | None = None) -> list[Customer]:
    """The customers of whom an e-mail address is shown, as an attribute or a channel; `text` is it, `email:` before it
    or not. Nobody who is being erased. Raises Unavailable."""
    named = said(text) or Identifier("email", normal("email", text))
    if named.kind != "email" or mail_address.parts(named.value) is None:
        return []
    customers: dict[Identifier, Customer] = {}
    for identifier in addresses.naming(tenant, named.value, as_of)[: addresses.MAX_HOLDERS]:
        links = partition(store.links.facts(tenant.app, identifier), None if as_of is None else as_of * 1_000 + 999)
        first = links.customer(identifier)[0]
        customers.setdefault(first, customer_of(tenant.app, first, links))
    return [
        found
        for found in customers.values()
        if addresses.have(tenant, found.keys, named.value, as_of) and not store.erasures.hides(tenant.app, found.keys)
    ]


def customers_meant(
    app: str, text: str, present: Container[Identifier], links: Callable[[Identifier], Partition]
) -> list[Customer]:
    """The customers that have what a text may mean and is `present` or linked: one where the text says its kind."""
    found: dict[frozenset[Identifier], Customer] = {}
    for identifier in candidates(text):
        facts = links(identifier)
        if identifier in facts.customers or identifier in present:
            customer = customer_of(app, identifier, facts)
            found.setdefault(frozenset(customer.identifiers), customer)
            if identifier == said(text):
                break
    return list(found.values())


def only(found: Sequence[Customer]) -> Customer:
    """The customer, if it is one. Raises Ambiguous."""
    first, *others = found
    if others:
        raise Ambiguous([spelled(customer.asked) for customer in found])
    return first


def spelled(identifier: Identifier) -> str:
    """An identifier as it is written where its kind matters."""
    return f"{identifier.kind}:{identifier.value}"


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


_VERIFIED = """
SELECT customer_key FROM seen WHERE customer_key IN {keys:Array(FixedString(16))}
GROUP BY customer_key HAVING sum(seen.verified) > 0
UNION ALL SELECT DISTINCT customer_key FROM identify WHERE customer_key IN {keys:Array(FixedString(16))} AND verified
"""
_VERIFIED_BY = """
SELECT customer_key FROM {table} FINAL
WHERE customer_key IN {{keys:Array(FixedString(16))}} AND verified AND {then} LIMIT 1 BY customer_key
"""


def _trusted(tenant: Tenant, found: Iterable[Customer], as_of: int | None) -> set[Identifier]:
    """What was asked for of those customers of whom something verified is kept, or was by a time."""
    parameters: dict[str, Any] = {"keys": [key for customer in found for key in customer.keys]}
    sql = _VERIFIED
    if as_of is not None:
        then, more = received_by(as_of)
        sql = " UNION ALL ".join(_VERIFIED_BY.format(table=table, then=then) for table in ("event", "identify"))
        parameters |= more
    verified = {bytes(row[0]) for row in tenant.rows(sql, parameters)}
    return {customer.asked for customer in found if not verified.isdisjoint(customer.keys)}
