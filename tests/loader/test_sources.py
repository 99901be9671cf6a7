"""A journal that cannot be read is reported, and is not in the way of the others."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tenure import entry as entries
from tenure.control.database import connect, migrate
from tenure.control.incidents import Kind
from tenure.control.store import Store
from tenure.journal import Aside, Journal, Loaded
from tenure.loader.loader import _recovered
from tenure.loader.sources import Sources
from tenure.settings import Settings
from tests.journal.test_received import an_entry

ROOM = 10**9
PAGE = 4096


@pytest.fixture
def store(tmp_path: Path) -> Store:
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    return Store(engine)


def fill(directory: Path, count: int) -> Journal:
    journal = Journal.claim(directory, ROOM)
    journal.append([entries.record(an_entry(number)) for number in range(count)])
    return journal


def positions(sources: Sources) -> list[list[int]]:
    return [[row.position for row in sources.rows(reader, 0)] for reader in sources.readers()]


def test_a_gap_in_positions_is_reported_once_and_loading_goes_on(tmp_path: Path, store: Store) -> None:
    """Rows that are missing between others were acknowledged and are lost."""
    journal = fill(tmp_path / "journal", 8)
    with sqlite3.connect(journal.path) as db:
        db.execute("DELETE FROM entry WHERE position IN (4, 5)")
    sources = Sources(tmp_path / "journal", store)
    [reader] = sources.readers()
    for _ in range(2):
        assert [row.position for row in sources.rows(reader, 2)] == [3, 6, 7, 8]
    [incident] = store.incidents.open()
    assert (incident.kind, incident.place) == (Kind.JOURNAL_LOST, f"{journal.id}:4-5")
    assert incident.text.startswith("2 acknowledged requests, positions 4 to 5")


def test_what_was_pruned_is_no_gap(tmp_path: Path, store: Store) -> None:
    """With nothing known of what is loaded, a journal may begin anywhere."""
    journal = fill(tmp_path / "journal", 8)
    Loaded({journal.id: 3}).write(tmp_path / "journal")
    journal.prune()
    assert positions(Sources(tmp_path / "journal", store)) == [[4, 5, 6, 7, 8]]
    assert store.incidents.open() == []


def test_a_malformed_journal_is_set_aside_and_the_others_are_read(tmp_path: Path, store: Store) -> None:
    """It turns out while it is read; its writer takes over what can be read."""
    journal, other = fill(tmp_path / "journal", 100), fill(tmp_path / "journal", 3)
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with journal.path.open("r+b") as file:
        file.seek(8 * PAGE)  # one of those with entries
        file.write(b"\xff" * PAGE)
    sources = Sources(tmp_path / "journal", store)
    positions(sources)
    assert positions(sources) == [[1, 2, 3]]
    assert journal.look() is not None
    sources.report_asides()
    [incident] = store.incidents.open()
    assert (incident.kind, incident.place) == (Kind.JOURNAL_UNREADABLE, "0.sqlite")
    fresh = journal.replace(store.received.position)
    assert sorted(map(len, positions(sources)))[0] == 3
    sources.report_asides()
    aside = Aside.read(journal.path)
    assert aside is not None
    assert aside.lost == 100 - aside.rescued > 0
    assert fresh.rows == aside.rescued
    assert Kind.JOURNAL_LOST in {one.kind for one in store.incidents.open()}
    other.close()


def test_a_journal_that_cannot_be_opened_is_reported_until_it_can(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading of the others goes on meanwhile."""
    monkeypatch.setattr("tenure.loader.sources.RETRY_SECONDS", 0.0)
    directory = tmp_path / "journal"
    fill(directory, 2)
    (directory / "7.sqlite").mkdir()
    sources = Sources(directory, store)
    assert positions(sources) == [[1, 2]]
    assert [(one.kind, one.place) for one in store.incidents.open()] == [(Kind.JOURNAL_UNREADABLE, "7.sqlite")]
    (directory / "7.sqlite").rmdir()
    assert positions(sources) == [[1, 2]]
    assert store.incidents.open() == []


def test_a_damaged_state_file_is_reported(tmp_path: Path, store: Store) -> None:
    """Loading begins with its previous generation, or with the oldest entries."""
    for position in (3, 5):
        Loaded({"j": position}).write(tmp_path)
    assert _recovered(tmp_path, store.incidents) == (Loaded({"j": 5}), False)
    assert store.incidents.open() == []
    (tmp_path / "loaded.json").write_bytes(b"{")
    assert _recovered(tmp_path, store.incidents) == (Loaded({"j": 3}), True)
    (tmp_path / "loaded.json.previous").write_bytes(b"{")
    assert _recovered(tmp_path, store.incidents) == (Loaded(), True)
    assert [one.kind for one in store.incidents.open()] == [Kind.STATE_FILE_DAMAGED]
