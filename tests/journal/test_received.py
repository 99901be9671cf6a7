"""What is acknowledged is counted in the transaction that keeps it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure import entry as entries
from tenure.entry import Entry, Record
from tenure.errors import Unavailable
from tenure.event import Event, Identify, Refusal
from tenure.journal import Journal, JournalReader, Loaded, prune_unclaimed
from tenure.journal.received import HOUR, Counts, totals
from tenure.loader import rows

ROOM = 10**9
NOW = 1_700_000_000_000_000


def an_entry(number: int = 0, app: str = "app_1", at: int = NOW, events: int = 1) -> Entry:
    """An entry with so many events, an identify, and a refusal of each kind."""
    return Entry(
        app=app,
        receipt=f"{number + 1:032x}",
        received_at=at,
        dialect="native",
        verified=True,
        key_prefix="sk_1",
        events=[Event(index=index, name="page", customer_id="c") for index in range(events)],
        identifies=[Identify(index=events, customer_id="c")],
        refusals=[
            Refusal(index=events + 1, code="bad", message="No.", payload="{}", reported=True),
            Refusal(index=events + 2, code="bad", message="No.", payload="{}", reported=False),
        ],
    )


def test_counts_are_kept_by_app_and_hour_and_survive_everything(tmp_path: Path) -> None:
    """Pruning, a scrub and a new start leave what was counted."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([entries.record(an_entry(1)), entries.record(an_entry(2, events=3))])
    journal.append([entries.record(an_entry(3, "app_2", NOW + HOUR))])
    expected = {
        ("app_1", NOW // HOUR): Counts(4, 2, 2, 2, 2 * 4 + 3 * 6, NOW),
        ("app_2", NOW // HOUR + 1): Counts(1, 1, 1, 1, 4 * 4, NOW + HOUR),
    }
    assert JournalReader(journal.path).received() == (journal.id, 3, expected)
    Loaded({journal.id: 3}, scrub=1).write(tmp_path)
    journal.prune()
    assert journal.scrub()
    journal.close()
    again = Journal.claim(tmp_path, ROOM)
    assert JournalReader(again.path).received() == (again.id, 3, expected)
    assert again.changes() == (again.id, 3, expected)
    assert again.changes() is None


@given(st.lists(st.tuples(st.sampled_from(["app_1", "app_2"]), st.integers(0, 3), st.integers(0, 4)), max_size=8))
def test_the_warehouse_counts_the_same(given_entries: list[tuple[str, int, int]]) -> None:
    """The arrivals that the loader makes of entries are as many, of each kind, as were counted as received."""
    made = [
        an_entry(number, app, NOW + hours * HOUR, events) for number, (app, hours, events) in enumerate(given_entries)
    ]
    counted = totals(entries.tally(entry) for entry in made)
    arrived: dict[tuple[str, int], Counts] = {}
    for arrival in rows.block(made).arrivals:
        app, receipt, kind, at, outcome = arrival[0], arrival[1], arrival[2], arrival[7], arrival[9]
        place = app, at // HOUR
        one = Counts(
            kind == "event", kind == "identify", outcome == "quarantined", outcome == "rejected",
            int.from_bytes(receipt[-4:], "big"), at,
        )  # fmt: skip
        arrived[place] = arrived.get(place, Counts()).plus(one)
    assert counted == arrived


def test_a_refused_append_counts_nothing_and_uses_no_position(tmp_path: Path) -> None:
    """Positions follow each other without a gap: a gap is a loss."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([entries.record(an_entry(1))])
    journal._db.execute("PRAGMA max_page_count = 10")
    with pytest.raises(Unavailable):
        journal.append([Record("big", b"x" * 1_000_000, entries.tally(an_entry(2)))])
    journal._db.execute("PRAGMA max_page_count = 100000")
    journal.append([entries.record(an_entry(3))])
    reader = JournalReader(journal.path)
    assert [row.position for row in reader.read(0)] == [1, 2]
    assert sum(counts.events for counts in reader.received().counts.values()) == 2


def test_a_journal_of_an_older_version_begins_with_what_it_holds(tmp_path: Path) -> None:
    """It had no counts: the entries that are still in it are counted, those that were pruned cannot be."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([entries.record(an_entry(number)) for number in range(4)])
    Loaded({journal.id: 1}).write(tmp_path)
    journal.prune()
    journal.close()
    with sqlite3.connect(journal.path) as db:
        db.execute("DROP TABLE received")
        db.execute("DROP TABLE delivery")
        db.execute("UPDATE entry SET payload = x'00' WHERE position = 4")
    assert sum(counts.events for counts in JournalReader(journal.path).received().counts.values()) == 2
    prune_unclaimed(tmp_path)
    assert JournalReader(journal.path).received().counts == totals(entries.tally(an_entry(number)) for number in (1, 2))


def test_a_rescued_entry_is_not_counted_again(tmp_path: Path) -> None:
    """Without a tally an entry is kept and counts nothing: the journal that acknowledged it has counted it."""
    journal = Journal.claim(tmp_path, ROOM)
    journal.append([Record("a" * 32, b"payload")])
    assert JournalReader(journal.path).received() == (journal.id, 1, {})
