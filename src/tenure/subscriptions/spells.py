"""Spells of being a paying customer: churn as an outcome.

A spell goes from the first day at whose end the customer has MRR, of any subscription and currency, to the first at
whose end it has none, and none is kept by a pause or a concession. One that has not ended is right-censored: all that
is known is that it lasted until the day that was asked about.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import groupby
from typing import Final, NamedTuple

from tenure.subscriptions.fact import Cause, Fact
from tenure.subscriptions.ledger import Level, Subscription, levels
from tenure.subscriptions.rules import Rules

_UNPAID: Final = frozenset({"past_due", "unpaid"})


class Spell(NamedTuple):
    """A time of being a paying customer, within [start, end)."""

    start: date
    end: date | None
    """None: still paying at the end of `seen_until`."""
    seen_until: date
    """The last day that is known of."""
    cause: Cause | None
    reason: str | None
    """What the source gave as reason."""
    reactivated: bool
    """Whether there was one before."""

    @property
    def days(self) -> int:
        """How long it lasted; of one that goes on, at least."""
        return ((self.end or self.seen_until) - self.start).days + (self.end is None)


def spells(facts: Iterable[Fact], rules: Rules, until: date, *, as_of: int | None = None) -> list[Spell]:
    """The spells of the customer whose facts these are, seen at the end of a day; as known then with `as_of`.

    Currencies do not matter: whoever pays in another goes on paying.
    """
    return from_levels(levels(facts, rules, until, as_of=as_of), until)


def from_levels(ordered: Iterable[Level], until: date) -> list[Spell]:
    """The spells that a customer's levels, by day, are."""
    found: list[Spell] = []
    paying: set[Subscription] = set()
    start: date | None = None
    for day, group in groupby(ordered, key=lambda level: level.day):
        changed = list(group)
        for level in changed:
            (paying.add if level.parts or level.kept else paying.discard)(level.subscription)
        if paying and start is None:
            start = day
        elif not paying and start is not None:
            cause, reason = _outcome(changed)
            found.append(Spell(start, day, until, cause, reason, bool(found)))
            start = None
    if start is not None:
        found.append(Spell(start, None, until, None, None, bool(found)))
    return found


def _outcome(levels_of_day: Iterable[Level]) -> tuple[Cause, str | None]:
    """Whose doing the end of a spell is, by the last subscription that ended on its day.

    Without the source's word it is involuntary when payment had failed before.
    """
    ended = [level for level in levels_of_day if not level.parts and not level.kept]
    last = max(ended, key=lambda level: (level.state.ended_at or 0, level.subscription))
    state = last.state
    failed = not _UNPAID.isdisjoint((state.status, last.before.status))
    return state.cause or ("involuntary" if failed else "voluntary"), state.reason
