"""Which identifiers are one customer, given every fact about them. Pure, and indifferent to the order of the facts.

    1. What a person linked or merged is one customer, and so are customer ids and uids that were carried together.
    2. An e-mail address belongs to the customer whose customer id or uid it was carried with, when that is one.
       With two or more it is ambiguous and links nothing.
    3. A billing id belongs to the customer whose customer id is the same; else to the first customer id or uid that it
       was carried with; else to the first customer who has an e-mail address that it was carried with; else it is one
       with its addresses, save ambiguous ones. An address that is nobody's else follows its billing id.
    4. An anonymous id belongs to who claimed it first; a later claim by another is a conflict and moves nothing.
    5. The id of a churn event hangs on its customer and never joins two.

What is weaker than a uid and was given to a customer by a person is theirs: 2 to 4 decide only where nobody did.
A pair that was undone is undone whoever says it again, but for a person; a fact that is younger than the date asked for
does not exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from tenure.control.disjoint_sets import DisjointSets
from tenure.control.holding import held, is_held_apart, without_the_held
from tenure.control.link import SAME_ID, Link, strength
from tenure.control.live_spans import Live, contested, live_spans
from tenure.identity import CHURN_EVENT_ID, KINDS, Identifier

_KINDS = frozenset((*KINDS, CHURN_EVENT_ID))
STRONG = frozenset({"customer_id", "uid"})
"""Kinds of identifier that stand for a customer by themselves."""

Sets = DisjointSets[Identifier]


class Partition(NamedTuple):
    """The customers that some facts make."""

    customers: Mapping[Identifier, tuple[Identifier, ...]]
    """By each identifier of a fact that stands, all identifiers of its customer, strongest first."""
    standing: Sequence[Link]
    """The facts that stood: of one customer, or (ambiguous, in conflict) between two."""
    undone: Sequence[Link]
    """Those that were undone."""
    held: Set[Identifier] = frozenset()
    """Identifiers that link nothing: see `holding`."""

    def customer(self, identifier: Identifier) -> tuple[Identifier, ...]:
        """The identifiers of a customer, strongest first; one that no fact is about stands alone."""
        return self.customers.get(identifier, (identifier,))


def partition(facts: Iterable[Link], as_of: int | None = None) -> Partition:
    """The customers by all facts, or by those known at a time (`as_of`, microseconds since 1970 UTC, inclusive)."""
    known = [link for link in facts if as_of is None or link.received_at <= as_of]
    said, undone = _standing(known, as_of)
    nobody = held(known, said)
    apart = [link for link in said if link.joins and is_held_apart(link, nobody)]
    ended = {link.pair for link in known if link.automatic and link.undone_by(as_of)}
    standing = [link for link in said if link.joins] + without_the_held(apart, nobody, ended)
    sets, claims = _strong_sets(standing, nobody)
    spans = live_spans(said)
    shared = _contested(standing, nobody, spans) if len(spans) > 1 else set()
    ambiguous = _join_emails(sets, [link for link in claims["email"] if link.one.kind in STRONG])
    leading = [link for link in claims["email"] if link.one.kind == "billing_id"]
    leading = [link for link in leading if sets.root(link.other) not in ambiguous and link.other not in shared]
    _join_billing_ids(sets, claims["billing_id"], leading)
    for kind in ("anonymous_id", CHURN_EVENT_ID):
        _join_first(sets, claims[kind], _roots_with(sets, _KINDS - {kind}))
    customers = [tuple(sorted(members, key=strength)) for members in sets.sets()]
    own = {side: customer for customer in customers for side in customer}
    return Partition(own, standing, [link for link in undone if link.joins], nobody)


def _strong_sets(standing: Iterable[Link], nobody: Set[Identifier]) -> tuple[Sets, defaultdict[str, list[Link]]]:
    """What is one by what is strong and by persons' word, and the other facts by the kind of the weaker side."""
    sets: Sets = DisjointSets()
    claims: defaultdict[str, list[Link]] = defaultdict(list)
    for link in standing:
        for side in link.pair:
            sets.root(side)
        if is_held_apart(link, nobody):
            continue
        if not link.automatic or (link.one.kind in STRONG and link.other.kind in STRONG):
            sets.join(*link.pair)
        else:
            claims[link.other.kind].append(link)
    return sets, claims


def _contested(
    standing: Iterable[Link], nobody: Set[Identifier], spans: dict[Identifier, list[Live]]
) -> set[Identifier]:
    """The addresses of several customers with live subscriptions, each a billing id or whose it is by id."""
    sets, claims = _strong_sets(standing, nobody)
    _join_first(sets, claims["billing_id"], _roots_with(sets, STRONG))
    paying = [link for link in claims["email"] if link.one.kind != "email"]
    return contested(paying, spans, sets.root)


def _standing(known: Sequence[Link], as_of: int | None) -> tuple[list[Link], list[Link]]:
    ended = {link.pair for link in known if link.automatic and link.undone_by(as_of)}
    standing: list[Link] = []
    undone: list[Link] = []
    for link in known:
        gone = link.pair in ended if link.automatic else link.undone_by(as_of)
        later = link.undone_at is not None and not link.undone_by(as_of)
        (undone if gone else standing).append(link._replace(undone_at=None) if later else link)
    return standing, undone


def _join_emails(sets: Sets, claims: Sequence[Link]) -> set[Identifier]:
    """Give each e-mail address to the one customer who claims it. Returns the roots of those that several claim."""
    owned = _roots_with(sets, STRONG)
    owners: defaultdict[Identifier, set[Identifier]] = defaultdict(set)
    for link in claims:
        if (root := sets.root(link.other)) not in owned:
            owners[root].add(sets.root(link.one))
    for email, (owner, *others) in owners.items():
        if not others:
            sets.join(email, owner)
    return {email for email, found in owners.items() if len(found) > 1}


def _join_billing_ids(sets: Sets, claims: Sequence[Link], leading: Sequence[Link]) -> None:
    """Give billing ids to who claims them, else to whom an e-mail address leads (`leading`: billing ids with addresses
    that are not ambiguous); what is left over is one, and goes where a billing id of one of its addresses went."""
    _join_first(sets, claims, _roots_with(sets, STRONG))
    owned = _roots_with(sets, STRONG)
    owners = [link._replace(one=link.other, other=link.one) for link in leading if sets.root(link.other) in owned]
    _join_first(sets, owners, owned)
    owned = _roots_with(sets, STRONG)
    for link in [link for link in leading if owned.isdisjoint(map(sets.root, link.pair))]:
        sets.join(*link.pair)
    _join_first(sets, [link for link in leading if sets.root(link.one) in owned], owned)


def _join_first(sets: Sets, claims: Iterable[Link], owned: Set[Identifier]) -> None:
    """Give each `other` of the claims, with those that are one with it, to its first claimant; those whose root is in
    `owned` are somebody's already. That an id is the same counts before all that was carried."""
    first: dict[Identifier, Link] = {}
    for link in claims:
        if (root := sets.root(link.other)) not in owned:
            first[root] = min(first.get(root, link), link, key=_precedence)
    for root, claim in first.items():
        sets.join(root, claim.one)


def _precedence(claim: Link) -> tuple[bool, tuple[int, str, int], Identifier]:
    return claim.how != SAME_ID, claim.evidence, claim.one


def _roots_with(sets: Sets, kinds: Set[str]) -> set[Identifier]:
    """The roots of those sets that hold an identifier of one of these kinds."""
    return {sets.root(side) for side in sets if side.kind in kinds}
