"""Quarantined elements through their dialects again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tenure import entry as entries
from tenure.entry import Entry
from tenure.errors import BadRequest
from tenure.event import Refusal
from tenure.identity import Identifier
from tenure.loader import rows
from tenure.receipt import is_receipt
from tenure.repair.preview import preview
from tenure.repair.replay import Quarantined, can_be_replayed, replayed
from tenure.repair.steps import Step, check
from tenure.wire.times import rfc3339
from tests.loader.test_tombstones import ERASED_AT, tombstones

APP = "app_0123456789abcdef"
RECEIPT = "0" * 31 + "1"
HOUR_MS = 3_600_000
SENT_AT, REPLAYED_AT = 1_780_000_000_000_000, 1_790_000_000_000_000


def quarantined(
    element: Any,
    *,
    dialect: str = "churnkey",
    path: str = "/v1/api/events/bulk",
    code: str = "missing_field",
    **more: Any,
) -> Quarantined:
    """An element in quarantine."""
    payload = element if isinstance(element, str) else msgspec.json.encode(element).decode()
    refusal = Refusal(index=3, code=code, message="…", field="event", payload=payload)
    place: dict[str, Any] = {"app": APP, "receipt": RECEIPT, "part": 2, "received_at": SENT_AT}
    return Quarantined(dialect=dialect, path=path, key_prefix="sk_live_abcd", verified=True, refusal=refusal,
                       **(place | more))  # fmt: skip


def replay(element: Any, *steps: Step, **more: Any) -> Entry:
    """The entry of its replay."""
    return replayed(quarantined(element, **more), steps, repair="r", at=REPLAYED_AT)


@pytest.mark.parametrize("path", ["/v1/api/events/bulk", ""])
def test_an_element_is_decoded_as_if_it_came_right(path: str) -> None:
    """Its dialect reads it as one element; it keeps who vouched for it, and what it is the replay of."""
    entry = replay({"name": "cancel", "customerId": 7}, Step("move", "name", "event"), path=path)
    (event,) = entry.events
    assert (event.name, event.customer_id, event.occurred_at) == ("cancel", "7", None)
    assert (entry.verified, entry.key_prefix, entry.dialect) == (True, "sk_live_abcd", "churnkey")
    assert entry.replay is not None
    assert (entry.replay.receipt, entry.replay.part, entry.received_at, entry.sent_at) == (
        RECEIPT, 2, REPLAYED_AT, SENT_AT)  # fmt: skip
    assert is_receipt(entry.receipt)
    assert entries.decode(entries.encode(entry)) == entry


@pytest.mark.parametrize(
    ("dialect", "path", "element"),
    [
        ("churnkey", "/v1/api/events/customer-update/set-users/bulk", {"customerId": "c", "users": [{"userId": "u"}]}),
        ("churnkey", "", {"customerId": "c", "users": [{"userId": "u"}]}),
        ("windback", "/api/v1/track", {"event": "a", "customer_email": "a@b.c"}),
        ("customerscore", "/api/tracker/track",
         {"name": "a", "timestamp": 1_780_000_000, "identification": {"customer": "c"}}),
        ("stripe", "/v1/billing/stripe/{app}",
         {"id": "evt_1", "object": "event", "type": "a", "data": {"object": {"customer": "cus_1"}}}),
    ],
)  # fmt: skip
def test_every_dialect_that_quarantines_elements_takes_them_again(dialect: str, path: str, element: Any) -> None:
    """Each element alone is a request of its operation."""
    assert can_be_replayed(dialect, path)
    entry = replay(element, Step("drop", "nothing"), dialect=dialect, path=path)
    assert len(entry.events) + len(entry.identifies) == 1
    assert entry.refusals == []


@pytest.mark.parametrize(
    ("element", "more", "code"),
    [
        ({"customerId": "c"}, {}, "missing_field"),
        ('{"customerId": "cut o', {}, "cut_off"),
        ([1], {}, "wrong_type"),
        ({"a": 1}, {"dialect": "whisperr", "path": "/v1/identify"}, "not_replayable"),
        ({"a": 1}, {"dialect": "import", "path": ""}, "not_replayable"),
        ({"id": "x", "object": "event", "type": "a"}, {"dialect": "stripe", "path": ""}, "no_customer"),
    ],
)
def test_what_cannot_be_used_still_is_told_why(element: Any, more: dict[str, Any], code: str) -> None:
    """A preview says why an element stays in quarantine; nothing is made of it."""
    seen = preview([quarantined(element, **more)], [Step("drop", "x")], 5, REPLAYED_AT)
    assert (seen.tried, seen.good, seen.reasons) == (1, 0, {code: 1})
    with pytest.raises(BadRequest):
        replay(element, Step("drop", "x"), **more)


@pytest.mark.parametrize("path", ["/v1/events/batch", "/v1/events/track"])
@pytest.mark.parametrize(("hours", "later", "is_taken"), [(1, 2, True), (1, 24 * 60, True), (48, 1, False)])
def test_what_was_dated_ahead_is_taken_once_its_time_has_come(
    path: str, hours: int, later: int, is_taken: bool
) -> None:
    """By the clock of the replay, and as it is, without a step; weeks later it is not too old."""
    occurred_at = SENT_AT // 1_000 + hours * HOUR_MS
    element = {"event_type": "a", "external_user_id": "u", "occurred_at": rfc3339(occurred_at),
               "context": {"$message_id": "m"}}  # fmt: skip
    found = quarantined(element, dialect="whisperr", path=path, code="dated_ahead")
    at = SENT_AT + later * HOUR_MS * 1_000
    assert can_be_replayed("whisperr", path)
    check([], "dated_ahead")
    assert preview([found], [], 5, at).good == is_taken
    if is_taken:
        (event,) = replayed(found, [], repair="r", at=at).events
        assert event.occurred_at == occurred_at
    else:
        with pytest.raises(BadRequest):
            replayed(found, [], repair="r", at=at)


def test_a_replay_is_the_same_each_time() -> None:
    """Made twice it is the same to the last byte; that of another element has another receipt."""
    one, again = (replay({"event": "a", "uid": "u"}, Step("drop", "x")) for _ in range(2))
    assert entries.encode(one) == entries.encode(again)
    assert replay({"event": "a", "uid": "u"}, Step("drop", "x"), part=3).receipt != one.receipt


def test_the_books_take_the_element_over_at_once() -> None:
    """One block has both: the element out of quarantine, and the event at the time when it was first received."""
    made = rows.block([replay({"event": "a", "uid": "u"}, Step("drop", "x"))])
    assert [(row[1].hex(), row[2], row[3], row[4], row[9]) for row in made.arrivals] == [
        (replay({"event": "a", "uid": "u"}, Step("drop", "x")).receipt, "event", 0, 0, "accepted"),
        (RECEIPT, "refusal", 3, 2, "replayed"),
    ]
    assert [(row[2].hex(), row[6], row[-2].hex()) for row in made.quarantined] == [
        (RECEIPT, "replayed", made.arrivals[0][1].hex())
    ]
    (copy,) = made.copies
    assert (copy.occurred_at, copy.row[14]) == (SENT_AT // 1_000, REPLAYED_AT)


def test_a_customer_who_was_erased_meanwhile_does_not_come_back() -> None:
    """What was sent before an erasure and is replayed after it leaves nothing but its arrival."""
    entry = replay({"event": "a", "uid": "jane"}, Step("drop", "x"), received_at=ERASED_AT * 1_000 - 1)
    made = rows.block([entry], tombstones(Identifier("uid", "jane")))
    assert (made.copies, made.quarantined) == ([], [])
    assert [row[9] for row in made.arrivals] == ["erased", "replayed"]


def test_a_preview_shows_what_would_become_of_some() -> None:
    """All are tried; both kinds are among the samples, with what they become or why they stay."""
    found = [quarantined({"name": "a", "uid": "u", "n": n}) for n in range(6)] + [quarantined({"name": "a"})] * 2
    seen = preview(found, [Step("move", "name", "event")], 4, REPLAYED_AT)
    assert (seen.tried, seen.good, seen.reasons) == (8, 6, {"missing_field": 2})
    assert [sample.is_good for sample in seen.samples] == [True, True, False, False]
    good, bad = seen.samples[0], seen.samples[-1]
    assert (good.name, good.identifiers, good.occurred_at) == ("a", (Identifier("uid", "u"),), SENT_AT // 1_000)
    assert (good.before, good.after) == ('{"name":"a","uid":"u","n":0}', '{"event":"a","n":0,"uid":"u"}')
    assert (bad.code, bad.field) == ("missing_field", "customerId")
