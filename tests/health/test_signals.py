"""What names say, what silence says, and what an app may declare."""

from __future__ import annotations

from typing import Any

import pytest

from tenure.customers.naming import RECOGNISED as RECOGNISED_BY_VENDORS
from tenure.errors import BadRequest
from tenure.health.history import Elsewhere
from tenure.health.score import health
from tenure.health.settings import HealthSettings, Weights, changed
from tenure.health.signals import RECOGNISED, Signals, nps_answer
from tenure.health.silence import find_broken, find_silent
from tenure.wire.times import DAY_MS
from tests.health import histories
from tests.health.histories import NOW, at, doing

BILLING_OF_WHISPERR = """trial_started trial_converted trial_auto_renew_disabled membership_started renewal_succeeded
    auto_renew_disabled auto_renew_enabled membership_ended billing_issue_started billing_recovered refund_granted"""


def test_every_name_of_the_vendors_has_its_sign() -> None:
    """Windback's 13 names have its signs, Whisperr's 11 billing names are there, and of its automatic names only
    opened, viewed and push_opened are the customer's use."""
    by_sign = {name: RECOGNISED[name].sign for name in RECOGNISED_BY_VENDORS["windback"]}
    assert len(by_sign) == 13
    assert {name for name, sign in by_sign.items() if sign == "positive"} == {
        "login", "feature_used", "subscription_renewed", "subscription_upgraded", "support_ticket_resolved",
        "invoice_paid",
    }  # fmt: skip
    assert {name for name, sign in by_sign.items() if sign == "negative"} == {
        "subscription_downgraded", "support_ticket_opened", "invoice_overdue", "refund_requested",
    }  # fmt: skip
    assert {name for name, sign in by_sign.items() if sign == "neutral"} == {"trial_started", "trial_ended"}
    assert RECOGNISED["nps_response"].sign == "nps"
    assert RECOGNISED["support_ticket_opened"].strength < RECOGNISED["refund_requested"].strength
    billing = set(BILLING_OF_WHISPERR.split())
    assert billing <= RECOGNISED.keys() & RECOGNISED_BY_VENDORS["whisperr"]
    signals = Signals({})
    automatic = RECOGNISED_BY_VENDORS["whisperr"] - billing
    assert {name for name in automatic if signals.of(name).is_use} == {
        "app_opened", "page_viewed", "screen_viewed", "push_opened",
    }  # fmt: skip


def test_a_name_means_something_in_one_spelling_only() -> None:
    """Another spelling is another name, as everywhere: neutral until the app declares it."""
    assert Signals({}).of("featureUsed").source == "custom"
    assert Signals({"Feature Used": "positive"}).of("Feature Used").sign == "positive"
    assert not Signals({}).of("subscription_of_newsletter_changed").is_use
    assert Signals({"login": "negative"}).of("login").is_use is False


NO_ANSWERS = (
    "", "11", "-1", "-0", "7.5", "1e1", "09", "9" * 60, "null", "true", "[9]", '{"a":9}', '"NaN"', '"nine"', '""', '"9',
    '"\u0669"',
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "sign"),
    [("0", "negative"), ("6", "negative"), ("7", "neutral"), ("8", "neutral"), ("9", "positive"), ("10", "positive"),
     ("9.0", "positive"), ('"10"', "positive"), ('" 3 "', "negative"), ('"9.00"', "positive"),
     *((value, None) for value in NO_ANSWERS)],
)  # fmt: skip
def test_an_answer_is_a_whole_number_from_0_to_10(value: str, sign: str | None) -> None:
    """As a number or as text; anything else is no signal."""
    assert nps_answer(value) == sign


