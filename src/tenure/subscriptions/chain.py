"""Puts changes of one moment in the order in which their source made them. Pure.

A source that tells with each change what was before it (Stripe's `previous_attributes`) tells an order without a clock:
what became so comes before what was so. Each change is a step from one mark to another, and the changes of a moment are
a path through all of them. Where a step is missing there are several paths, and receipt decides between those alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar


class Change(Protocol):
    """What is put in order."""

    @property
    def becomes(self) -> str:
        """The mark of what is so from it on; empty where the source tells none."""

    @property
    def was(self) -> str:
        """The mark of what was so before; empty for one that changed nothing, or of which that is not told."""

    @property
    def tie(self) -> tuple[int, int]:
        """Equal for changes of one moment."""

    @property
    def content(self) -> bytes:
        """All that it says."""


One = TypeVar("One", bound=Change)


def in_chains(ordered: Sequence[One]) -> list[One]:
    """Changes by moment, and within one by receipt: those of one moment by what they follow from, as far as is told."""
    found: list[One] = []
    rest = [list(moment) for _, moment in groupby(ordered, key=lambda change: change.tie)]
    for number, moment in enumerate(rest):
        if len(moment) > 1 and any(change.becomes for change in moment):
            before = next((change.becomes for change in reversed(found) if change.becomes), "")
            after = next((later.was for each in rest[number + 1 : number + 2] for later in each if later.was), "")
            found += [change for change in moment if not change.becomes]
            found += _paths([change for change in moment if change.becomes], before, after)
        else:
            found += moment
    return found


def _paths(changes: list[One], before: str, after: str) -> Iterator[One]:
    """All of them: first what goes on from `before`, last what leads to `after`, otherwise as they were received."""
    paths = [_path(part, before, after) for part in _parts(changes)]
    place = {id(change): number for number, change in enumerate(changes)}

    def rank(path: list[One]) -> tuple[bool, bool, int]:
        goes_on, leads_on = _was(path[0]) == before, path[-1].becomes == after
        return not goes_on, leads_on and not goes_on, min(place[id(change)] for change in path)

    for path in sorted(paths, key=rank):
        yield from path


def _parts(changes: list[One]) -> list[list[One]]:
    """Changes that have marks in common, each part in the order of receipt."""
    of_mark: dict[str, list[One]] = {}
    for change in changes:
        one, other = (of_mark.setdefault(mark, []) for mark in (_was(change), change.becomes))
        if one is not other:
            one += other
            for mark in {mark for each in other for mark in (_was(each), each.becomes)} | {change.becomes}:
                of_mark[mark] = one
        one.append(change)
    place = {id(change): number for number, change in enumerate(changes)}
    parts = {id(part): part for part in of_mark.values()}
    return [sorted(part, key=lambda change: place[id(change)]) for part in parts.values()]


def _path(part: list[One], before: str, after: str) -> list[One]:
    """Changes in one path, if there is one through all of them; else as they are."""
    balance = Counter(_was(change) for change in part)
    balance.subtract(change.becomes for change in part)
    starts = [mark for mark, count in balance.items() for _ in range(count)]
    if len(starts) > 1:
        return part
    if starts:
        return _through(part, starts[0])
    marks = balance.keys()
    return _through(part, next((mark for mark in (before, after) if mark in marks), _was(part[0])))


def _through(part: Iterable[One], start: str) -> list[One]:
    """The path from a mark through all changes (Hierholzer's algorithm). Receipt has no part in it."""
    ahead: defaultdict[str, list[One]] = defaultdict(list)
    for change in sorted(part, key=lambda change: change.content, reverse=True):
        ahead[_was(change)].append(change)
    way: list[tuple[str, One | None]] = [(start, None)]
    found: list[One] = []
    while way:
        mark, came_by = way[-1]
        if ahead[mark]:
            change = ahead[mark].pop()
            way.append((change.becomes, change))
        else:
            way.pop()
            if came_by is not None:
                found.append(came_by)
    return found[::-1]


def _was(change: Change) -> str:
    return change.was or change.becomes
