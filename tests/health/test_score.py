"""What holds for every score: it adds up, does not depend on order, and more use or bad news moves it one way."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.health.billing import Billing
from tenure.health.history import History
from tenure.health.parts import BILLING_LEVELS
from tenure.health.score import Health, health, in_short
from tenure.health.settings import HealthSettings, Weights
from tenure.health.signals import RECOGNISED
from tests.health import histories

USES = ("login", "feature_used", "report_opened", "page_viewed", "Contract Signed")
BAD = ("subscription_downgraded", "support_ticket_opened", "invoice.payment_failed", "Export Failed")
SETTINGS = HealthSettings(signals={"Contract Signed": "positive", "Export Failed": "negative"})
AGOS = st.lists(st.integers(0, 181), max_size=12)
ALIVE = {name: {"last": 0} for name in USES}
KNOWN = 200
"""Days since the first event in histories that are made up, so that no other one is the first."""


def days(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, list[int]]]:
    return st.dictionaries(st.sampled_from(names), AGOS.filter(bool), max_size=len(names))


VALUES = st.sampled_from(["0", "6", "7", "9", '"10"', "11", "-1"])
ANSWERS = st.lists(st.tuples(st.integers(0, 119), VALUES), max_size=6)
VERIFIED = st.builds(lambda *parts: dict(pair for part in parts for pair in part.items()),
                     days(USES), days(BAD), days(("invoice_paid", "trial_ended", "app_updated")))  # fmt: skip
BILLING = st.none() | st.builds(
    Billing,
    status=st.sampled_from(sorted(BILLING_LEVELS)),
    past_due=st.booleans(),
    cancel_at=st.none() | st.just(histories.at(-10)),
    paying_since=st.none() | st.just(histories.at(10)) | st.just(histories.at(300)),
)


WEIGHTS = st.lists(st.integers(0, 100), min_size=6, max_size=6).filter(any)
SETTINGS_OF_ANY_WEIGHTS = WEIGHTS.map(
    lambda given: msgspec.structs.replace(
        SETTINGS, weights=Weights(**dict(zip(Weights.__struct_fields__, given, strict=True)))
    )
)
Verified = dict[str, list[int]]
Answers = list[tuple[int, str]]


def score(history: History, settings: HealthSettings = SETTINGS, billing: Billing | None = None) -> Health:
    return health(history, histories.others(ALIVE), settings, billing)


def number(found: Health) -> int:
    assert found.score is not None
    return found.score


@given(VERIFIED, ANSWERS, BILLING, SETTINGS_OF_ANY_WEIGHTS, st.integers(0, 400))
def test_points_add_up(verified: Verified, answers: Answers, billing: Billing | None,
                       settings: HealthSettings, known: int) -> None:  # fmt: skip
    """The parts' points are the score, what was possible is 100, and no part has more than it could."""
    found = score(histories.history(verified, answers=answers, known_days=known), settings, billing)
    if found.score is None:
        assert found.insufficient_data
        assert found.parts == []
        return
    assert not found.insufficient_data
    assert sum(part.points for part in found.parts) == found.score
    assert sum(part.possible for part in found.parts) == 100
    for part in found.parts:
        assert 0 <= part.points <= part.possible
        assert bool(part.evidence) != bool(part.left_out)
        assert part.possible == 0 or part.weight > 0
    assert in_short(found).score == found.score


@given(VERIFIED, ANSWERS, st.randoms())
def test_order_does_not_matter(verified: Verified, answers: Answers, random: Random) -> None:
    """The same events in another order, names and answers too, give the same answer to the letter."""
    one = histories.history(verified, answers=answers, known_days=KNOWN)
    mixed = one._replace(
        verified=tuple(random.sample(one.verified, len(one.verified))),
        answers=tuple(random.sample(one.answers, len(one.answers))),
    )
    assert msgspec.json.encode(score(one)) == msgspec.json.encode(score(mixed))


@given(VERIFIED, ANSWERS, BILLING, SETTINGS_OF_ANY_WEIGHTS, st.sampled_from(BAD), st.integers(0, 181))
def test_bad_news_never_raises(verified: Verified, answers: Answers, billing: Billing | None,
                               settings: HealthSettings, name: str, ago: int) -> None:  # fmt: skip
    """One more negative signal, whenever and of whatever name, never raises the score."""
    more = {**verified, name: [*verified.get(name, []), ago]}
    before, after = (
        score(histories.history(events, answers=answers, known_days=KNOWN), settings, billing)
        for events in (verified, more)
    )
    if before.score is not None:
        assert number(after) <= before.score


@given(VERIFIED, ANSWERS, SETTINGS_OF_ANY_WEIGHTS, st.integers(0, 29))
def test_a_bad_answer_never_raises_and_a_good_one_never_lowers(
    verified: Verified, answers: Answers, settings: HealthSettings, ago: int
) -> None:
    """An NPS answer of 6 is never better than none, one of 9 never worse."""
    none, bad, good = (
        score(histories.history(verified, answers=[*answers, *more], known_days=KNOWN), settings)
        for more in ([], [(ago, "6")], [(ago, "9")])
    )
    if none.score is not None:
        assert number(bad) <= none.score <= number(good)


