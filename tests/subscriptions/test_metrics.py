"""Churn, cohorts and periods over a few customers, computed by hand."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from tenure.subscriptions.fact import Fact
from tenure.subscriptions.metrics import churn, cohorts, explain_movements, explain_mrr, statement
from tenure.subscriptions.movements import Movement, movements
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.spells import spells
from tests.subscriptions.histories import DAY, SUBSCRIPTIONS, active, at, fact

UNTIL = date(2025, 12, 31)


def book(**histories: list[Fact]) -> list[Movement]:
    return [each for customer, facts in histories.items() for each in movements(customer, facts, Rules(), UNTIL)]


BOOK = book(
    grows=[active("2025-01-10", 4000), active("2025-03-10", 6000)],
    shrinks=[active("2025-01-10", 4000), active("2025-03-11", 3000)],
    leaves=[active("2025-02-10", 2000), fact("2025-03-12", status="canceled")],
    comes=[active("2025-03-13", 1000), fact("2025-03-20", status="canceled"), active("2025-04-01", 1000)],
)


def test_churn_of_a_month() -> None:
    """Of 100.00 of three customers 20.00 left, 10.00 shrank, 20.00 grew; who came in between does not count."""
    march = churn(BOOK, "USD", date(2025, 3, 1), date(2025, 3, 31))
    assert (march.customers, march.lost, march.opening, march.closing) == (3, 1, 10000, 9000)
    assert march.customer_churn == Fraction(1, 3)
    assert march.gross_revenue_churn == Fraction(3, 10)
    assert march.net_revenue_churn == Fraction(1, 10)


def test_churn_of_nobody() -> None:
    """Where there was nothing to lose there is no rate."""
    none = churn(BOOK, "USD", date(2025, 1, 1), date(2025, 1, 31))
    assert (none.customer_churn, none.gross_revenue_churn, none.net_revenue_churn) == (None, None, None)


def test_a_month_in_one_row() -> None:
    """March opens with 100.00, has one movement of each kind but a return, and closes with 90.00."""
    (row,) = statement(BOOK, "month", date(2025, 3, 5), date(2025, 3, 6))
    assert (row.start, row.end, row.opening, row.closing) == (date(2025, 3, 1), date(2025, 4, 1), 10000, 9000)
    kinds = {"new": 1000, "expansion": 2000, "contraction": -1000, "churned": -3000, "reactivated": 0, "transfer": 0}
    assert row.movements == kinds | {"paused": 0, "resumed": 0}


def test_days_have_what_happened_on_them() -> None:
    """Neither the movement of the day before nor that of the day after."""
    rows = statement(BOOK, "day", date(2025, 3, 11), date(2025, 3, 12))
    assert [(row.opening, row.closing) for row in rows] == [(12000, 11000), (11000, 9000)]
    assert [row.movements["expansion"] for row in rows] == [0, 0]


def test_the_order_of_movements_does_not_matter() -> None:
    """Every metric takes them in any order."""
    march = date(2025, 3, 1), date(2025, 3, 31)
    for answer in (
        lambda book: statement(book, "month", *march, by_plan=True),
        lambda book: churn(book, "USD", *march),
        lambda book: cohorts(book, "USD", UNTIL),
        lambda book: explain_mrr(book, "USD", UNTIL),
        lambda book: explain_movements(book, "expansion", "USD", *march),
    ):
        assert answer(BOOK[::-1]) == answer(BOOK)


def test_weeks_begin_on_monday() -> None:
    """A week goes from Monday to Sunday, whichever of its days is named."""
    (row,) = statement(BOOK, "week", date(2025, 1, 8), date(2025, 1, 12))
    assert (row.start, row.end, row.closing) == (date(2025, 1, 6), date(2025, 1, 13), 8000)


def test_cohorts_of_the_first_months() -> None:
    """Two came in January and stayed, one in February for a month, one in March, left, and returned in April."""
    january, february, march = cohorts(BOOK, "USD", date(2025, 4, 15))
    assert (january.month, january.customers, january.mrr) == (date(2025, 1, 1), (2, 2, 2, 2), (8000, 8000, 9000, 9000))
    assert (february.customers, february.mrr) == ((1, 0, 0), (2000, 0, 0))
    assert (march.customers, march.mrr) == ((0, 1), (0, 1000))


def test_what_is_behind() -> None:
    """MRR of a day and the movements of a month, down to the subscription."""
    behind = explain_mrr(BOOK, "USD", date(2025, 3, 15))
    assert [(customer, change.after) for customer, change in behind] == [
        ("comes", 1000), ("grows", 6000), ("shrinks", 3000),
    ]  # fmt: skip
    gone = explain_movements(BOOK, "churned", "USD", date(2025, 3, 1), date(2025, 3, 31))
    assert [(movement.customer, change.subscription.id, change.before) for movement, change in gone] == [
        ("leaves", "s1", 2000), ("comes", "s1", 1000),
    ]  # fmt: skip


def test_very_many_subscriptions_of_one_customer() -> None:
    """They are one movement a day, in one currency, with each subscription behind it."""
    start = at("2025-01-01")
    facts = [
        Fact(source="s", customer="c1", subscription=str(number), effective_at=start + number % 50 * DAY, received_at=0,
             status="active", currency="USD", items=active("2025-01-01", 100).items)
        for number in range(SUBSCRIPTIONS)
    ]  # fmt: skip
    found = movements("c1", facts, Rules(), UNTIL)
    assert [movement.kind for movement in found] == ["new"] + ["expansion"] * 49
    assert found[-1].after == 100 * SUBSCRIPTIONS
    assert {len(movement.changes) for movement in found} == {SUBSCRIPTIONS // 50}


def test_a_spell_that_goes_on_lasts_at_least_until_it_was_seen() -> None:
    """The first day and the last count; as known earlier, a spell that ended since goes on."""
    ended = fact("2025-03-01", status="canceled", cause="voluntary", reason="price")
    (spell,) = spells([active("2025-01-01"), ended], Rules(), UNTIL)
    assert (spell.days, spell.cause, spell.reason) == (59, "voluntary", "price")
    (earlier,) = spells([active("2025-01-01"), ended], Rules(), date(2025, 1, 31), as_of=at("2025-01-31") * 1000)
    assert (earlier.end, earlier.cause, earlier.days) == (None, None, 31)


def test_a_day_is_what_it_was_when_it_ended() -> None:
    """What ends and begins again within a day is no movement; what begins and ends within one is none either."""
    facts = [active("2025-01-01"), fact("2025-02-01T08:00:00", status="canceled"), active("2025-02-01T09:00:00"),
             active("2025-02-01T08:00:00", subscription="s2"),
             fact("2025-02-01T09:00:00", status="canceled", subscription="s2")]  # fmt: skip
    assert [str(movement.day) for movement in movements("c1", facts, Rules(), UNTIL)] == ["2025-01-01"]


def test_the_future_is_not_yet() -> None:
    """An end that is set ahead is a movement from its day on."""
    facts = [active("2025-01-01", cancel_at="2025-02-01")]
    assert [each.kind for each in movements("c1", facts, Rules(), date(2025, 1, 31))] == ["new"]
    assert [each.kind for each in movements("c1", facts, Rules(), date(2025, 2, 1))] == ["new", "churned"]


def test_a_currency_that_changes_at_the_same_number() -> None:
    """50.00 EUR that become 50.00 USD are two movements."""
    found = movements("c1", [active("2025-01-01", 5000, currency="EUR"), active("2025-02-01", 5000)], Rules(), UNTIL)
    assert [(each.currency, each.kind) for each in found] == [("EUR", "new"), ("EUR", "churned"), ("USD", "new")]


def test_the_last_subscription_to_end_says_why() -> None:
    """Where several end on the day that a spell ends."""
    facts = [active("2025-01-01"), fact("2025-02-01T09:00:00", status="canceled", reason="price"),
             active("2025-01-01", subscription="s2"),
             fact("2025-02-01T08:00:00", status="canceled", reason="unused", subscription="s2")]  # fmt: skip
    (spell,) = spells(facts, Rules(), UNTIL)
    assert (spell.end, spell.reason) == (date(2025, 2, 1), "price")


def test_failed_payment_on_the_last_day_is_involuntary() -> None:
    """Also where a payment fails and the subscription ends within one day."""
    facts = [active("2025-01-01"), fact("2025-02-01T08:00:00", status="past_due"),
             fact("2025-02-01T09:00:00", status="canceled")]  # fmt: skip
    (spell,) = spells(facts, Rules(), UNTIL)
    assert spell.cause == "involuntary"
