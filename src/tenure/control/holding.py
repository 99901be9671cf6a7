"""Identifiers that stand for nobody in particular, and so link nothing: placeholders, and what joins too many. Pure.

An identifier that verified automatic facts join to more than `MOST` customer ids, uids and billing ids of other kinds
than its own is held as ambiguous. All facts ever known count, those undone and those about who was erased since
included, and what a person said does not; so neither the order of the facts shows, nor is anybody joined again by an
erasure or a split. A person may say that an account really is so large.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from tenure.control.link import CARRIED, GONE, LARGE, SAME_ID, Link, strength
from tenure.identity import CHURN_EVENT_ID, Identifier, identity_key
from tenure.placeholder import is_placeholder

MOST: Final = 10
"""So many ids of other kinds an identifier may join."""
COUNTED: Final = frozenset({"customer_id", "uid", "billing_id"})
"""Kinds of identifier that are counted."""


def joined_by(known: Iterable[Link]) -> dict[Identifier, int]:
    """How many ids of other kinds each identifier joins, or ever joined."""
    joined: defaultdict[Identifier, set[Identifier]] = defaultdict(set)
    gone: defaultdict[Identifier, set[str]] = defaultdict(set)
    app = ""
    for link in known:
        app = link.app
        if link.how == GONE:
            gone[link.one].add(link.other.value)
        for side, other in counted(link):
            joined[side].add(other)
    found = {side: len(others) for side, others in joined.items()}
    for side, erased in gone.items():
        there = {identity_key(app, other).hex() for other in joined[side]}
        found[side] = len(joined[side]) + len(erased - there)
    return found


def counted(link: Link) -> Iterator[tuple[Identifier, Identifier]]:
    """For which side a fact counts, with the other: once, twice, or not at all."""
    if link.joins and link.automatic and link.verified and link.how != SAME_ID:
        for side, other in (link.pair, link.pair[::-1]):
            of_another = other.kind in COUNTED and side.kind not in {other.kind, CHURN_EVENT_ID}
            if of_another and not _is_nobody(other):
                yield side, other


def several(identifiers: Iterable[Identifier]) -> list[str]:
    """Of which of the kinds that are counted these are two or more: then they may be several customers."""
    kinds = Counter(identifier.kind for identifier in set(identifiers))
    return sorted(kind for kind in COUNTED if kinds[kind] > 1)


def held(known: Collection[Link], standing: Iterable[Link]) -> frozenset[Identifier]:
    """Those that link nothing, of all that facts are about."""
    sides = {side for link in known if link.joins for side in link.pair}
    nobody = {side for side in sides if _is_nobody(side)}
    if len(known) <= MOST:
        return frozenset(nobody)
    large = {link.one for link in standing if link.how == LARGE}
    return frozenset(nobody | {side for side, count in joined_by(known).items() if count > MOST and side not in large})


def is_held_apart(link: Link, held: Collection[Identifier]) -> bool:
    """Whether a fact joins nothing because one of its sides is held. A churn event hangs on whomever it is of, and an
    id that is the same is the same; a person's word counts, but for placeholders."""
    if link.how == SAME_ID or link.other.kind == CHURN_EVENT_ID:
        return False
    if not link.automatic:
        return any(map(_is_nobody, link.pair))
    return link.one in held or link.other in held


def without_the_held(apart: Iterable[Link], held: Collection[Identifier], ended: Collection[object]) -> list[Link]:
    """What else the elements said that carried an identifier that is held: that their other identifiers are one. Each
    such fact has the evidence of the element that said so first; `ended` pairs were undone."""
    together: defaultdict[tuple[object, ...], list[Link]] = defaultdict(list)
    for link in apart:
        if link.how == CARRIED and link.one in held and link.other not in held:
            together[link.one, link.source, link.verified, link.evidence].append(link)
    found = []
    for links in together.values():
        first, *others = sorted(links, key=lambda link: strength(link.other))
        found += [other._replace(one=first.other) for other in others if first.other.kind != other.other.kind]
    return [link for link in found if link.pair not in ended]


def _is_nobody(side: Identifier) -> bool:
    return is_placeholder(side.kind, side.value)
