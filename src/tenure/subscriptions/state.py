"""A subscription's states over time, from its facts. Pure, and indifferent to the order in which they arrived.

1. Facts are taken in their total order; each changes the fields that it says, from its effective time on. One
   that names states counts only in those. What it does not say of an item stays as it is known of that item.
2. What a fact says of the past stands against what facts in between said: when the subscription ended, when it
   was asked to end and why, and, before the first fact, when it started.
3. A date that was set ahead acts by itself when it comes: cancel_at, the end of a pause, that of a discount. A
   trial does not turn into a paid subscription by itself. Which discounts there are, and when the end of one
   counts, is in `discounts`.
4. A live fact takes back or puts off an end that was only set ahead, or closes a trial, from the start of its
   period if it names one. So a missing "cancellation withdrawn" or "trial converted" leaves no gap.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from tenure.subscriptions.currency import UNKNOWN
from tenure.subscriptions.discounts import Untold, changed, dates, in_force, period_of, settled, told
from tenure.subscriptions.fact import Cause, Discount, Fact, Item, Pause, Status, known
from tenure.subscriptions.items import filled, priced, used
from tenure.subscriptions.periods import Period

_ALIVE: Final = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
_OF_THE_END: Final = frozenset({"status", "ended_at", "cause", "reason"})
_PAUSABLE: Final = frozenset({"active", "past_due"})


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What holds of a subscription at one time. Fields as in `Fact`; `discounts` are those in force."""

    status: Status = "incomplete"
    currency: str = UNKNOWN
    items: tuple[Item, ...] | None = None
    """None: nobody ever said."""
    discounts: tuple[Discount, ...] = ()
    payer_discounts: tuple[Discount, ...] = ()
    """Those of whom it is billed to, likewise; they count where it has none of its own."""
    untold: Untold = ""
    listed: tuple[Discount, ...] | None = None
    """The discounts as they were said; None: nobody ever said. This and `payer` are for `discounts.settled`, and empty
    in a state that is done."""
    payer: str = ""
    started_at: int | None = None
    period_start: int | None = None
    period_end: int | None = None
    trial_end: int | None = None
    pause: Pause | None = None
    canceled_at: int | None = None
    cancel_at: int | None = None
    ended_at: int | None = None
    cause: Cause | None = None
    reason: str | None = None


class Span(NamedTuple):
    """A state and when it holds: within [start, end), milliseconds since 1970 UTC; end None: from start on."""

    start: int
    end: int | None
    state: State


Piece = tuple[int, State]
"""A state with the time from which it holds."""


class Pieces(list[Piece]):
    """States by the time from which each holds, ascending.

    Every fact of a subscription that is going to end says again when that was asked for, and changes all states since
    then; so what all of them say already is remembered, or n facts would take n * n steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self._alike: dict[str, tuple[int, Any, int]] = {}
        """By field: from a time on, all states before a place have a value."""

    def put(self, at: int, state: State) -> None:
        """A state that holds from a time on, which is the last one's or after it."""
        if self and self[-1][0] == at:
            self.pop()
            self._alike = {name: (at, value, min(end, len(self))) for name, (at, value, end) in self._alike.items()}
        self.append((at, state))

    def put_first(self, pieces: Iterable[Piece]) -> None:
        """States that come before all others."""
        self[:0] = pieces
        self._alike.clear()

    def change(self, since: int, **fields: Any) -> None:
        """Change fields of all states from a time on."""
        place = self._split(since)
        first = len(self)
        for name, value in fields.items():
            at, same, end = self._alike.get(name, (since, value, place))
            if at > since or same != value or end < place:
                at, end = since, place
            first = min(first, end)
            self._alike[name] = at, value, len(self)
        for later in range(first, len(self)):
            start, state = self[later]
            self[later] = start, msgspec.structs.replace(state, **fields)

    def _split(self, since: int) -> int:
        """The place of the first state from a time on; one begins then, if there is one before."""
        place = bisect_left(self, since, key=lambda piece: piece[0])
        if place and (place == len(self) or self[place][0] > since):
            self.insert(place, (since, self[place - 1][1]))
            self._alike = {name: (at, value, end + (place < end)) for name, (at, value, end) in self._alike.items()}
        return place


