"""Which identifiers are one customer, given every fact about them. Pure, and indifferent to the order of the facts.

    1. What a person linked or merged is one customer, and so are customer ids and uids that were carried together.
    2. An e-mail address belongs to the customer whose customer id or uid it was carried with, when that is one.
       With two or more it is ambiguous and links nothing.
    3. An anonymous id belongs to who claimed it first; a later claim by another is a conflict and moves nothing.
    4. The id of a churn event hangs on its customer and never joins two.

An e-mail address or anonymous id that a person has given to a customer is theirs: 2 and 3 decide only where nobody did.
A pair that was undone is undone whoever says it again, but for a person; a fact that is younger than the date asked for
does not exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from tenure.control.disjoint_sets import DisjointSets
from tenure.control.link import Link
from tenure.identity import CHURN_EVENT_ID, KINDS, Identifier

_STRENGTH = {kind: strength for strength, kind in enumerate((*KINDS, CHURN_EVENT_ID))}
_STRONG = frozenset({"customer_id", "uid"})

Sets = DisjointSets[Identifier]


class Partition(NamedTuple):
    """The customers that some facts make."""

    customers: Mapping[Identifier, tuple[Identifier, ...]]
    """By each identifier of a fact that stands, all identifiers of its customer, strongest first."""
    standing: Sequence[Link]
    """The facts that stood: of one customer, or (ambiguous, in conflict) between two."""
    undone: Sequence[Link]
    """Those that were undone."""

    def customer(self, identifier: Identifier) -> tuple[Identifier, ...]:
        """The identifiers of a customer, strongest first; one that no fact is about stands alone."""
        return self.customers.get(identifier, (identifier,))


def partition(facts: Iterable[Link], as_of: int | None = None) -> Partition:
    """The customers by all facts, or by those known at a time (`as_of`, microseconds since 1970 UTC, inclusive)."""
    standing, undone = _standing(facts, as_of)
    sets: Sets = DisjointSets()
    for link in standing:
        for side in link.pair:
            sets.root(side)
    for link in standing:
        if not link.automatic or _STRONG.issuperset(side.kind for side in link.pair):
            sets.join(*link.pair)
    automatic = [link for link in standing if link.automatic]
    _join_emails(sets, automatic)
    for kind in ("anonymous_id", CHURN_EVENT_ID):
        _join_first(sets, automatic, kind)
    customers = [tuple(sorted(members, key=strength)) for members in sets.sets()]
    return Partition({side: customer for customer in customers for side in customer}, standing, undone)


def strength(identifier: Identifier) -> tuple[int, str]:
    """Sorts identifiers: the strongest kind first, then by value. The first of a customer is its canonical one."""
    return _STRENGTH[identifier.kind], identifier.value


def _standing(facts: Iterable[Link], as_of: int | None) -> tuple[list[Link], list[Link]]:
    known = [link for link in facts if as_of is None or link.received_at <= as_of]
    ended = {link.pair for link in known if link.automatic and link.undone_by(as_of)}
    standing: list[Link] = []
    undone: list[Link] = []
    for link in known:
        gone = link.pair in ended if link.automatic else link.undone_by(as_of)
        later = link.undone_at is not None and not link.undone_by(as_of)
        (undone if gone else standing).append(link._replace(undone_at=None) if later else link)
    return standing, undone


def _join_emails(sets: Sets, automatic: Sequence[Link]) -> None:
    owned = _roots_with(sets, _STRONG)
    owners: defaultdict[Identifier, set[Identifier]] = defaultdict(set)
    for link in automatic:
        if link.other.kind == "email" and (root := sets.root(link.other)) not in owned:
            owners[root].add(sets.root(link.one))
    for email, found in owners.items():
        if len(found) == 1:
            sets.join(email, *found)


def _join_first(sets: Sets, automatic: Sequence[Link], kind: str) -> None:
    """Give each identifier of a kind, with those that are one with it, to its first claimant."""
    owned = _roots_with(sets, _STRENGTH.keys() - {kind})
    first: dict[Identifier, Link] = {}
    for link in automatic:
        if link.other.kind == kind and (root := sets.root(link.other)) not in owned:
            first[root] = min(first.get(root, link), link, key=lambda claim: (claim.evidence, claim.one))
    for root, claim in first.items():
        sets.join(root, claim.one)


def _roots_with(sets: Sets, kinds: Set[str]) -> set[Identifier]:
    """The roots of those sets that hold an identifier of one of these kinds."""
    return {sets.root(side) for side in sets if side.kind in kinds}
