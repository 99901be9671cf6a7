"""What facts say does not depend on how they arrived, and no MRR is made or lost on the way."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.subscriptions.fact import STATUSES, Discount, Fact, Item, Pause, known
from tenure.subscriptions.metrics import churn, cohorts, explain_movements, explain_mrr, statement
from tenure.subscriptions.movements import Movement, movements
from tenure.subscriptions.mrr import parts, rounded
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.spells import spells
from tenure.subscriptions.state import timeline
from tests.subscriptions.histories import DAY, at

START = date(2023, 1, 1)
UNTIL = date(2025, 12, 31)
FIRST = at("2023-01-01")

times = st.integers(0, 1095 * 8).map(lambda eighth: FIRST + eighth * DAY // 8)
ahead = st.none() | times
items = st.lists(
    st.builds(
        Item,
        plan=st.sampled_from(["a", "b", ""]),
        amount=st.integers(-500, 9999),
        unit=st.sampled_from(["day", "week", "month", "quarter", "year"]),
        count=st.sampled_from([1, 2, 3]),
        kind=st.sampled_from(["recurring", "recurring", "metered", "one_off"]),
    ),
    max_size=3,
).map(tuple)
discounts = st.lists(
    st.builds(
        Discount,
        percent=st.none() | st.decimals(0, 100, places=1),
        amount=st.none() | st.integers(0, 3000),
        starts_at=ahead,
        ends_at=ahead,
        once=st.booleans(),
    ),
    max_size=2,
).map(tuple)
fields = {
    "status": st.sampled_from([*STATUSES, "active", "active", "active"]),
    "currency": st.sampled_from(["USD", "USD", "EUR"]),
    "items": items,
    "discounts": discounts,
    "started_at": ahead,
    "period_start": ahead,
    "trial_end": ahead,
    "pause": st.none() | st.builds(Pause, starts_at=times, ends_at=ahead),
    "canceled_at": ahead,
    "cancel_at": ahead,
    "ended_at": ahead,
    "reason": st.none() | st.sampled_from(["price", "unused"]),
}
priced = {"status": st.just("active"), "currency": st.just("USD"), "items": items}
rest = {name: strategy for name, strategy in fields.items() if name not in priced}
said = st.fixed_dictionaries(priced, optional=rest) | st.fixed_dictionaries({}, optional=fields)
rules = st.builds(
    Rules,
    cancel=st.sampled_from(["period_end", "request"]),
    discounts=st.sampled_from(["recurring", "all", "none"]),
    trials=st.sampled_from(["out", "in"]),
    unpaid=st.sampled_from(["out", "in"]),
    paused=st.sampled_from(["out", "in"]),
    metered=st.sampled_from(["out", "in"]),
    reactivation_days=st.none() | st.integers(0, 400),
)


@st.composite
def histories(draw: st.DrawFn, subscriptions: int = 3, ids: tuple[str, ...] = ("",)) -> list[Fact]:
    """Facts of some subscriptions of one customer, received in any order, some times and ids equal."""
    return [
        Fact(
            source="stripe",
            customer="c1",
            subscription=f"s{draw(st.integers(1, subscriptions))}",
            effective_at=draw(times),
            received_at=FIRST * 1000 + draw(st.integers(0, 20)),
            id=draw(st.sampled_from(ids)),
            sequence=draw(st.none() | st.integers(0, 2)),
            when=draw(st.sampled_from([(), (), ("active",), ("past_due", "unpaid")])),
            **draw(said),
        )
        for _ in range(draw(st.integers(0, 10)))
    ]


def answers(facts: Sequence[Fact], by: Rules, as_of: int | None = None) -> Any:
    by_subscription = defaultdict(list)
    for fact in facts:
        by_subscription[fact.subscription].append(fact)
    timelines = {name: spans for name, each in by_subscription.items() if (spans := timeline(each, as_of))}
    return timelines, movements("c1", facts, by, UNTIL, as_of=as_of), spells(facts, by, UNTIL, as_of=as_of)


conflicting = histories(ids=("", "evt_1", "evt_2"))


@given(conflicting, rules, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(facts: list[Fact], by: Rules, shuffle: random.Random) -> None:
    """Any permutation, some facts delivered again and later, gives the same timelines, movements and spells."""
    again = facts + [msgspec.structs.replace(fact, received_at=fact.received_at + 99) for fact in facts[::2]]
    shuffle.shuffle(again)
    assert answers(again, by) == answers(facts, by)


@given(histories(), rules, st.randoms(use_true_random=False))
def test_when_they_were_received_changes_nothing(facts: list[Fact], by: Rules, shuffle: random.Random) -> None:
    """Late and early webhooks end in the same answers, whatever the times of receipt, where times tell them apart."""
    facts = list({(fact.subscription, *fact.tie): fact for fact in facts}.values())
    received = [fact.received_at for fact in facts]
    shuffle.shuffle(received)
    others = [msgspec.structs.replace(fact, received_at=time) for fact, time in zip(facts, received, strict=True)]
    assert answers(others, by) == answers(facts, by)


@given(conflicting, rules, st.integers(-1, 21))
def test_as_of_is_what_was_answered_then(facts: list[Fact], by: Rules, micros: int) -> None:
    """As known at a time is what the facts received by then answer, with no word of later ones."""
    then = FIRST * 1000 + micros
    assert answers(facts, by, as_of=then) == answers([fact for fact in facts if fact.received_at <= then], by)


@given(histories(subscriptions=1))
def test_a_timeline_has_no_gaps(facts: list[Fact]) -> None:
    """Spans follow each other, none is empty, and the last has no end."""
    spans = timeline(facts)
    assert bool(spans) == any(not fact.when for fact in facts)
    for one, next_one in pairwise(spans):
        assert one.start < next_one.start == one.end
        assert one.state != next_one.state
    assert not spans or spans[-1].end is None


whole = st.fixed_dictionaries({name: strategy for name, strategy in fields.items() if name != "started_at"})


@given(st.lists(st.tuples(times, whole), min_size=1, max_size=6), st.data())
def test_lost_webhooks_end_in_the_same_state(said: list[tuple[int, dict[str, Any]]], data: st.DataObject) -> None:
    """Where facts are whole objects, any of them but the last may be missing and the present state is the same."""
    facts = [
        Fact(source="s", customer="c1", subscription="s1", effective_at=time, received_at=0, sequence=0, **fields)
        for time, fields in said
        if fields["status"] != "canceled" or fields["ended_at"] is not None
    ]
    facts = known(facts)
    kept = [fact for fact in facts[:-1] if data.draw(st.booleans())] + facts[-1:]
    for one, other in zip(timeline(facts)[-1:], timeline(kept)[-1:], strict=True):
        assert one.state == other.state


def days() -> Iterator[date]:
    day = START
    while day <= UNTIL:
        yield day
        day += timedelta(days=1)


def held_at(facts: Sequence[Fact], by: Rules) -> dict[date, dict[tuple[str, str], Fraction]]:
    """MRR at the end of each day by currency and plan, read off the timelines one day at a time."""
    found: dict[date, dict[tuple[str, str], Fraction]] = {}
    timelines = [timeline([fact for fact in facts if fact.subscription == name]) for name in ("s1", "s2", "s3")]
    worth = [[(span, parts(span.state, by)) for span in spans] for spans in timelines]
    for day in days():
        end = FIRST + ((day - START).days + 1) * DAY - 1
        sums: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for spans in worth:
            for span, amounts in spans:
                if span.start <= end and (span.end is None or end < span.end):
                    for plan, amount in amounts.items():
                        sums[span.state.currency, plan] += amount
        found[day] = {key: amount for key, amount in sums.items() if amount}
    return found


@settings(max_examples=40, deadline=None)
@given(histories(), rules)
def test_no_mrr_is_made_or_lost_in_three_years(facts: list[Fact], by: Rules) -> None:
    """Every day, in each currency and plan: opening + movements = closing, and closing is what the states come to."""
    found = movements("c1", facts, by, UNTIL)
    truth = held_at(facts, by)
    for row in statement(found, "day", START, UNTIL, by_plan=True):
        assert row.opening + sum(row.movements.values()) == row.closing
        assert row.closing == truth[row.start].get((row.currency, row.plan or ""), 0), row.start
    known = {(movement.currency, change.plan) for movement in found for change in movement.changes}
    assert {key for amounts in truth.values() for key in amounts} <= known
    for period in ("week", "month"):
        for rows in _by_currency(found, period).values():
            assert all(one.closing == following.opening for one, following in pairwise(rows))
            assert all(row.opening + sum(row.movements.values()) == row.closing for row in rows)


def _by_currency(found: Sequence[Movement], period: Any) -> dict[str, list[Any]]:
    rows = defaultdict(list)
    for row in statement(found, period, START, UNTIL):
        rows[row.currency].append(row)
    return rows


@settings(max_examples=40, deadline=None)
@given(histories(), rules)
def test_plans_add_up_to_the_whole(facts: list[Fact], by: Rules) -> None:
    """In each month and currency the plans' movements of each kind sum to the currency's; transfers sum to nothing."""
    found = movements("c1", facts, by, UNTIL)
    plans: defaultdict[tuple[date, str, str], Fraction] = defaultdict(Fraction)
    for row in statement(found, "month", START, UNTIL, by_plan=True):
        for kind, amount in row.movements.items():
            plans[row.start, row.currency, kind] += amount
    for row in statement(found, "month", START, UNTIL):
        assert row.movements["transfer"] == 0
        for kind, amount in row.movements.items():
            assert amount == plans[row.start, row.currency, kind]


@given(histories(), rules)
def test_what_is_behind_a_number_adds_up_to_it(facts: list[Fact], by: Rules) -> None:
    """The subscriptions behind MRR and behind each kind of movement sum to it; a movement is the sum of its changes."""
    found = movements("c1", facts, by, UNTIL)
    for movement in found:
        assert sum(change.after - change.before for change in movement.changes) == movement.amount
        assert movement.before >= 0 <= movement.after
    for row in statement(found, "month", UNTIL, UNTIL):
        behind = explain_mrr(found, row.currency, UNTIL)
        assert sum(change.after for _, change in behind) == row.closing
        for kind, amount in row.movements.items():
            changes = explain_movements(found, kind, row.currency, row.start, UNTIL)  # type: ignore[arg-type]
            assert sum(change.after - change.before for _, change in changes) == amount


@given(histories(), rules)
def test_spells_are_the_days_with_mrr(facts: list[Fact], by: Rules) -> None:
    """A spell starts where MRR of any currency begins, ends where all of it is gone, and the last may go on."""
    paying: defaultdict[str, bool] = defaultdict(bool)
    by_day: dict[date, bool] = {}
    for movement in movements("c1", facts, by, UNTIL):
        paying[movement.currency] = movement.after > 0 or movement.held
        by_day[movement.day] = any(paying.values())
    edges = []
    before = False
    for day, pays in by_day.items():
        if pays != before:
            edges.append(day)
        before = pays
    found = spells(facts, by, UNTIL)
    assert [day for spell in found for day in (spell.start, spell.end) if day] == edges
    assert [spell.end is None for spell in found] == [False] * (len(found) - before) + [True] * before
    assert [spell.reactivated for spell in found] == [place > 0 for place in range(len(found))]
    assert all((spell.cause is None) == (spell.end is None) for spell in found)


@given(histories(), rules)
def test_cohorts_and_churn_agree_with_mrr(facts: list[Fact], by: Rules) -> None:
    """The cohorts' MRR sums to all MRR, and over all time nobody who was not there is lost."""
    found = movements("c1", facts, by, UNTIL)
    for row in statement(found, "month", UNTIL, UNTIL):
        assert sum(cohort.mrr[-1] for cohort in cohorts(found, row.currency, UNTIL)) == row.closing
        lost = churn(found, row.currency, row.start, UNTIL)
        assert lost.opening == row.opening
        assert lost.kept <= lost.opening
        assert lost.gross_revenue_churn is None or 0 <= lost.gross_revenue_churn <= 1


@given(st.lists(st.fractions(-1000, 1000, max_denominator=365), max_size=12))
def test_rounding_keeps_the_sum(amounts: list[Fraction]) -> None:
    """Shown as whole units, amounts still sum to their rounded sum, each less than one unit off."""
    shown = rounded(amounts)
    assert sum(shown) == round(sum(amounts))
    assert all(abs(one - other) < 1 for one, other in zip(shown, amounts, strict=True))


def test_percents_are_decimals() -> None:
    """A third of a percent that no float holds is taken off exactly."""
    discount = Discount(percent=Decimal("33.33"))
    fact = Fact(source="s", customer="c", subscription="s", effective_at=0, received_at=0, status="active",
                currency="USD", items=(Item(amount=10000),), discounts=(discount,))  # fmt: skip
    assert parts(timeline([fact])[0].state, Rules()) == {"": Fraction(6667)}
