"""Asking for the erasure of a customer, and the certificate that tells what has been removed."""

from __future__ import annotations

from pathlib import Path

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from tenure.control.erasures import DONE, Erasure, Removed, new_erasure
from tenure.control.store import Store
from tenure.customers.customer import Customer, candidates, find_customer
from tenure.customers.freshness import hurry, wait_until_loaded
from tenure.errors import BadRequest, NotFound, Unavailable
from tenure.identity import identity_key
from tenure.loader.removal import prepare
from tenure.warehouse.client import Warehouse
from tenure.wire.times import rfc3339

PATIENCE_SECONDS = 5.0
"""How long a request waits for what was acknowledged before it, which may link further identifiers."""


class Certificate(msgspec.Struct):
    """What an erasure has done so far; all of it when `state` is `done`. No identifier is in it."""

    id: str
    app: str
    state: str
    """`erasing` or `done`."""
    requested_at: str
    """What was received, or happened, until then is erased."""
    done_at: str | None
    identifiers: int
    """How many identifiers the customer had."""
    reached: dict[str, str]
    """When each phase was reached: requested, hidden, loaded, purged, scrubbed, done."""
    removed: Removed
    """How much was removed, by store and table."""


def certificate(asked: Erasure) -> Certificate:
    """The certificate of an erasure."""
    reached = {phase: rfc3339(at) for phase, at in asked.reached.items()}
    return Certificate(
        id=asked.id,
        app=asked.app,
        state=DONE if asked.phase == DONE else "erasing",
        requested_at=rfc3339(asked.requested_at),
        done_at=reached.get(DONE),
        identifiers=len(asked.keys),
        reached=reached,
        removed=asked.removed,
    )


def request_erasure(warehouse: Warehouse, store: Store, journals: Path, app: str, text: str) -> Erasure:
    """Have the customer with this identifier erased: durably asked for when it returns, and found by nobody any more.

    Asked again before it is done, and nothing new is known of the customer: the same erasure. Raises NotFound,
    BadRequest when several customers share the identifier, and Unavailable when the customer may still be on the way
    into the warehouse.
    """
    hurry(journals)
    fresh = wait_until_loaded(journals, PATIENCE_SECONDS)
    tenant = warehouse.tenant(app, store.erasures.hidden(app))
    try:
        customer = find_customer(tenant, store, text)
    except NotFound:
        asked = store.erasures.pending_of(identity_key(app, meant) for meant in candidates(text))
        if asked is not None:
            return asked
        if not fresh:
            message = "what was sent last is not in the warehouse yet"
            raise Unavailable(message, code="not_loaded_yet", retry_after=2) from None
        raise
    if _is_shared(customer):
        message = "several customers have that e-mail address; ask by another identifier of the one that is meant"
        raise BadRequest(message, code="ambiguous_customer")
    asked = new_erasure(app, customer.identifiers)
    try:
        prepare(warehouse.client, asked)  # before anybody is told to hide what it says
    except ClickHouseError as error:
        raise Unavailable("the warehouse cannot be reached", code="warehouse_unavailable", retry_after=2) from error
    store.erasures.request(asked)
    return asked


def _is_shared(customer: Customer) -> bool:
    """Whether this is an e-mail address that has links and yet belongs to no customer: rows of others carry it."""
    (first, *others) = customer.identifiers
    return first.kind == "email" and not others and any(first in fact.pair for fact in customer.links.standing)
