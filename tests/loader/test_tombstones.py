"""What is old: of a customer who has been erased since."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tenure.control.erasures import ErasedAt
from tenure.entry import Entry
from tenure.event import Event, Identify, Refusal
from tenure.identity import Identifier, event_ids, identity_key
from tenure.loader import rows
from tenure.loader.columns import COLUMNS
from tenure.loader.tombstones import Tombstones, old_ids
from tenure.warehouse.first_copies import NOTHING_KNOWN, FirstCopy
from tenure.wire.times import DAY_MS

APP = "app_0123456789abcdef"
ERASED_AT = 1_000_000
"""Milliseconds since 1970, as `at` below."""


def an_entry(at: int, **parts: Any) -> Entry:
    return Entry(app=APP, receipt=f"{at:032x}", received_at=at * 1_000, dialect="native", verified=True, key_prefix="",
                 **parts)  # fmt: skip


def tombstones(*identifiers: Identifier) -> Tombstones:
    erased = ErasedAt(ERASED_AT * 1_000 + 999, ERASED_AT)
    return Tombstones({identity_key(APP, identifier): erased for identifier in identifiers})


JANE = tombstones(Identifier("uid", "jane"), Identifier("email", "jane@x.y"))


@pytest.mark.parametrize(
    ("received", "said", "old"),
    [(ERASED_AT, None, True), (ERASED_AT + 1, None, False), (ERASED_AT + 9, ERASED_AT, True),
     (ERASED_AT + 9, ERASED_AT + 1, False), (ERASED_AT, ERASED_AT + 99, True), (ERASED_AT + 9, -1, True)],
)  # fmt: skip
def test_old_is_what_was_received_or_happened_before(received: int, said: int | None, old: bool) -> None:
    """Up to the millisecond of the request, by either time; an identify like an event."""
    entry = an_entry(received)
    assert JANE.is_old(entry, Event(index=0, name="a", uid="jane", occurred_at=said)) is old
    assert JANE.is_old(entry, Identify(index=0, customer_id="c", email=" Jane@X.y", set_at=said)) is old
    assert not JANE.is_old(entry, Event(index=0, name="a", uid="john", occurred_at=said))


@pytest.mark.parametrize(
    ("order", "said", "old"),
    [(ERASED_AT, None, True), (ERASED_AT, ERASED_AT + 9, True), (ERASED_AT + DAY_MS + 1, None, False),
     (ERASED_AT + DAY_MS + 1, ERASED_AT + 1, False), (ERASED_AT + DAY_MS + 1, ERASED_AT, True)],
)  # fmt: skip
def test_old_is_told_by_the_order_of_receipt_and_not_by_the_wall_clock(order: int, said: int | None, old: bool) -> None:
    """The request was made while the clock was a day ahead; what was received is shown as a day before or after."""
    erased = Tombstones(
        {identity_key(APP, Identifier("uid", "jane")): ErasedAt((ERASED_AT + DAY_MS) * 1_000, ERASED_AT)}
    )
    for shown in (ERASED_AT - DAY_MS, ERASED_AT + 9 * DAY_MS):
        entry = msgspec.structs.replace(an_entry(shown), order=order * 1_000)
        assert erased.is_old(entry, Event(index=0, name="a", uid="jane", occurred_at=said)) is old
        assert erased.is_old(entry, Identify(index=0, uid="jane", set_at=said)) is old


def test_of_what_is_erased_only_the_arrival_is_left() -> None:
    """No row, no link and no payload; what came in one element goes together, and others stay."""
    said = [Event(index=0, name="a", uid="jane", customer_id="c"), Event(index=1, name="b", uid="john")]
    told = [Identify(index=0, uid="jane", traits='{"a":1}'), Identify(index=2, uid="john")]
    refused = [Refusal(index=3, code="bad", message="…", payload='{"id":"jane"}'),
               Refusal(index=4, code="bad", message="…", payload='{"id":"jane"}', reported=True)]  # fmt: skip
    block = rows.block([an_entry(ERASED_AT, events=said, identifies=told, refusals=refused)], JANE)
    assert [copy.row[6] for copy in block.copies] == ["john"]
    assert [row[10] for row in block.identifies] == ["john"]
    assert (block.links, block.quarantined) == ([], [])
    outcomes = {(row[2], row[3]): row[9] for row in block.arrivals}
    assert outcomes == {("event", 0): "erased", ("event", 1): "accepted", ("identify", 0): "erased",
                        ("identify", 2): "accepted", ("refusal", 3): "erased", ("refusal", 4): "rejected"}  # fmt: skip
    assert block.erased == 4


@pytest.mark.parametrize("verified", [False, True])
def test_the_arrival_of_what_is_erased_says_by_whose_word_it_came(verified: bool) -> None:
    """Else a verified event that was never stored would come again under another id than the erased one."""
    said = [Event(index=0, name="a", uid="jane", message_id="m")]
    entry = msgspec.structs.replace(
        an_entry(ERASED_AT, events=said, identifies=[Identify(index=1, uid="jane")]), verified=verified
    )
    arrivals = [dict(zip(COLUMNS["arrival"], row, strict=True)) for row in rows.block([entry], JANE).arrivals]
    assert [(row["outcome"], row["verified"]) for row in arrivals] == [("erased", verified)] * 2


def test_a_known_id_is_erased_whatever_its_time() -> None:
    """An event without a time of its own that comes again has the same message id, be it in the same block."""
    again = an_entry(ERASED_AT + 5, events=[Event(index=0, name="a", uid="jane", message_id="m")])
    first = an_entry(ERASED_AT, events=again.events)
    old = old_ids([again, first], JANE, NOTHING_KNOWN)
    assert old == set(event_ids(again))
    known = tombstones(Identifier("uid", "jane"))
    known.ids = old
    block = rows.block([again, first], known)
    assert (block.copies, block.erased, list(block.erased_ids)) == ([], 2, list(old))
    assert rows.erased_event_rows(block.erased_ids, dict.fromkeys(old, FirstCopy(1, b"", 0))) == []


@pytest.mark.parametrize(
    ("payload", "named"),
    [('{"email":"JANE@x.y"}', True), ('["jane"]', True), ('{"a":"x","b":"jane"', True), ('{"a":"not jane"}', False),
     ('{"a":"jan\\u0065"}', True), ('{"a":42}', True), ('{"a":421}', False), ('{"a":"cut off in jan', False),
     ("", False)],
)  # fmt: skip
def test_a_payload_names_a_customer_by_a_whole_value(payload: str, named: bool) -> None:
    """A text or an integer, however it is written, also where the payload was cut off; never a part of a text."""
    known = tombstones(Identifier("uid", "jane"), Identifier("email", "jane@x.y"), Identifier("customer_id", "42"))
    assert known.names(APP, payload) is named
