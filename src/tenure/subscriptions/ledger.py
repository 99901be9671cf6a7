"""A customer's MRR from day to day: what each subscription comes to at the end of each day on which it changed.

Days are UTC. A subscription that changes several times within a day counts as what it was when the day ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Final, NamedTuple

from tenure.subscriptions.currency import Rates
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.mrr import Kept, Parts, kept, parts
from tenure.subscriptions.names import as_one
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.state import Span, State, timeline
from tenure.wire.times import DAY_MS

_EPOCH: Final = date(1970, 1, 1)
_DAYS: Final = (date.min - _EPOCH).days, (date.max - _EPOCH).days


class Subscription(NamedTuple):
    """Which subscription."""

    source: str
    id: str


class Level(NamedTuple):
    """What a subscription comes to from the end of a day on."""

    day: date
    subscription: Subscription
    currency: str
    parts: Parts
    state: State
    before: State
    """The state that came before; its own where there was none."""
    kept: Kept = ""
    """Why it goes on, where it had MRR and has none."""


def day_of(time: int) -> date:
    """The day of a time in milliseconds since 1970 UTC; of one that no calendar has, the nearest that one has."""
    return _EPOCH + timedelta(days=max(_DAYS[0], min(_DAYS[1], time // DAY_MS)))


def start_of(day: date) -> int:
    """The first millisecond of a day, since 1970 UTC."""
    return (day - _EPOCH).days * DAY_MS


def levels(
    facts: Iterable[Fact], rules: Rules, until: date, *, rates: Rates | None = None, as_of: int | None = None
) -> list[Level]:
    """The changes of a customer's subscriptions up to the end of a day, by day.

    `facts` are those of one customer, of any of its subscriptions, in any order. `as_of` is in microseconds. With rates
    every level is in their base currency, at the rate of the day on which the subscription changed. Raises BadRequest
    where a rate is missing.
    """
    found = from_timelines(timelines(facts, as_of), rules, until)
    return found if rates is None else [converted(level, rates) for level in found]


def timelines(facts: Iterable[Fact], as_of: int | None = None) -> dict[Subscription, list[Span]]:
    """The states over time of each subscription that facts received by `as_of` (microseconds) are about."""
    by_subscription = apart(as_one(fact for fact in facts if as_of is None or fact.received_at <= as_of))
    spans = {subscription: timeline(by_subscription[subscription]) for subscription in sorted(by_subscription)}
    return {subscription: known for subscription, known in spans.items() if known}


def apart(facts: Iterable[Fact]) -> dict[Subscription, list[Fact]]:
    """The facts of each subscription, with those of whom it is billed to."""
    found: defaultdict[Subscription, list[Fact]] = defaultdict(list)
    of_payer: defaultdict[tuple[str, str], list[Fact]] = defaultdict(list)
    payers: defaultdict[Subscription, set[tuple[str, str]]] = defaultdict(set)
    for fact in facts:
        if fact.is_of_payer:
            of_payer[fact.source, fact.payer].append(fact)
        else:
            one = Subscription(fact.source, fact.subscription)
            found[one].append(fact)
            payers[one].add((fact.source, fact.payer))
    for one, known in payers.items():
        found[one] += (fact for payer in sorted(known) for fact in of_payer.get(payer, ()))
    return found


def from_timelines(timelines: Mapping[Subscription, Iterable[Span]], rules: Rules, until: date) -> list[Level]:
    """The levels that a customer's subscriptions, in their order, come to by day; each in its own currency."""
    found = [level for subscription, spans in timelines.items() for level in _levels(subscription, spans, rules, until)]
    return sorted(found, key=lambda level: level.day)


def converted(level: Level, rates: Rates) -> Level:
    """A level in the base currency of some rates, at the rate of its day. Raises BadRequest where there is none."""
    parts = {plan: rates.convert(amount, level.currency, level.day) for plan, amount in level.parts.items()}
    return level._replace(currency=rates.base, parts=parts)


def _levels(subscription: Subscription, spans: Iterable[Span], rules: Rules, until: date) -> Iterator[Level]:
    held = _Worth("", {}, "")
    before: State | None = None
    for span in spans:
        worth = _worth(span.state, rules, held) if _holds_at_end_of_day(span, until) else held
        if worth[1:] != held[1:] or (worth.parts and worth != held):
            day = day_of(span.start)
            yield Level(day, subscription, worth.currency, worth.parts, span.state, before or span.state, worth.kept)
            held = worth
        before = span.state


class _Worth(NamedTuple):
    """What a subscription comes to."""

    currency: str
    parts: Parts
    kept: Kept


def _worth(state: State, rules: Rules, before: _Worth) -> _Worth:
    """One that had MRR, and that a pause or a concession keeps from having any, is kept; a first trial is not."""
    amounts = parts(state, rules)
    goes_on = not amounts and bool(before.parts or before.kept) and state.currency == before.currency
    return _Worth(state.currency, amounts, kept(state, rules) if goes_on else "")


def _holds_at_end_of_day(span: Span, until: date) -> bool:
    day = day_of(span.start)
    return day <= until and (span.end is None or day_of(span.end) > day)
