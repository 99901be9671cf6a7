"""What was positive, negative and silent lately, and what cannot be believed: the signals of one customer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from tenure.health.history import BEFORE, RECENT, Answer, Day, Doing, History, Others
from tenure.health.signals import Answered, Signal, Signals, Source, nps_answer
from tenure.health.silence import Broken, Silent, find_silent, tracked
from tenure.wire.times import DAY_MS, rfc3339

SHOWN: Final = 50
"""Names in each list, those that weigh most; sums are of all."""
EXAMPLES: Final = 3
"""Events that are named as examples: the last one of each of the latest days."""
COUNTED: Final = 3
"""So many events of a name weigh; more say nothing new."""
SILENT_WEIGHT: Final = 1
SILENT_MOST: Final = 2
"""What a silent name weighs, and all of them together at most."""


class Lately(msgspec.Struct):
    """A name with a sign, in the last 30 days. Times are RFC 3339 in UTC."""

    name: str
    count: int
    before_30_days: int
    """In the 30 days before those."""
    before_90_days: int
    last_seen: str
    weight: int
    """Strength times count, of which three count at most."""
    meant_by: Source
    event_ids: list[str]


class SilentName(msgspec.Struct):
    """A name that this customer did regularly, and does no more."""

    name: str
    days: int
    usual_days: int
    """The longest pause before."""
    weeks: int
    """Of the last 26, those with such an event."""
    last_seen: str
    weight: int
    event_ids: list[str]


class BrokenName(msgspec.Struct):
    """A name that nobody sends any more: broken tracking, which costs no points."""

    name: str
    state: str
    """`broken`: taken as of when it fell silent; `retired`, after 30 days: left out."""
    silent_since: str
    """When anybody did it last."""
    last_seen: str
    """When this customer did."""
    event_ids: list[str]


class UnreadableAnswers(msgspec.Struct):
    """NPS answers without a whole number from 0 to 10: no signal."""

    name: str
    count: int
    event_ids: list[str]


class Unverified(msgspec.Struct):
    """Events of the last 30 days that anybody could have sent: they count nowhere."""

    name: str
    count: int
    last_seen: str
    event_ids: list[str]


class Summary(msgspec.Struct):
    """What was positive, negative and silent lately; the lists begin with what weighs most."""

    positive: list[Lately]
    negative: list[Lately]
    silent: list[SilentName]
    broken_tracking: list[BrokenName]
    unreadable: list[UnreadableAnswers]
    unverified: list[Unverified]


class Judged(NamedTuple):
    """The summary in full, and what parts of the score are made of."""

    summary: Summary
    uses: tuple[Doing, ...]
    """What the customer did in the product."""

    @property
    def positive(self) -> int:
        """What speaks for the customer."""
        return sum(item.weight for item in self.summary.positive)

    @property
    def silence(self) -> int:
        """What silence weighs."""
        return min(SILENT_MOST, sum(item.weight for item in self.summary.silent))

    @property
    def negative(self) -> int:
        """What speaks against the customer, silence included."""
        return sum(item.weight for item in self.summary.negative) + self.silence

    def shown(self) -> Summary:
        """The summary as far as it is shown."""
        return Summary(*(items[:SHOWN] for items in msgspec.structs.astuple(self.summary)))


def judge(history: History, others: Others, signals: Signals) -> Judged:
    """The signals of a customer, in full."""
    uses = tuple(doing for doing in history.verified if not doing.by_billing and signals.of(doing.name).is_use)
    known = tracked(uses, others, history.now)
    silent = [found for doing in known.doings if (found := find_silent(doing))]
    summary = Summary(
        positive=_lately(history, signals, "positive"),
        negative=_lately(history, signals, "negative"),
        silent=[_silent(found) for found in sorted(silent, key=lambda found: (found.days, found.doing.name))],
        broken_tracking=[_broken(found) for found in sorted(known.broken, key=lambda found: found.doing.name)],
        unreadable=_unreadable(history),
        unverified=_unverified(history),
    )
    return Judged(summary, known.doings)


def examples(days: Iterable[Day]) -> list[str]:
    """The last events of the latest days, in hex."""
    return [day.event_id.hex() for day in sorted(days, key=when)[:EXAMPLES]]


def when(day: Day) -> tuple[int, bytes]:
    """What days are put in order by, the latest first."""
    return -day.last, day.event_id


def _lately(history: History, signals: Signals, sign: Answered) -> list[Lately]:
    """The names of one sign in the last 30 days, and NPS answers of that sign."""
    said = [doing for doing in history.verified if signals.of(doing.name).sign == sign]
    said += _answered(history, lambda answer: nps_answer(answer.value) == sign)
    found = [_item(doing, signals.of(doing.name)) for doing in said if doing.events(0, RECENT)]
    return sorted(found, key=lambda item: (-item.weight, -item.count, item.name))


def _item(doing: Doing, signal: Signal) -> Lately:
    count = doing.events(0, RECENT)
    return Lately(
        name=doing.name,
        count=count,
        before_30_days=doing.events(RECENT, 2 * RECENT),
        before_90_days=doing.events(RECENT, RECENT + BEFORE),
        last_seen=rfc3339(doing.days[0].last),
        weight=signal.strength * min(count, COUNTED),
        meant_by=signal.source,
        event_ids=examples(doing.days),
    )


def _answered(history: History, wanted: Callable[[Answer], bool]) -> list[Doing]:
    """The NPS answers that are wanted, by name and day."""
    answers = sorted(filter(wanted, history.answers), key=lambda answer: (answer.name, -answer.at, answer.event_id))
    found = []
    for name, of_name in groupby(answers, key=lambda answer: answer.name):
        days = []
        for ago, group in groupby(of_name, key=lambda answer: (history.now - answer.at) // DAY_MS):
            of_day = list(group)
            days.append(Day(ago, len(of_day), of_day[0].at, of_day[0].event_id))
        found.append(Doing(name, tuple(days)))
    return found


def _silent(found: Silent) -> SilentName:
    days = found.doing.days
    return SilentName(found.doing.name, found.days, found.usual, found.weeks, rfc3339(days[0].last), SILENT_WEIGHT,
                      examples(days))  # fmt: skip


def _broken(found: Broken) -> BrokenName:
    days = found.doing.days
    return BrokenName(found.doing.name, found.state, rfc3339(found.since), rfc3339(days[0].last), examples(days))


def _unreadable(history: History) -> list[UnreadableAnswers]:
    """NPS answers that are none, of the last 30 days."""
    found = _answered(history, lambda answer: nps_answer(answer.value) is None)
    return [
        UnreadableAnswers(doing.name, count, examples(doing.days))
        for doing in found
        if (count := doing.events(0, RECENT))
    ]


def _unverified(history: History) -> list[Unverified]:
    found = [
        Unverified(doing.name, count, rfc3339(doing.days[0].last), examples(doing.days))
        for doing in history.unverified
        if (count := doing.events(0, RECENT))
    ]
    return sorted(found, key=lambda item: (-item.count, item.name))
