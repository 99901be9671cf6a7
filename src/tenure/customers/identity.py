"""Why some identifiers are one customer: each with the facts that say so, and what was disputed or undone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from tenure.control.link import Link, strength
from tenure.control.partition import STRONG
from tenure.customers.customer import Customer
from tenure.identity import Identifier
from tenure.wire.times import rfc3339

MAX_DISPUTED = 100
"""Facts that are listed of one disputed identifier, the first ones."""


class Evidence(msgspec.Struct, omit_defaults=True):
    """One fact: `one` and `other` are one customer. Times are RFC 3339 in UTC.

    `how` is carried together, promotion, same id, by hand or merge; `source` the dialect, or api; `receipt` the request
    that said so first (of a fact by hand its own id).
    """

    link: str
    one: Identifier
    other: Identifier
    how: str
    source: str
    verified: bool
    receipt: str
    received_at: str
    undone_at: str | None = None
    note: str | None = None


class Known(msgspec.Struct):
    """An identifier of a customer, and the facts that tie it to identifiers nearer to the canonical one."""

    kind: str
    value: str
    evidence: list[Evidence]


class Disputed(msgspec.Struct):
    """An identifier that facts give to more than one customer, and those facts."""

    kind: str
    value: str
    evidence: list[Evidence]


class Identity(msgspec.Struct):
    """A customer's identifiers, the canonical one first, then by their distance from it.

    `ambiguous` are e-mail addresses of two customers or more, and identifiers that are held, `conflicts` billing
    and anonymous ids that another has claimed later, and billing ids with an address that is another's; neither
    moves anything. `undone` are facts that a person took back.
    """

    canonical: Identifier
    identifiers: list[Known]
    ambiguous: list[Disputed]
    conflicts: list[Disputed]
    undone: list[Evidence]


class Whole(msgspec.Struct):
    """A customer by its identifiers, strongest first."""

    canonical: Identifier
    identifiers: Sequence[Identifier]


def whole(customer: Customer) -> Whole:
    """A customer as answers to changes show it."""
    return Whole(customer.identifiers[0], customer.identifiers)


def identity(customer: Customer) -> Identity:
    """How a customer's identifiers came together."""
    own = frozenset(customer.identifiers)
    within, between = [], set()
    for link in customer.links.standing:
        sides = own.intersection(link.pair)
        if len(sides) == 2:
            within.append(link)
        elif sides:
            between.add(_disputed_side(customer, link))
    disputes = _disputes(customer, between)
    return Identity(
        canonical=customer.identifiers[0],
        identifiers=_known(customer.identifiers[0], within),
        ambiguous=[disputed for disputed in disputes if _is_ambiguous(customer, disputed)],
        conflicts=[disputed for disputed in disputes if not _is_ambiguous(customer, disputed)],
        undone=_evidence(link for link in customer.links.undone if own.intersection(link.pair)),
    )


def _is_ambiguous(customer: Customer, disputed: Disputed) -> bool:
    return disputed.kind == "email" or Identifier(disputed.kind, disputed.value) in customer.links.held


def _known(canonical: Identifier, within: Sequence[Link]) -> list[Known]:
    """Breadth first from the canonical identifier, so that each fact stands with the side that is farther from it."""
    links: defaultdict[Identifier, list[Link]] = defaultdict(list)
    for link in within:
        links[link.one].append(link)
        links[link.other].append(link)
    reached = {canonical: 0}
    frontier = [canonical]
    while frontier:
        sides = {side for near in frontier for link in links[near] for side in link.pair if side not in reached}
        frontier = sorted(sides, key=strength)
        reached |= {side: len(reached) + at for at, side in enumerate(frontier)}
    own: defaultdict[Identifier, list[Link]] = defaultdict(list)
    for link in within:
        own[max(link.pair, key=reached.__getitem__)].append(link)
    return [Known(side.kind, side.value, _evidence(own[side])) for side in reached]


def _disputes(customer: Customer, disputed: set[Identifier]) -> list[Disputed]:
    claims: defaultdict[Identifier, list[Link]] = defaultdict(list)
    for link in customer.links.standing:
        for side in {link.other, _disputed_side(customer, link)} & disputed:
            claims[side].append(link)
    return [
        Disputed(side.kind, side.value, _evidence(claims[side])[:MAX_DISPUTED])
        for side in sorted(disputed, key=strength)
    ]


def _disputed_side(customer: Customer, link: Link) -> Identifier:
    """The side of a fact that it claims for the other side's customer. An e-mail address that is somebody's claims the
    billing id that it was carried with; one that is held claims nothing."""
    for side in link.pair:
        if side in customer.links.held:
            return side
    leads = (link.one.kind, link.other.kind) == ("billing_id", "email")
    return link.one if leads and customer.links.customer(link.other)[0].kind in STRONG else link.other


def _evidence(links: Iterable[Link]) -> list[Evidence]:
    return [
        Evidence(
            link=link.id,
            one=link.one,
            other=link.other,
            how=link.how,
            source=link.source,
            verified=link.verified,
            receipt=link.receipt,
            received_at=rfc3339(link.received_at // 1_000),
            undone_at=None if link.undone_at is None else rfc3339(link.undone_at // 1_000),
            note=link.note,
        )
        for link in sorted(links, key=lambda link: (link.evidence, link.id))
    ]
