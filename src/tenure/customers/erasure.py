"""Asking for the erasure of a customer, and the certificate that tells what has been removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from tenure import clock
from tenure.control.erasures import DONE, LEFT_OUT, Erasure, Removed, new_erasure
from tenure.control.partition import Partition, partition
from tenure.control.store import Store
from tenure.customers.confirming import covered, require
from tenure.customers.customer import (
    UNKNOWN,
    Customer,
    at_address,
    candidates,
    customer_of,
    customers_meant,
    only,
    said,
    with_rows,
)
from tenure.customers.freshness import hurry
from tenure.customers.unloaded import Unloaded, unloaded
from tenure.errors import BadRequest, NotFound, Unavailable
from tenure.identity import Identifier, identity_key
from tenure.loader.removal import prepare
from tenure.loader.rows import precedence_after
from tenure.warehouse.client import Tenant, Warehouse
from tenure.wire.times import rfc3339

READ_SECONDS = 5.0
"""How long it is read, at the most, what was acknowledged before a request and is not loaded: it may say who else the
customer is. What was not come to then makes the erasure take more when it is loaded."""


_CAME_SINCE = " UNION ALL ".join(
    f"SELECT 1 FROM {table} WHERE customer_key IN {{keys:Array(FixedString(16))}} "  # noqa: S608 - names of ours
    "AND precedence <= {after:UInt128} LIMIT 1"
    for table in ("event", "identify")
)


class Certificate(msgspec.Struct):
    """What an erasure has done so far; all of it when `state` is `done`. No identifier is in it."""

    id: str
    app: str
    state: str
    """`erasing` or `done`."""
    requested_at: str
    """What was received, or happened, until then is erased. By the server's clock as it was."""
    done_at: str | None
    identifiers: int
    """How many identifiers the customer had."""
    reached: dict[str, str]
    """When each phase was reached: requested, unlinked, loaded, hidden, purged, scrubbed, done."""
    removed: Removed
    """How much was removed, by store and table."""


class Requested(Certificate):
    """What whoever asks for an erasure is answered, and nobody later: the certificate so far, and of whom it is."""

    canonical: Identifier
    """The customer's strongest identifier."""
    also_in: list[str] = []
    """Other modes in which something is kept under the same identifiers: that is not erased."""


def certificate(asked: Erasure) -> Certificate:
    """The certificate of an erasure."""
    return Certificate(**_told(asked))


def requested(asked: Erasure, canonical: Identifier, also_in: list[str]) -> Requested:
    """The same for whoever asked for it."""
    return Requested(**_told(asked), canonical=canonical, also_in=also_in)


def other_modes(warehouse: Warehouse, store: Store, asked: Erasure) -> list[str]:
    """The other modes in which something is kept under the identifiers that an erasure names. Raises Unavailable."""
    found = []
    for other in store.siblings(asked.app):
        tenant = warehouse.tenant(other.id, store.erasures.hidden(other.id))
        if with_rows(tenant, asked.identifiers):
            found.append(other.mode)
    return found


def _told(asked: Erasure) -> dict[str, Any]:
    reached = {phase: rfc3339(at) for phase, at in asked.reached.items()}
    return {
        "id": asked.id,
        "app": asked.app,
        "state": DONE if asked.phase == DONE else "erasing",
        "requested_at": rfc3339(asked.requested_at),
        "done_at": reached.get(DONE),
        "identifiers": len(asked.keys),
        "reached": reached,
        "removed": asked.removed,
    }


def request_erasure(  # noqa: PLR0917 - what it is done with, whom, and what was confirmed
    warehouse: Warehouse, store: Store, journals: Path, app: str, text: str, confirm: str | None = None
) -> Erasure:
    """Have the customer with this identifier erased: durably asked for when it returns, and found by nobody any more.

    Asked again before it is done, and nothing new is known of the customer: the same erasure. Raises NotFound,
    Ambiguous when several customers have a bare id, BadRequest when several share the identifier, Conflict when it
    covers several ids of one kind and `confirm` is not the digest of their list, and Unavailable when it cannot be told
    now who it is.
    """
    hurry(journals)
    known_at = clock.now()
    waiting, whole = unloaded(journals, app, store.erasures, READ_SECONDS)  # before it is asked what is loaded
    try:
        customer = _customer(warehouse.tenant(app, store.erasures.hidden(app)), store, waiting, text)
    except NotFound:
        customer = None
    names = [] if customer is None else list(customer.identifiers)
    keys = [identity_key(app, identifier) for identifier in names or candidates(text)]
    asked = store.erasures.pending_of(keys)
    if asked is not None and _is_all(asked, names, warehouse.tenant(app), waiting):
        return asked
    if asked is not None and not names:
        names = asked.identifiers  # of whom something came since
    if not names:
        if not whole:
            raise Unavailable("what was sent last is not in the warehouse yet", code="not_loaded_yet", retry_after=2)
        raise NotFound("no customer of this app has that identifier", code="unknown_customer")
    if customer is not None and not (asked is not None and set(names) <= set(asked.identifiers)):
        require(covered(app, customer), confirm)
    asked = new_erasure(app, names, known_at if whole else 0)
    try:
        prepare(warehouse.client, asked)  # before anybody is told to leave out what it says
    except ClickHouseError as error:
        raise Unavailable("the warehouse cannot be reached", code="warehouse_unavailable", retry_after=2) from error
    store.erasures.request(asked)
    return asked


def _customer(tenant: Tenant, store: Store, waiting: Unloaded, text: str) -> Customer:
    """The customer whom `find_only` would find if all were loaded. Raises as that."""
    meant = candidates(text)
    present = with_rows(tenant, meant) | waiting.mentions(meant)

    def links(one: Identifier) -> Partition:
        return partition(waiting.facts(one, store.links))

    found = customers_meant(tenant.app, text, present, links)
    if not found or said(text) is None:
        holders = {one.asked for one in at_address(tenant, store, text)} | waiting.at_address(text)
        firsts = {links(one).customer(one)[0] for one in holders} - {one.identifiers[0] for one in found}
        found += [customer_of(tenant.app, first, links(first)) for first in sorted(firsts)]
    if not found:
        raise NotFound(UNKNOWN, code="unknown_customer")
    customer = only(found)
    if _is_shared(customer):
        message = "several customers have that e-mail address; ask by another identifier of the one that is meant"
        raise BadRequest(message, code="ambiguous_customer")
    return customer


def _is_all(asked: Erasure, names: list[Identifier], tenant: Tenant, waiting: Unloaded) -> bool:
    """Whether an erasure takes all that is known of these names, though readers may leave out what came since."""
    if asked.phase not in LEFT_OUT:
        return not names
    parameters = {"keys": asked.keys, "after": precedence_after(asked.ordered_at)}
    came = waiting.mentions(asked.identifiers) or tenant.rows(_CAME_SINCE, parameters)
    return set(names) <= set(asked.identifiers) and not came


def _is_shared(customer: Customer) -> bool:
    """Whether this is an e-mail address that several have and that belongs to no customer: rows of others carry it."""
    (first, *others) = customer.identifiers
    claimants = {side for fact in customer.links.standing if first in fact.pair for side in fact.pair} - {first}
    return first.kind == "email" and not others and len(claimants) > 1
