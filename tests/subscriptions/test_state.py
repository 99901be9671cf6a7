"""What a subscription was at any time, from what its source said, whole or in part, early or late."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tenure.subscriptions.fact import Fact, known
from tenure.subscriptions.state import timeline
from tests.subscriptions.histories import active, at, fact


def story(*facts: Fact, **options: Any) -> list[tuple[str, str]]:
    """Each date of a timeline with the status that begins there."""
    found: list[tuple[str, str]] = []
    for span in timeline(facts, **options):
        if not found or found[-1][1] != span.state.status:
            found.append((_date(span.start), span.state.status))
    return found


def _date(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).date().isoformat()


def test_no_facts_are_no_states() -> None:
    """Nothing said is nothing known."""
    assert timeline([]) == []


def test_a_fact_says_what_it_says_and_no_more() -> None:
    """Fields that a fact leaves unset keep what was said before."""
    last = timeline([active("2025-01-01", 2900), fact("2025-02-01", status="past_due")])[-1].state
    assert (last.status, last.items[0].amount, last.currency) == ("past_due", 2900, "USD")


def test_a_fact_that_names_states_counts_in_those_only() -> None:
    """Word of a late bill revives no subscription that ended, be it by a date set ahead; nor does it make one."""
    late = {"status": "past_due", "when": ["active"]}
    ended = [active("2025-01-01", cancel_at="2025-02-01"), fact("2025-03-01", **late)]
    assert story(*ended) == [("2025-01-01", "active"), ("2025-02-01", "canceled")]
    assert story(active("2025-01-01"), fact("2025-03-01", **late))[-1] == ("2025-03-01", "past_due")
    assert timeline([fact("2025-03-01", **late)]) == []


def test_the_sources_own_sequence_decides_at_equal_times() -> None:
    """Of two facts of one millisecond the one of the later version counts, whenever it was received."""
    one, other = active("2025-01-01", 1000, sequence=2), active("2025-01-01", 2000, sequence=1, received_at=2**50)
    assert timeline([one, other])[-1].state.items[0].amount == 1000


def test_of_two_statements_with_one_id_the_first_received_counts() -> None:
    """A message that is sent again with other content changes nothing."""
    first = active("2025-01-01", 9000, id="evt_1", received_at=5)
    again = active("2025-01-01", 1000, id="evt_1", received_at=6)
    assert known([again, first]) == [first]
    assert len(known([first, active("2025-01-01", id="evt_1", subscription="s2")])) == 2


def test_known_by_a_time() -> None:
    """A fact that was received later does not exist, and of two deliveries the first is the time of receipt."""
    ended = fact("2025-02-01", status="canceled", received_at=at("2025-03-01") * 1000)
    facts = [active("2025-01-01"), ended, msgspec.structs.replace(ended, received_at=at("2025-04-01") * 1000)]
    assert story(*facts, as_of=at("2025-02-15") * 1000) == [("2025-01-01", "active")]
    assert story(*facts, as_of=at("2025-03-15") * 1000) == [("2025-01-01", "active"), ("2025-02-01", "canceled")]


def test_an_end_is_told_afterwards() -> None:
    """A late word of the end counts from its time, against what facts in between said."""
    late = fact("2025-06-01", status="canceled", ended_at="2025-03-01")
    facts = active("2025-01-01"), fact("2025-04-01", status="past_due"), late
    assert story(*facts) == [("2025-01-01", "active"), ("2025-03-01", "canceled")]


def test_a_clock_that_is_ahead() -> None:
    """An end of a second after the fact that tells it is an end all the same; one ahead without it is set ahead."""
    ahead = fact("2025-03-01", status="canceled", ended_at="2025-03-01T00:00:01Z")
    assert story(active("2025-01-01"), ahead)[-1] == ("2025-03-01", "canceled")
    assert story(active("2025-01-01"), fact("2025-02-01", ended_at="2025-03-01"))[-1] == ("2025-03-01", "canceled")
    asked = fact("2025-02-01", canceled_at="2025-02-02", cancel_at="2025-03-01")
    assert story(active("2025-01-01"), asked)[-1] == ("2025-03-01", "canceled")


@pytest.mark.parametrize("effective", [-(2**48), 2**48])
def test_times_that_no_calendar_has(effective: int) -> None:
    """A clock that is wrong by millennia breaks nothing and hides nothing else."""
    wrong = msgspec.structs.replace(fact("2025-01-01", status="active"), effective_at=effective)
    spans = timeline([wrong, active("2025-01-01", 700)])
    held = [span for span in spans if span.start <= at("2025-06-01")][-1]
    assert held.state.items[0].amount == 700


def test_it_may_begin_again() -> None:
    """A live status takes the end back from its time on, with its reason."""
    facts = active("2025-01-01"), fact("2025-02-01", status="canceled", reason="price"), active("2025-05-01")
    assert story(*facts) == [("2025-01-01", "active"), ("2025-02-01", "canceled"), ("2025-05-01", "active")]
    assert timeline(facts)[-1].state.reason is None
    resumed = facts[0], facts[1], active("2025-05-01", started_at="2025-04-01")
    assert story(*resumed)[-1] == ("2025-04-01", "active")


def test_what_happened_replaces_what_was_set_ahead() -> None:
    """An end that came later than announced is when it came; one that tells no time was on the date announced."""
    announced = active("2025-01-01"), fact("2025-02-01", cancel_at="2025-03-01")
    assert story(*announced, fact("2025-03-09", status="canceled", ended_at="2025-03-08"))[-1][0] == "2025-03-08"
    assert story(*announced, fact("2025-03-09", status="canceled"))[-1][0] == "2025-03-01"
    assert story(*announced, fact("2025-02-10", status="canceled"))[-1][0] == "2025-02-10"


def test_a_renewal_takes_back_or_puts_off_an_end_that_was_set_ahead() -> None:
    """From the start of its period, not before the end; without a period, from its own time."""
    facts = active("2025-01-01"), fact("2025-02-01", cancel_at="2025-03-01", canceled_at="2025-02-01")
    assert story(*facts, fact("2025-03-01", status="active")) == [("2025-01-01", "active")]
    assert story(*facts, fact("2025-03-04", status="active"))[1:] == [
        ("2025-03-01", "canceled"),
        ("2025-03-04", "active"),
    ]
    renewed = active("2025-03-04", period_start="2025-02-20", cancel_at=None)
    assert story(*facts, renewed) == [("2025-01-01", "active")]
    asked = [(span.start, span.end) for span in timeline([*facts, renewed]) if span.state.cancel_at is not None]
    assert asked == [(at("2025-02-01"), at("2025-03-01"))]
    put_off = active("2025-03-04", period_start="2025-03-01", cancel_at="2025-04-01")
    assert story(*facts, put_off) == [("2025-01-01", "active"), ("2025-04-01", "canceled")]


def test_a_late_word_of_a_request_counts_from_the_request() -> None:
    """The request is known from its own time on."""
    spans = timeline([active("2025-01-01"), fact("2025-02-20", canceled_at="2025-02-03", cancel_at="2025-03-01")])
    assert next(span.start for span in spans if span.state.canceled_at is not None) == at("2025-02-03")


def test_a_reason_that_is_reported_later_is_that_of_the_end() -> None:
    """It counts from the end on, and so does whose doing it was."""
    facts = active("2025-01-01"), fact("2025-02-01", status="canceled"), fact("2025-02-09", reason="price")
    spans = timeline([*facts, fact("2025-02-10", cause="involuntary")])
    assert [(span.start, span.state.reason, span.state.cause) for span in spans if span.state.status == "canceled"] == [
        (at("2025-02-01"), "price", "involuntary")
    ]


def test_what_was_before_the_first_fact() -> None:
    """A fact that names an earlier start tells the past: a trial as long as it was one, then paying."""
    late = active("2025-06-01", started_at="2025-01-01", trial_end="2025-02-01")
    assert story(late) == [("2025-01-01", "trialing"), ("2025-02-01", "active")]
    assert story(fact("2025-06-01", status="trialing", started_at="2025-01-01")) == [("2025-01-01", "trialing")]
    assert story(fact("2025-02-01", status="past_due"), late)[0] == ("2025-01-01", "trialing")
    spans = timeline([active("2025-03-01", 500), active("2025-06-01", 900, started_at="2025-01-01")])
    assert [(span.start, span.state.items[0].amount) for span in spans[:1]] == [(at("2025-01-01"), 500)]


def test_a_trial_does_not_become_paid_by_itself() -> None:
    """Until somebody says so, a trial that is over is a trial."""
    assert story(active("2025-01-01", status="trialing", trial_end="2025-01-15")) == [("2025-01-01", "trialing")]


def test_a_pause_ends_on_its_date() -> None:
    """Whether the source says so by a status or beside it."""
    pause = {"starts_at": "2025-02-01", "ends_at": "2025-03-01"}
    expected = [("2025-01-01", "active"), ("2025-02-01", "paused"), ("2025-03-01", "active")]
    assert story(active("2025-01-01", pause=pause)) == expected
    assert story(active("2025-01-01"), fact("2025-02-01", status="paused", pause=pause)) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"currency": "usd"},
        {"items": [{"amount": 1.5}]},
        {"items": [{"amount": 2**63}]},
        {"items": [{"amount": 1, "count": 0}]},
        {"items": [{"amount": 1, "unit": "fortnight"}]},
        {"discounts": [{"percent": "101"}]},
        {"discounts": [{"percent": "NaN"}]},
        {"discounts": [{"percent": "1E-99999999"}]},
        {"effective_at": 2**60},
    ],
)
def test_what_is_no_fact_is_refused(wrong: dict[str, Any]) -> None:
    """Floats, unknown units and numbers out of range do not come in."""
    whole = {"source": "s", "customer": "c", "subscription": "s", "effective_at": 0, "received_at": 0} | wrong
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(whole, Fact)


def test_many_facts_of_one_subscription_are_as_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 500 webhooks of a subscription that is going to end, or has ended, says since when; states before them
    are not made anew for each."""
    steps = 0
    replace = msgspec.structs.replace

    def counted(state: Any, **fields: Any) -> Any:
        nonlocal steps
        steps += 1
        return replace(state, **fields)

    monkeypatch.setattr("tenure.subscriptions.state.msgspec.structs.replace", counted)
    going = {"status": "active", "canceled_at": "2025-02-01", "cancel_at": "2199-01-01", "period_start": "2025-02-01"}
    gone = {"status": "canceled", "canceled_at": "2025-02-01", "cancel_at": "2025-02-10", "ended_at": "2025-02-20"}
    times = [f"2025-03-01T{minute // 60:02}:{minute % 60:02}" for minute in range(500)]
    for said in (going, gone):
        steps = 0
        assert timeline([active("2025-01-01"), *(fact(time, **said) for time in times)])[-1].state.status == "canceled"
        assert steps < 10 * len(times)
