"""All that a customer's facts come to, by one set of rules, and how the customer stands at a moment. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from fractions import Fraction
from typing import Final, NamedTuple

from tenure.errors import BadRequest
from tenure.subscriptions import movements, spells
from tenure.subscriptions.currency import UNKNOWN, Rates
from tenure.subscriptions.fact import Fact, Status
from tenure.subscriptions.ledger import Level, Subscription, converted, day_of, from_timelines, start_of, timelines
from tenure.subscriptions.movements import Movement
from tenure.subscriptions.mrr import is_unknown
from tenure.subscriptions.names import as_one
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.spells import Spell
from tenure.subscriptions.state import Span, State
from tenure.wire.times import DAY_MS

OWN: Final = ""
"""The book of amounts in the currency of each subscription; any other book has its currency's code."""
LIVE: Final[tuple[Status, ...]] = ("active", "past_due", "trialing", "unpaid", "paused")
"""What a subscription is that has begun and not ended. Of several, the first of these is the customer's status."""

_STANDINGS: Final[tuple[Status, ...]] = (*LIVE, "incomplete", "canceled")
_RENEWING: Final = frozenset({"active", "past_due", "trialing"})
_LAST: Final = date.max
SILENCE_MS: Final = 31 * DAY_MS
"""A renewal is told within so long, or none comes."""


class Account(NamedTuple):
    """What is known of a customer's subscriptions, ends and changes that are dated ahead included."""

    timelines: Mapping[Subscription, list[Span]]
    levels: Mapping[str, list[Level]]
    """By book. Without rates, or where one is missing, there is none but `OWN`."""
    spells: list[Spell]
    no_rate: bool
    """A rate is missing."""
    heard: Mapping[Subscription, int]
    """The latest time, in milliseconds, of which each subscription's facts say something."""

    def movements(self, rules: Rules) -> Mapping[str, list[Movement]]:
        """All movements, by book."""
        return {book: movements.from_levels("", levels, rules) for book, levels in self.levels.items()}


class Standing(NamedTuple):
    """How a customer stands at a moment. MRR is what it is when that day ends, as far as is known."""

    status: Status
    plans: tuple[str, ...]
    """Of all live subscriptions, in alphabetical order."""
    mrr: dict[str, dict[str, Fraction]]
    """By book and currency, in smallest units a month; none of nothing."""
    currencies: tuple[str, ...]
    """Of all subscriptions, with MRR or without."""
    past_due: bool
    """Whether a bill of any live subscription is late, or was given up."""
    renews_at: int | None
    """The next end of a period after which one goes on; times are milliseconds since 1970 UTC, here and below."""
    trial_end: int | None
    """The next end of a trial."""
    cancel_at: int | None
    """The next end of a subscription that is set ahead."""
    paying: Spell | None
    """The spell that goes on."""
    unpriced: int
    """Subscriptions that count and whose price, or a part of it, was never told: it is in no `mrr`."""
    silent: int
    """Live subscriptions whose period ended long ago, and of which nothing was heard since."""


def account(facts: Iterable[Fact], rules: Rules, rates: Rates | None = None, *, as_of: int | None = None) -> Account:
    """The account of the customer whose facts these are, as known then with `as_of` (microseconds)."""
    facts = as_one(fact for fact in facts if as_of is None or fact.received_at <= as_of)
    found = timelines(facts)
    heard: dict[Subscription, int] = {}
    for fact in (fact for fact in facts if not fact.is_of_payer):
        subscription = Subscription(fact.source, fact.subscription)
        heard[subscription] = max(heard.get(subscription, fact.effective_at), fact.effective_at)
    own = from_timelines(found, rules, _LAST)
    levels = {OWN: own}
    no_rate = False
    if rates is not None:
        try:
            levels[rates.base] = [converted(level, rates) for level in own]
        except BadRequest:
            no_rate = True
    return Account(found, levels, spells.from_levels(own, _LAST), no_rate, heard)


def standing(account: Account, now: int, rules: Rules) -> Standing | None:
    """How the customer stands at a time in milliseconds; None for whom no subscription has begun by then."""
    states = {one: state for one, spans in account.timelines.items() if (state := state_at(spans, now)) is not None}
    current = list(states.values())
    if not current:
        return None
    live = [state for state in current if state.status in LIVE]
    statuses = {state.status for state in current}
    today = day_of(now)
    renewals = [state.period_end for state in live if _renews(state)]
    return Standing(
        status=next(status for status in _STANDINGS if status in statuses),
        plans=tuple(sorted({item.plan for state in live for item in state.items or () if item.plan})),
        mrr={book: mrr_of(levels, today) for book, levels in account.levels.items()},
        currencies=tuple(sorted({state.currency for state in current} - {UNKNOWN})),
        past_due=not statuses.isdisjoint({"past_due", "unpaid"}),
        renews_at=_next(now, renewals),
        trial_end=_next(now, (state.trial_end for state in live if state.status == "trialing")),
        cancel_at=_next(now, (state.cancel_at for state in live)),
        paying=next((spell for spell in account.spells if is_within(spell, today)), None),
        unpriced=sum(is_unknown(state, rules) for state in current),
        silent=sum(is_silent(state, account.heard[one], now) for one, state in states.items()),
    )


def is_silent(state: State, heard: int, now: int) -> bool:
    """Whether a subscription goes on only because nobody said otherwise: its period ended over 31 days ago.

    `heard` is the latest time of which something was said.
    """
    if state.status not in _RENEWING or state.period_end is None:
        return False
    return max(state.period_end, heard) + SILENCE_MS <= now


def next_change(account: Account, now: int) -> int | None:
    """When the standing changes by itself after a time; both in milliseconds."""
    return _next(now, _changes(account, now))


def state_at(spans: Iterable[Span], now: int) -> State | None:
    """The state that holds at a time in milliseconds, if any does."""
    return next((span.state for span in spans if span.start <= now and (span.end is None or now < span.end)), None)


def mrr_of(levels: Iterable[Level], day: date) -> dict[str, Fraction]:
    """What a customer's levels, by day, come to when a day ends: smallest units a month, by currency."""
    held = {level.subscription: level for level in levels if level.day <= day}
    found: defaultdict[str, Fraction] = defaultdict(Fraction)
    for level in held.values():
        for amount in level.parts.values():
            found[level.currency] += amount
    return {currency: found[currency] for currency in sorted(found)}


def is_within(spell: Spell, day: date) -> bool:
    """Whether a day belongs to a spell."""
    return spell.start <= day and (spell.end is None or day < spell.end)


def _renews(state: State) -> bool:
    if state.status not in _RENEWING or state.period_end is None:
        return False
    return state.cancel_at is None or state.cancel_at > state.period_end


def _changes(account: Account, now: int) -> Iterator[int | None]:
    """Times of which the earliest that is ahead changes how the customer stands."""
    for subscription, spans in account.timelines.items():
        for span in spans:
            yield span.start
            if span.state.period_end is not None:
                yield max(span.state.period_end, account.heard[subscription]) + SILENCE_MS
            if span.end is None or span.end > now:
                yield from (span.state.period_end, span.state.trial_end, span.state.cancel_at)
    for level in account.levels[OWN]:
        yield start_of(level.day)


def _next(now: int, times: Iterable[int | None]) -> int | None:
    return min((time for time in times if time is not None and time > now), default=None)
