"""Which copies of an event are retries, by a rule that is stated in `docs/compatibility.md`."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.entry import Entry, Replay
from tenure.event import Event, Refusal
from tenure.loader.rows import precedence
from tenure.retries import CHURN_SECONDS, Received, duplicates, windows

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


def copy(number: int, at: float, seconds: int = 10, *, verified: bool = True) -> Received:
    event_id = number.to_bytes(16)
    return Received(precedence(START + int(at * SECOND), event_id), event_id, verified, seconds)


def stored(copies: list[Received], **more: Any) -> list[int]:
    return [int.from_bytes(one) for one, of in sorted(duplicates(copies, **more).items()) if of is None]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 8], [0]),
        ([0, 10], [0]),
        ([0, 10.000001], [0, 1]),
        ([0, 8, 16], [0, 2]),
        ([0, 5, 10, 15, 20, 25], [0, 3]),
        ([0, 100], [0, 1]),
    ],
)
@pytest.mark.rule("retries", "windback")
def test_a_copy_is_a_retry_of_a_stored_one_within_its_window(times: list[float], expected: list[int]) -> None:
    """What is a duplicate itself makes no other one a duplicate: what goes on for longer than the window is kept."""
    assert stored([copy(number, at) for number, at in enumerate(times)]) == expected


def test_an_unverified_copy_makes_no_verified_one_a_duplicate() -> None:
    """Nor does it stand beside one: of the two the verified one is stored, whichever came first."""
    for first, second in ((False, True), (True, False)):
        assert stored([copy(0, 0, verified=first), copy(1, 5, verified=second)]) == [int(second)]
    assert stored([copy(0, 0, verified=False), copy(1, 11)]) == [0, 1]


def test_a_reinstated_copy_changes_nothing_but_itself() -> None:
    """It is stored, and what was a duplicate or stored beside it stays so."""
    copies = [copy(number, at) for number, at in enumerate([0, 8, 9, 16])]
    assert stored(copies) == [0, 3]
    for number in range(4):
        again = stored(copies, reinstated=frozenset({number.to_bytes(16)}))
        assert number in again
    assert stored(copies, reinstated=frozenset({(1).to_bytes(16)})) == [0, 1, 3]


COPIES = st.lists(
    st.builds(
        lambda at, seconds, verified: (at, seconds, verified),
        st.integers(0, 60),
        st.sampled_from([0, 10, 30]),
        st.booleans(),
    ),
    max_size=12,
)


def made(found: list[tuple[int, int, bool]]) -> list[Received]:
    return [copy(number, at, seconds, verified=verified) for number, (at, seconds, verified) in enumerate(found)]


@given(COPIES)
def test_every_duplicate_is_one_of_a_stored_copy_near_it(found: list[tuple[int, int, bool]]) -> None:
    """And no two stored ones of one trust are near each other."""
    copies = made(found)
    by_id = {one.event_id: one for one in copies}
    told = duplicates(copies)
    assert told.keys() == by_id.keys()
    for one, of in told.items():
        if of is not None:
            later, earlier = by_id[one], by_id[of]
            if later.at < earlier.at:
                later, earlier = earlier, later
            assert told[of] is None
            assert later.at - earlier.at <= later.seconds * SECOND
            assert by_id[of].verified or not by_id[one].verified
    kept = [by_id[one] for one, of in told.items() if of is None]
    for one in kept:
        for other in kept:
            if one is not other and one.verified == other.verified and one.precedence < other.precedence:
                assert one.at - other.at > one.seconds * SECOND


@given(COPIES, st.integers(0, 12), st.randoms(use_true_random=False))
def test_what_was_settled_before_the_first_new_copy_stays(
    found: list[tuple[int, int, bool]], loaded: int, shuffled: random.Random
) -> None:
    """With copies that come later, all that was received a window before the first of them is as it was; and all since
    can be told from what was stored by then."""
    copies = made(found)
    shuffled.shuffle(copies)
    old, new = copies[:loaded], copies[loaded:]
    before, whole = duplicates(old), duplicates(copies)
    moment = min((one.at for one in new), default=0) - 30 * SECOND
    since = {one.event_id: whole[one.event_id] for one in copies if one.at >= moment}
    assert {one: of for one, of in whole.items() if one not in since} == {
        one: of for one, of in before.items() if one not in since
    }
    near = [one for one in copies if one.at >= moment - 60 * SECOND]
    assert duplicates(near, settled_before=moment, is_stored=lambda one: before[one] is None) == since


def sent(*events: Event, **more: Any) -> Entry:
    given = {"app": "app_a", "receipt": f"{1:032x}", "received_at": START, "dialect": "windback", "verified": True,
             "key_prefix": "sk", "key": "k1", "path": "/api/v1/track"}  # fmt: skip
    return Entry(**given | more, events=list(events))


LOGIN = Event(index=0, name="login", email="jane@x.example")
CANCELED = Event(index=0, name="churn_recorded", email="jane@x.example", properties='{"mrr":4900}')


@pytest.mark.rule("retries", "windback")
def test_what_has_no_window() -> None:
    """An id, an Idempotency-Key or a time says what is a copy of what; so does another vendor's wire, and 0 seconds."""
    for event, more in (
        (LOGIN, {"dialect": "native"}),
        (LOGIN, {"idempotency_key": "k"}),
        (LOGIN, {"retry_seconds": 0}),
        (Event(index=0, name="login", email="j@x.example", occurred_at=5, precise=True), {}),
        (Event(index=0, name="login", email="j@x.example", message_id="m"), {}),
        (Event(index=0, name="cancel_reason_reported", churn_event_id="c"), {"path": ""}),
    ):
        assert windows(sent(event, **more)) == [None]
    assert windows(sent(Event(index=0, name="login", email="j@x.example", occurred_at=0))) != [None]  # a date alone