@given(VERIFIED, ANSWERS, BILLING, SETTINGS_OF_ANY_WEIGHTS, st.sampled_from(USES), st.integers(0, 6))
def test_use_of_the_last_week_never_lowers(verified: Verified, answers: Answers,
                                           billing: Billing | None, settings: HealthSettings, name: str,
                                           ago: int) -> None:  # fmt: skip
    """One more use within the last seven days never lowers the score."""
    more = {**verified, name: [*verified.get(name, []), ago]}
    before, after = (
        score(histories.history(events, answers=answers, known_days=KNOWN), settings, billing)
        for events in (verified, more)
    )
    if before.score is not None:
        assert number(after) >= before.score


@given(VERIFIED, days(USES + BAD))
def test_what_is_unverified_counts_nowhere(verified: Verified, unverified: Verified) -> None:
    """Unverified events, however many, leave the score and its parts as they are, and are listed apart."""
    without = score(histories.history(verified, known_days=KNOWN))
    found = score(histories.history(verified, unverified=unverified, known_days=KNOWN))
    assert (found.score, found.parts) == (without.score, without.parts)
    recent = {name for name, agos in unverified.items() if min(agos) < 30}
    assert {item.name for item in found.signals.unverified} == recent


def test_a_weight_of_nothing_leaves_a_part_out() -> None:
    """A part without a weight takes and gives no points; without any part that has data there is no score."""
    only = dict.fromkeys(Weights.__struct_fields__, 0) | {"billing": 7}
    settings = msgspec.convert({"weights": only}, HealthSettings)
    history = histories.history({"login": range(20)})
    found = score(history, settings, Billing("paused"))
    assert (found.score, [(part.part, part.points, part.possible) for part in found.parts if part.possible]) == (
        40,
        [("billing", 40, 100)],
    )
    assert [reason.code for reason in score(history, settings).insufficient_data] == ["no_part"]


@pytest.mark.parametrize(
    ("known", "events", "codes"),
    [
        (13, 20, ["known_too_short"]),
        (14, 4, ["too_few_events"]),
        (13, 4, ["known_too_short", "too_few_events"]),
        (14, 5, []),
    ],
)
def test_what_is_too_little(known: int, events: int, codes: list[str]) -> None:
    """A score needs 14 days and 5 verified events, and says which of them is missing."""
    history = histories.history({"login": [0]}, known_days=known)._replace(events=events)
    assert [reason.code for reason in score(history).insufficient_data] == codes


def test_ten_thousand_names_are_bounded() -> None:
    """However many names a customer has, lists stay short and sums are of all."""
    settings = HealthSettings(signals={f"bad {n}": "negative" for n in range(500)})
    verified = {f"name {n}": [n % 30] for n in range(10_000)} | {f"bad {n}": [1] for n in range(500)}
    found = score(histories.history(verified, known_days=KNOWN), settings)
    assert len(msgspec.json.encode(found)) < 100_000
    assert len(found.signals.negative) == 50
    assert next(part for part in found.parts if part.part == "signals").points == 0


def test_use_of_long_ago_is_none() -> None:
    """Who did nothing for 182 days has no recency, and the evidence says no more than was looked at."""
    found = score(histories.history({"login": [200, 210, 220, 230, 240]}, known_days=400))
    evidence = [(one.what, one.value) for part in found.parts if part.part == "recency" for one in part.evidence]
    assert (found.score, evidence) == (0, [("no_use_within_days", 182)])


def test_every_status_and_date_of_billing_has_its_level() -> None:
    """A status has its share of the points; being past due, young or about to end takes more of them."""
    history = histories.history({"login": range(20)})
    settings = msgspec.convert(
        {"weights": dict.fromkeys(Weights.__struct_fields__, 0) | {"billing": 1}}, HealthSettings
    )

    def points(**given: object) -> int:
        return number(score(history, settings, histories.billing(given)))

    assert {status: points(status=status) for status in BILLING_LEVELS} == {
        "active": 100, "trialing": 60, "past_due": 40, "paused": 40, "incomplete": 40, "unpaid": 20, "canceled": 0,
    }  # fmt: skip
    assert points(status="active", paying_since=89) == 80
    assert points(status="active", paying_since=90) == 100
    assert points(status="active", past_due=True) == 40
    assert points(status="active", cancel_at=-5, paying_since=400) == 20
    assert [reason.code for reason in score(history, settings, Billing("unheard_of")).insufficient_data] == ["no_part"]


def test_negative_names_never_count_as_use() -> None:
    """What is bad news, or not done by the customer, is no use, recognised or declared."""
    names = [name for name, signal in RECOGNISED.items() if signal.sign == "negative" or not signal.by_customer]
    history = histories.history({name: range(20) for name in names if name != "nps_response"})
    found = score(history)
    assert {part.points for part in found.parts if part.part in ("recency", "frequency", "breadth")} == {0}