def timeline(facts: Iterable[Fact], as_of: int | None = None) -> list[Span]:
    """The states of one subscription without gaps, by all its facts or those received by `as_of` (microseconds).

    Among the facts may be those of whom it is billed to.
    """
    by_payer: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_payer[fact.payer if fact.is_of_payer else ""].append(fact)
    own = known(by_payer.pop("", ()), as_of)
    if not own:
        return []
    theirs = {payer: found for payer, each in by_payer.items() if (found := known(each, as_of))}
    pieces = _folded(own)
    _fill_unpriced(pieces)
    terms = told(fact for each in (*theirs.values(), own) for fact in each)
    payers = {payer: _folded(each) for payer, each in theirs.items()}
    states: list[Piece] = []
    for start, end, state in _spans(list(settled(pieces, payers, terms))):
        for at, now in _by_itself(start, end, state, pieces[0][0]):
            if not states or states[-1][1] != now:
                states.append((at, now))
    return list(_spans(states))


def _folded(facts: Iterable[Fact]) -> Pieces:
    pieces = Pieces()
    for fact in facts:
        _take(pieces, fact)
    return pieces


def _spans(pieces: list[Piece]) -> Iterator[Span]:
    ends = [*(start for start, _ in pieces[1:]), None]
    return (Span(start, end, state) for (start, state), end in zip(pieces, ends, strict=False))


def _take(pieces: Pieces, fact: Fact) -> None:
    """Rules 1 and 2 for one fact, which comes after all that were taken before."""
    at, said = fact.effective_at, fact.said
    before = pieces[-1][1] if pieces else State()
    if fact.when and _status_at(before, at) not in fact.when:
        return
    if (usage := said.pop("usage", ())) and before.items is not None:
        said["items"] = used(before.items, usage)
    elif "items" in said:
        said = said | {"items": filled(said["items"], before.items or ())}
    if not said.keys().isdisjoint({"discounts", "put_on", "taken_off"}):
        there = said.pop("discounts", before.listed)
        said["listed"] = changed(there, said.pop("put_on", ()), said.pop("taken_off", ()))
    if fact.payer:
        said["payer"] = fact.payer
    state = msgspec.structs.replace(before, **_settled(said, before, at))
    if "started_at" in said:
        _fill_past(pieces, before, state, at)
    if state.status == "canceled":
        _end(pieces, before, state, said)
    elif "canceled_at" in said and state.canceled_at is not None and state.canceled_at < at:
        pieces.change(state.canceled_at, canceled_at=state.canceled_at)
    if state.status in _ALIVE and "period_start" in said:
        _bridge(pieces, before, state, at)
    pieces.put(at, state)


def _settled(said: dict[str, Any], before: State, at: int) -> dict[str, Any]:
    """What a fact says, with what follows from it: an end has a time and a status, and being alive takes it back."""
    ended_at = said.get("ended_at")
    set_ahead = before.cancel_at is not None and before.cancel_at <= at
    status = "canceled" if ended_at is not None and ended_at <= at else before.status
    status = said.get("status", status)
    if status == "canceled":
        times = ended_at, before.ended_at, before.cancel_at if set_ahead else None, at
        return said | {"status": status, "ended_at": min(next(time for time in times if time is not None), at)}
    if ended_at is not None:
        said = said | {"cancel_at": ended_at}
    if status in _ALIVE and (before.status == "canceled" or (set_ahead and "status" in said)):
        said = dict.fromkeys(("cancel_at", "canceled_at", "cause", "reason")) | said
    return said | {"ended_at": None}


def _end(pieces: Pieces, before: State, state: State, said: dict[str, Any]) -> None:
    """The end of a subscription stands, with its cause and reason, from its time on; what was set ahead yields."""
    if state.ended_at is None or _OF_THE_END.isdisjoint(said):
        return
    if before.cancel_at is not None and before.cancel_at < state.ended_at:
        pieces.change(before.cancel_at, cancel_at=None)
    pieces.change(state.ended_at, **{name: getattr(state, name) for name in _OF_THE_END})