@pytest.mark.rule("retries", "windback")
def test_what_is_the_same_request() -> None:
    """The same body under the same key: another key, event or place in a batch is another one."""
    logout = Event(index=1, name="logout", email="jane@x.example")
    (one,) = windows(sent(LOGIN))
    assert one is not None
    assert (one.seconds, one.longest) == (10, 300)
    assert windows(sent(LOGIN, receipt=f"{2:032x}", received_at=START + 1, retry_seconds=10)) == [one]
    joe = Event(index=0, name="login", email="joe@x.example")
    others = [sent(LOGIN, key="k2"), sent(joe), sent(LOGIN, app="app_b"),
              sent(LOGIN, refusals=[Refusal(index=1, code="missing_field", message="m", payload="{}")])]  # fmt: skip
    batches = [window for window in windows(sent(LOGIN, logout)) if window]
    twice = windows(sent(LOGIN, Event(index=1, name="login", email="jane@x.example")))
    keys = [one.key, *(window.key for entry in others for window in windows(entry) if window),
            *(window.key for window in [*batches, *twice] if window)]  # fmt: skip
    assert len(set(keys)) == len(keys) == 9


@pytest.mark.rule("retries", "windback")
def test_a_cancellation_is_the_same_under_any_key_of_the_app() -> None:
    """Of the same customer with the same content, for 24 hours; what the app says of requests does not matter."""
    (one,) = windows(sent(CANCELED, path="/api/v1/projects/{slug}/churn-events"))
    assert one is not None
    assert one.seconds == one.longest == CHURN_SECONDS == 86_400
    path = {"path": "/api/v1/projects/{slug}/churn-events"}
    assert windows(sent(CANCELED, key="k2", retry_seconds=0, **path)) == [one]
    for differs in ({"email": "joe@x.example"}, {"properties": '{"mrr":1}'}, {"name": "cancel_flow_submitted"}):
        said = {"index": 0, "name": "churn_recorded", "email": "jane@x.example", "properties": '{"mrr":4900}'} | differs
        (other,) = windows(sent(Event(**said), **path))
        assert other is not None
        assert other.key != one.key


def test_replays_of_one_request_are_told_from_each_other() -> None:
    """Two equal elements of a batch that were quarantined are two; those of the batch sent again are the same two."""

    def again(receipt: int, index: int) -> bytes:
        refusal = Refusal(index=index, code="c", message="m", payload="{}")
        replay = Replay(receipt=f"{receipt:032x}", received_at=START, part=index, refusal=refusal, repair="r")
        (window,) = windows(sent(LOGIN, replay=replay, receipt=f"{receipt * 7 + index:032x}"))
        assert window is not None
        return window.key

    assert again(1, 0) == again(2, 0) != again(1, 1) == again(2, 1)
