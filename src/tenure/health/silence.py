"""Names that fell silent: for one customer, or for everyone, which says that tracking is broken. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias

from tenure.health.history import BEFORE, RECENT, Doing, Elsewhere, Others
from tenure.wire.times import DAY_MS

SILENT_WEEKS: Final = 3
"""Weeks in which a name came at least, so that its silence says something."""
SILENT_DAYS: Final = 14
"""Days of silence at least."""
BROKEN_EVENTS: Final = 20
"""Events that others sent at least, so that their pause says something."""
BROKEN_SENDERS: Final = 3
"""Others that did it at least, in the `RECENT` days before it fell silent."""
BROKEN_DAYS: Final = 3
BROKEN_GAPS: Final = 20
"""Silence for everyone is one of more days, and longer than so many times the mean time between others' events."""


State: TypeAlias = Literal["broken", "retired"]
"""`retired` when it has been silent for more than `RECENT` days: then it is left out altogether."""


class Silent(NamedTuple):
    """A name that a customer did regularly, and does no more."""

    doing: Doing
    days: int
    usual: int
    """Days of the longest pause before."""
    weeks: int
    """Weeks in which it came."""


class Broken(NamedTuple):
    """A name that fell silent for everyone."""

    doing: Doing
    since: int
    """When anybody did it last, in milliseconds since 1970 UTC."""
    state: State


class Tracked(NamedTuple):
    """What a customer did, as far as tracking can be believed."""

    doings: tuple[Doing, ...]
    """Without names that are retired, and those that are broken counted back from when they fell silent."""
    broken: tuple[Broken, ...]


def tracked(doings: tuple[Doing, ...], others: Others, now: int) -> Tracked:
    """What a customer did, with broken tracking taken out."""
    kept, broken = [], []
    for doing in doings:
        found = find_broken(doing, others.get(doing.name), now)
        if found is None:
            kept.append(doing)
            continue
        broken.append(found)
        if found.state == "broken":
            kept.append(_counted_back(doing, (now - found.since) // DAY_MS))
    return Tracked(tuple(kept), tuple(broken))


def seems_broken(other: Elsewhere, now: int) -> bool:
    """Whether nobody does it for longer than can be chance; whether that is so of several, `senders` says."""
    gaps = BROKEN_GAPS * (other.last - other.first) // max(1, other.events - 1)
    return other.events >= BROKEN_EVENTS and now - other.last > max(BROKEN_DAYS * DAY_MS, gaps)


def state(other: Elsewhere, now: int) -> State | None:
    """Whether a name fell silent for everyone, and several did it until then; None when it did not."""
    if other.senders < BROKEN_SENDERS or not seems_broken(other, now):
        return None
    return "broken" if now - other.last <= RECENT * DAY_MS else "retired"


def find_broken(doing: Doing, other: Elsewhere | None, now: int) -> Broken | None:
    """Whether a name fell silent for everyone, and several did it until then; None when it did not."""
    if other is None:
        return None
    anybody = other._replace(last=max(other.last, doing.days[0].last))
    found = state(anybody, now)
    return None if found is None else Broken(doing, anybody.last, found)


def find_silent(doing: Doing) -> Silent | None:
    """Whether a name is silent: it came in three weeks at least, and its pause is the longest so far; None if not."""
    agos = [day.ago for day in doing.days]
    weeks = len({ago // 7 for ago in agos})
    usual = max((before - after for after, before in pairwise(agos)), default=0)
    pause = agos[0]
    if weeks < SILENT_WEEKS or pause < SILENT_DAYS or pause <= usual or pause >= RECENT + BEFORE:
        return None
    return Silent(doing, pause, usual, weeks)


def _counted_back(doing: Doing, days: int) -> Doing:
    return doing._replace(days=tuple(day._replace(ago=day.ago - days) for day in doing.days))
