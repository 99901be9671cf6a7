"""Billing ids that had live subscriptions at the same time: two customers, whatever address they share. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from tenure.control.link import ENDED, SUBSCRIBED, Link
from tenure.identity import Identifier

FOREVER: Final = 2**62


class Live(NamedTuple):
    """From when until when a subscription was live, in milliseconds since 1970 UTC."""

    start: int
    end: int


def live_spans(standing: Iterable[Link]) -> dict[Identifier, list[Live]]:
    """When the subscriptions of each billing id were live."""
    told: defaultdict[tuple[Identifier, str], list[tuple[int, bool]]] = defaultdict(list)
    for link in standing:
        if link.how in (SUBSCRIBED, ENDED) and link.note:
            at, _, subscription = link.note.partition(" ")
            told[link.one, subscription].append((int(at), link.how == ENDED))
    spans: defaultdict[Identifier, list[Live]] = defaultdict(list)
    for (billing_id, _), times in told.items():
        spans[billing_id] += _spans(sorted(times))
    return dict(spans)


def _spans(times: list[tuple[int, bool]]) -> Iterator[Live]:
    began: int | None = None
    for at, has_ended in times:
        if not has_ended:
            began = at if began is None else began
        elif began is not None:
            if at > began:
                yield Live(began, at)
            began = None
    if began is not None:
        yield Live(began, FOREVER)


def contested(
    claims: Iterable[Link], spans: dict[Identifier, list[Live]], root: Callable[[Identifier], Identifier]
) -> set[Identifier]:
    """The addresses that lead to several customers of whom two had live subscriptions at the same time.

    `claims` are facts of addresses; `root` tells whose a billing id, customer id or uid is.
    """
    of_root: defaultdict[Identifier, list[Live]] = defaultdict(list)
    for billing_id, found in spans.items():
        of_root[root(billing_id)] += found
    roots: defaultdict[Identifier, set[Identifier]] = defaultdict(set)
    for link in claims:
        roots[link.other].add(root(link.one))
    return {
        address
        for address, found in roots.items()
        if len(found) > 1 and _overlap([(span, one) for one in found for span in of_root.get(one, ())])
    }


def _overlap(spans: list[tuple[Live, Identifier]]) -> bool:
    """Whether spans of two of them have a moment in common."""
    whose: Identifier | None = None
    latest = of_others = -FOREVER
    """The latest end so far, `whose` it is, and the latest of anybody else."""
    for span, one in sorted(spans):
        if span.start < (of_others if one == whose else latest):
            return True
        if one == whose:
            latest = max(latest, span.end)
        elif span.end > latest:
            whose, latest, of_others = one, span.end, latest
        else:
            of_others = max(of_others, span.end)
    return False
