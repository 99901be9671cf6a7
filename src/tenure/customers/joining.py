"""What a person says about who is one customer: links, merges and splits. All are facts that can be undone.

Each takes customers as they were found just before, and answers with them as they are now.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tenure import clock, receipt
from tenure.control.link import API, BY_HAND, LARGE, MERGE, Link
from tenure.control.links import Links
from tenure.control.partition import partition
from tenure.customers.customer import Customer, customer_of
from tenure.errors import BadRequest, Conflict
from tenure.identity import CHURN_EVENT_ID, Identifier
from tenure.placeholder import is_placeholder


class Joined(NamedTuple):
    """The id of a new fact, and the customer that it made."""

    link: str
    customer: Customer


class Parted(NamedTuple):
    """The ids of the facts that were undone, and the customers that are left of one."""

    undone: list[str]
    customers: list[Customer]


def link_by_hand(links: Links, app: str, one: Identifier, other: Identifier, note: str | None) -> Joined:
    """Say that two identifiers are one customer, whether or not they are known yet.

    Raises BadRequest (both are the same, or one is a placeholder) and Conflict (they are one customer already).
    """
    if one == other:
        raise BadRequest("one and other are the same identifier", code="same_identifier", field="other")
    _require_apart(one, _now_of(links, app, other).identifiers)
    return _join(links, Link(app, one, other, BY_HAND, API, True, clock.now(), receipt.new(), note=note))


def merge(links: Links, app: str, one: Customer, other: Customer) -> Joined:
    """Make one customer of two. The fact is about their canonical identifiers.

    Raises BadRequest (both are the same identifier, or a churn event that nobody is known for) and Conflict (they are
    one customer already).
    """
    if one.asked == other.asked:
        raise BadRequest("a customer cannot be merged with itself", code="self_merge", field="with")
    _require_apart(one.asked, other.identifiers)
    sides = one.identifiers[0], other.identifiers[0]
    return _join(links, Link(app, *sides, MERGE, API, True, clock.now(), receipt.new()))


def unmerge(links: Links, app: str, customer: Customer, fact: str) -> Parted:
    """Undo a merge, or a link by hand, of this customer; both sides are then what they would be without it.

    Raises Conflict when no such fact holds for this customer.
    """
    own = frozenset(customer.identifiers)
    found = [link for link in customer.links.standing if not link.automatic and link.id == fact]
    if not found or not own.issuperset(found[0].pair):
        raise Conflict(
            "this customer was not merged by that, or it is undone already", code="not_merged", field="merge"
        )
    return _part(links, app, customer, found)


def split(links: Links, app: str, customer: Customer, identifiers: Collection[Identifier]) -> Parted:
    """Take identifiers out of a customer: every fact between them and the rest is undone, those among them stay.

    A churn event stays with the identifier that it hangs on. Raises Conflict when one is not of this customer, or when
    none would be left.
    """
    gone = set(identifiers)
    own = {side for side in customer.identifiers if side.kind != CHURN_EVENT_ID}
    if not gone <= own:
        message = "identifiers has one that is not of this customer, so that there is nothing to split"
        raise Conflict(message, code="not_merged", field="identifiers")
    if gone == own:
        message = "identifiers are all that this customer has; nothing would be left"
        raise Conflict(message, code="not_merged", field="identifiers")
    crossing = [
        link for link in customer.links.standing if own.issuperset(link.pair) and len(gone.intersection(link.pair)) == 1
    ]
    return _part(links, app, customer, crossing)


def call_large(links: Links, app: str, identifier: Identifier, is_large: bool, note: str | None = None) -> Customer:
    """Say that an account really is so large that it may join any number of ids, or no more that it is; returns the
    customer that it makes. Raises BadRequest for a placeholder."""
    if is_placeholder(identifier.kind, identifier.value):
        message = "this is a placeholder, and nobody's id, however many have it"
        raise BadRequest(message, code="placeholder_identifier", field="identifier")
    said = [fact for fact in links.facts(app, identifier) if fact.how == LARGE and fact.undone_at is None]
    said = [fact for fact in said if fact.one == identifier]
    if is_large and not said:
        own = identifier, identifier
        links.add([Link(app, *own, LARGE, API, True, clock.now(), receipt.new(), note=note)])
    elif said and not is_large:
        links.undo([fact.id for fact in said], clock.now())
    return _now_of(links, app, identifier)


def _require_apart(one: Identifier, others: Sequence[Identifier]) -> None:
    if one in others:
        raise Conflict("these are one customer already", code="already_one_customer")


def _join(links: Links, fact: Link) -> Joined:
    if CHURN_EVENT_ID in (fact.one.kind, fact.other.kind):
        message = "the id of a churn event is nobody's identity; name the customer by another identifier"
        raise BadRequest(message, code="not_an_identity")
    for field, side in zip(("one", "other"), fact.pair, strict=True):
        if is_placeholder(side.kind, side.value):
            message = f"{side.kind} {side.value[:64]!r} is a placeholder and nobody's id: it links nothing"
            raise BadRequest(message, code="placeholder_identifier", field=field if fact.how == BY_HAND else None)
    links.add([fact])
    return Joined(fact.id, _now_of(links, fact.app, fact.one))


def _part(links: Links, app: str, customer: Customer, facts: Sequence[Link]) -> Parted:
    ids = sorted({link.id for link in facts})
    links.add(link for link in facts if link.automatic)  # what follows from others is none of those kept
    links.undo(ids, clock.now())
    after = partition(links.facts(app, customer.asked))
    parts = {after.customer(side): side for side in customer.identifiers}
    return Parted(ids, [customer_of(app, side, after) for side in parts.values()])


def _now_of(links: Links, app: str, identifier: Identifier) -> Customer:
    return customer_of(app, identifier, partition(links.facts(app, identifier)))
