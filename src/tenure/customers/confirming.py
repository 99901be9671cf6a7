"""An erasure that covers several ids of a kind is confirmed by the digest of the list of what it covers. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from tenure.control.holding import several
from tenure.customers.customer import Customer
from tenure.errors import Conflict
from tenure.identity import Identifier

CODE: Final = "confirmation_needed"
LISTED: Final = 1_000
"""Identifiers that are listed at the most; the digest is of all."""


class Covered(NamedTuple):
    """What an erasure covers."""

    identifiers: list[Identifier]
    """In order. Of an identifier that is held, those too that it joins: what is kept under it may be theirs."""
    several: list[str]
    """Of which kinds these are two or more, of customer id, uid and billing id: with any it is to be confirmed."""
    digest: str


def covered(app: str, customer: Customer) -> Covered:
    """What the erasure of a customer covers."""
    own = set(customer.identifiers)
    held = own & customer.links.held
    joined = {side for link in customer.links.standing if not held.isdisjoint(link.pair) for side in link.pair}
    found = sorted(own | joined)
    told = msgspec.json.encode([app, *((identifier.kind, identifier.value) for identifier in found)])
    return Covered(found, several(found), sha256(told).hexdigest()[:32])


def require(asked: Covered, confirm: str | None) -> None:
    """Raises Conflict unless this needs no confirmation, or has the right one. One that was given for another list
    never counts."""
    if confirm == asked.digest or (confirm is None and not asked.several):
        return
    count = len(asked.identifiers)
    kinds = " and ".join(f"{kind}s" for kind in asked.several) or "identifiers"
    changed = "" if confirm is None else "what it covers has changed since it was confirmed: "
    message = (
        f"{changed}this would erase {count} identifiers, several {kinds} among them; look at the list, and if it is"
    )
    message += " all one customer, ask again with confirm and the digest"
    details = {
        "identifiers": [{"kind": one.kind, "value": one.value} for one in asked.identifiers[:LISTED]],
        "count": count,
        "digest": asked.digest,
    }
    raise Conflict(message, code=CODE, field="confirm", details=details)