@pytest.mark.parametrize(
    ("days", "silent"),
    [
        ([14, 15, 21, 28], True),
        ([13, 15, 21, 28], False),  # not for 14 days yet
        ([14, 15, 20, 27], False),  # in days 14 to 20 and 21 to 27: two weeks only
        ([14, 28, 35], False),  # no longer than the pause before
        ([15, 28, 35], True),
        ([119, 130, 140], True),
        ([120, 130, 140], False),  # not lately
        ([20], False),
    ],
)
def test_silence_is_longer_than_usual(days: list[int], silent: bool) -> None:
    """In three weeks at least, then not for 14 days, the longest pause so far; and lately."""
    assert (find_silent(doing("login", days)) is not None) == silent


def elsewhere(**given: Any) -> Elsewhere:
    return Elsewhere(**{"events": 1_000, "first": at(100), "last": at(8), "senders": 3} | given)


@pytest.mark.parametrize(
    ("other", "state"),
    [
        (elsewhere(), "broken"),
        (elsewhere(senders=2), None),  # too few to speak of everyone
        (elsewhere(events=19), None),
        (elsewhere(events=20), None),  # one in five days: eight days of silence are chance
        (elsewhere(last=at(0)), None),
        (elsewhere(last=NOW - 3 * DAY_MS, events=10_000), None),
        (elsewhere(last=NOW - 3 * DAY_MS - 1, events=10_000), "broken"),
        (elsewhere(last=NOW - 30 * DAY_MS), "broken"),
        (elsewhere(last=NOW - 30 * DAY_MS - 1), "retired"),
        (None, None),
    ],
)
def test_silence_of_everyone_is_broken_tracking(other: Elsewhere | None, state: str | None) -> None:
    """When many events of several others end at once, the tracking is broken; one customer's end is only its own."""
    found = find_broken(doing("login", [40, 50]), other, NOW)
    assert (found and found.state) == state


def test_who_goes_on_shows_that_tracking_works() -> None:
    """A name that the customer itself sent lately is not broken, even if everybody else stopped."""
    assert find_broken(doing("login", [0, 1]), elsewhere(), NOW) is None


def test_broken_tracking_costs_nothing_and_ones_own_silence_does() -> None:
    """Who stops when everybody does has the points of who goes on; who stops alone has fewer."""

    def score(since: int, last_of_others: int) -> int:
        others = histories.others({"report_opened": {"events": 10_000, "last": last_of_others}})
        found = health(histories.history({"report_opened": range(since, 120)}), others, HealthSettings(), None)
        assert found.score is not None
        return found.score

    assert score(since=8, last_of_others=8) == score(since=0, last_of_others=0) == 100
    assert score(since=8, last_of_others=0) < 100


def test_settings_are_replaced_field_by_field() -> None:
    """What is given is replaced as a whole, what is not stays."""
    settings = changed(HealthSettings(), {"signals": {"a": "positive"}})
    settings = changed(settings, {"weights": {"recency": 0}})
    assert (settings.signals, settings.weights) == ({"a": "positive"}, Weights(recency=0))
    assert changed(settings, {"signals": {}, "weights": {}}) == HealthSettings()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"signals": {"secret": "sk_live_1"}}, "signals"),
        ({"signals": {"": "positive"}}, "signals"),
        ({"signals": {"x" * 257: "positive"}}, "signals"),
        ({"signals": {"\ud800": "positive"}}, "signals"),
        ({"signals": {str(n): "neutral" for n in range(501)}}, "signals"),
        ({"signals": None}, "signals"),
        ({"weights": {"recency": 101}}, "weights"),
        ({"weights": {"recency": 1.5}}, "weights"),
        ({"weights": {"luck": 1}}, "weights"),
        ({"weights": dict.fromkeys(Weights.__struct_fields__, 0)}, "weights"),
        ({"thresholds": {}}, "thresholds"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, Any], field: str) -> None:
    """The refusal names the field and what it takes, and no name or value of the request."""
    with pytest.raises(BadRequest) as refused:
        changed(HealthSettings(), given)
    assert refused.value.field == field
    assert not any(said in str(refused.value) for said in ("sk_live", "secret", "luck"))