def _fill_past(pieces: Pieces, before: State, state: State, at: int) -> None:
    """Where nothing is known, or the subscription had ended, it was alive from the start that the fact names.

    As what it was first known as: in trial until the trial's end, else active.
    """
    start = state.started_at
    if start is None or start >= at:
        return
    if not pieces or start < pieces[0][0]:
        first = pieces[0][1] if pieces and pieces[0][1].items else state
        pieces.put_first(_past(first, start, pieces[0][0] if pieces else at))
    elif before.status == "canceled" and start > pieces[-1][0]:
        pieces += _past(state, start, at)


def _fill_unpriced(pieces: Pieces) -> None:
    """What a line costs of which that was told only later; it is the same line, so it did all along."""
    later: tuple[Item, ...] = ()
    for place in range(len(pieces) - 1, -1, -1):
        at, state = pieces[place]
        if state.items is not None:
            items = priced(state.items, later)
            if items != state.items:
                pieces[place] = at, msgspec.structs.replace(state, items=items)
            later = items


def _past(state: State, start: int, end: int) -> list[Piece]:
    unknown = dict.fromkeys(("ended_at", "canceled_at", "cancel_at", "cause", "reason", "pause"))
    status: Status = state.status if state.status in ("incomplete", "trialing") else "active"
    past = msgspec.structs.replace(state, status=status, **unknown)
    trial_end = state.trial_end
    if trial_end is None or trial_end <= start:
        return [(start, past)]
    trial = msgspec.structs.replace(past, status="trialing")
    return [(start, trial), (trial_end, past)] if trial_end < end else [(start, trial)]


def _bridge(pieces: Pieces, before: State, state: State, at: int) -> None:
    """Rule 4: what a live fact says of the start of its period."""
    since = state.period_start
    if since is None or since > at or before.status not in _ALIVE:
        return
    if before.cancel_at is not None and before.cancel_at <= at:
        pieces.change(max(since, before.cancel_at), cancel_at=state.cancel_at, canceled_at=state.canceled_at)
    if before.status == "trialing" != state.status and before.trial_end is not None and since >= before.trial_end:
        pieces.change(since, status=state.status)


def _by_itself(start: int, end: int | None, state: State, origin: int) -> Iterator[tuple[int, State]]:
    """Rule 3: the states that one becomes by the dates set ahead in it, until the next begins."""
    changes = {start, state.cancel_at}
    if state.pause is not None:
        changes |= {state.pause.starts_at, state.pause.ends_at}
    period = period_of(state, origin)
    for discount in (*state.discounts, *state.payer_discounts):
        changes |= set(dates(discount, state.items or (), period))
    for at in sorted(date for date in changes if date is not None):
        if start <= at and (end is None or at < end):
            yield at, _at(state, at, period)


def _at(state: State, at: int, period: Period) -> State:
    fields: dict[str, Any] = {}
    for name, listed in (("discounts", state.discounts), ("payer_discounts", state.payer_discounts)):
        there = (in_force(each, at, state.items or (), period) for each in listed)
        fields[name] = tuple(each for each in there if each is not None)
    fields["status"] = _status_at(state, at)
    if fields["status"] == "canceled" != state.status:
        fields["ended_at"] = state.cancel_at
    return msgspec.structs.replace(state, **fields)


def _status_at(state: State, at: int) -> Status:
    """What it is by the dates that were set ahead: its end, and those of its pause."""
    pause = state.pause
    if state.cancel_at is not None and state.cancel_at <= at:
        return "canceled"
    if pause is not None and state.status in _PAUSABLE and _within(at, pause):
        return "paused"
    if pause is not None and state.status == "paused" and pause.ends_at is not None and pause.ends_at <= at:
        return "active"
    return state.status


def _within(at: int, limits: Pause) -> bool:
    return limits.starts_at <= at and (limits.ends_at is None or at < limits.ends_at)
