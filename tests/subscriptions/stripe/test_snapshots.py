"""Snapshots of subscriptions and webhooks stand in one order: a snapshot says what was so when it was taken."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.entry import Entry
from tenure.event import Event
from tenure.identity import content_hash, event_ids
from tenure.importer.stripe_file import TAKEN_AT, StripeReading
from tenure.subscriptions.fact import Fact
from tenure.subscriptions.mrr import mrr
from tenure.subscriptions.rules import Rules
from tenure.subscriptions.sources import stripe
from tenure.subscriptions.state import State, timeline
from tests.importer.rows import item as event_of
from tests.subscriptions.histories import at
from tests.subscriptions.stripe.webhooks import RECEIVED, event, item, items, seconds, subscription, webhook


def from_file(directory: Path, written: str, *objects: dict[str, Any]) -> list[Event]:
    """The events of a file of objects that was written at a time."""
    file = directory / f"{written}.jsonl"
    file.write_text("\n".join(json.dumps(each) for each in objects))
    os.utime(file, (seconds(written), seconds(written)))
    source, mapping = StripeReading().open(file)
    try:
        found = [event_of(mapping.take(row, number)) for number, row in enumerate(source.rows(0))]
    finally:
        source.close()
    assert all(isinstance(each, Event) for each in found)
    return found  # type: ignore[return-value]


def told(*events: Event, received: int = RECEIVED) -> list[Fact]:
    return [fact for place, each in enumerate(events) for fact in stripe.facts(each, received + place).facts]


def last(found: list[Fact]) -> State:
    """The state at the end, in whatever order the facts are loaded."""
    state = timeline(found)[-1].state
    for seed in range(4):
        shuffled = found * 2
        random.Random(seed).shuffle(shuffled)
        assert timeline(shuffled)[-1].state == state
    return state


def seats(number: int, **fields: Any) -> dict[str, Any]:
    return subscription(items=items(item(number)), **fields)


@given(st.integers(1, 50), st.integers(1, 50))
def test_of_two_snapshots_the_later_taken_counts(first: int, second: int) -> None:
    """Whatever their content is, within one billing period; by receipt where nothing says when they were taken."""
    found = told(event(seats(first)), event(seats(second)))
    assert mrr(last(found), Rules()) == 3000 * (second if first != second else first)


def test_files_are_as_of_when_they_were_written(tmp_path: Path) -> None:
    """Imported in either order the later one counts; a downloaded object says the time itself."""
    one, two = from_file(tmp_path, "2026-03-10", seats(9)), from_file(tmp_path, "2026-03-12", seats(10))
    for events in ([*one, *two], [*two, *one]):
        assert mrr(last(told(*events)), Rules()) == 30_000
    (three,) = from_file(tmp_path, "2026-03-09", seats(11) | {TAKEN_AT: seconds("2026-03-14")})
    assert mrr(last(told(three, *two)), Rules()) == 33_000
    assert TAKEN_AT not in three.properties
    assert told(three)[0].effective_at == at("2026-03-14")


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        ({"status": "past_due"}, {}),
        ({"cancel_at_period_end": True, "cancel_at": seconds("2026-04-01"), "canceled_at": seconds("2026-03-05")}, {}),
        ({}, {"status": "past_due"}),
        ({}, {"items": items(item(4))}),
    ],
)
def test_what_only_a_snapshot_saw_counts(tmp_path: Path, known: dict[str, Any], seen: dict[str, Any]) -> None:
    """A payment, an un-cancellation, a failed bill, or seats, of which no webhook came; later webhooks count on."""
    webhooks = [event(webhook("2026-03-01", "created")), event(webhook("2026-03-05", **known))]
    (snapshot,) = from_file(tmp_path, "2026-03-20", subscription(**seen))
    state = last(told(*webhooks, snapshot))
    (alone,) = from_file(tmp_path, "2026-03-21", subscription(**seen))
    assert (state.status, state.items, state.cancel_at) == (
        (expected := last(told(alone))).status, expected.items, expected.cancel_at
    )  # fmt: skip
    later = event(webhook("2026-03-25", items=items(item(7))))
    assert mrr(last(told(later, snapshot, *webhooks)), Rules()) == 21_000


def test_an_older_snapshot_that_is_imported_later_changes_nothing(tmp_path: Path) -> None:
    """A file that lay about is as of its own time."""
    (old,) = from_file(tmp_path, "2026-03-10", seats(2))
    newer = event(webhook("2026-03-15", items=items(item(3))))
    assert mrr(last(told(newer, old)), Rules()) == 9000


def test_the_time_is_within_what_can_be(tmp_path: Path) -> None:
    """Not before what the object names as past, nor after it came; what cannot be read is when it came."""
    (early,) = from_file(tmp_path, "2020-01-01", seats(1))
    assert told(early)[0].effective_at == at("2026-03-01")
    (late,) = from_file(tmp_path, "2030-01-01", seats(1))
    assert told(late)[0].effective_at == RECEIVED // 1_000
    for context in ('{"taken_at":7}', '{"taken_at":"soon"}', "[]"):
        odd = msgspec.structs.replace(early, context=context)
        assert told(odd)[0].effective_at == RECEIVED // 1_000


def ids_of(found: Event) -> list[bytes]:
    """The ids of a request with this event alone."""
    entry = Entry(app="app", receipt="0" * 32, received_at=0, dialect="stripe", verified=True, key_prefix="",
                  events=[found])  # fmt: skip
    return event_ids(entry)


def test_the_same_content_again_is_the_same_event(tmp_path: Path) -> None:
    """Whenever it was taken: an import that is done again stores nothing, and reports no conflict."""
    (one,) = from_file(tmp_path, "2026-03-10", seats(9))
    (two,) = from_file(tmp_path, "2026-03-12", seats(9))
    assert ids_of(one) == ids_of(two)
    assert content_hash("app", "stripe", one) == content_hash("app", "stripe", two)
    assert content_hash("app", "stripe", one) == content_hash("app", "stripe", event(seats(9)))
