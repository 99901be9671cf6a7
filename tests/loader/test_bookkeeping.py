"""The loader holds the warehouse against what was acknowledged, and reports what is missing until it is there again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenure.conservation import books, expected
from tenure.control.erasures import new_erasure
from tenure.control.incidents import Kind
from tenure.control.received import BEFORE
from tenure.entry import record
from tenure.identity import Identifier
from tenure.journal import Journal, Loaded
from tenure.journal.node import node_of
from tenure.loader import removal
from tenure.loader.bookkeeping import Bookkeeping
from tenure.loader.volume import Volumes
from tests.loader.test_customers import APP, Loading, entry, event
from tests.warehouse.conftest import Engine

COUNT = 12


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    running = Engine(tmp_path_factory.mktemp("books"))
    yield running
    running.stop()
    running.listener.close()


@pytest.fixture
def loading(engine: Engine, tmp_path: Path) -> Loading:
    """A loader with an app whose events are loaded, but for the last two."""
    made = Loading(tmp_path, engine)
    made.empty()
    made.warehouse.client.command("TRUNCATE TABLE arrival")
    with made.store._writer.begin() as db:
        from tenure.control.tables import app

        db.execute(app.insert().values(id=APP, name="one", created_at=1, changed=1))
    return made


@pytest.fixture
def journal(loading: Loading) -> Iterator[Journal]:
    claimed = Journal.claim(loading.journals, 1 << 30)
    fill(claimed, 1, COUNT)
    assert loading.loader.load_block()
    fill(claimed, COUNT + 1, COUNT + 2)
    yield claimed
    claimed.close()


def fill(journal: Journal, first: int, last: int) -> None:
    journal.append([record(entry(number, event("a", str(number), 5_000))) for number in range(first, last + 1)])


def keeping(loading: Loading) -> Bookkeeping:
    return Bookkeeping(loading.journals, loading.warehouse, loading.store, threading.Event())


def test_what_is_missing_is_an_incident_until_it_is_there_again(loading: Loading, journal: Journal) -> None:
    """A lost row is reported with app, table, number and time; when the row is back, nothing is open."""
    worker, client = keeping(loading), loading.warehouse.client
    worker.check()
    assert loading.store.incidents.open() == []
    ledger = books(client, loading.journals, loading.store.received, APP)
    assert (ledger.received, ledger.stored, ledger.waiting, ledger.balanced) == (COUNT + 2, COUNT, 2, True)
    client.command("CREATE TABLE kept ENGINE = Memory AS SELECT * FROM event ORDER BY event_id LIMIT 3")
    client.command("DELETE FROM event WHERE event_id IN (SELECT event_id FROM kept)")
    worker.check()
    [incident] = loading.store.incidents.open()
    assert (incident.kind, incident.place, incident.app, incident.count) == (Kind.MISSING_ELEMENTS, "event", APP, 3)
    assert incident.incomplete
    assert incident.first_at == incident.last_at == 1_700_000_000_000
    client.command("INSERT INTO event SELECT * FROM kept")
    client.command("DROP TABLE kept")
    worker.check()
    assert loading.store.incidents.open() == []


def test_a_journal_that_is_gone_is_an_incident(loading: Loading, journal: Journal) -> None:
    """What it had is known from the control database: two requests were not loaded."""
    changes = journal.changes()
    assert changes is not None
    loading.store.received.write(changes, node_of(loading.journals))
    for path in loading.journals.glob("0.sqlite*"):
        path.unlink()
    keeping(loading).check()
    found = {one.kind: one for one in loading.store.incidents.open()}
    assert set(found) == {Kind.JOURNAL_LOST, Kind.MISSING_ELEMENTS}
    assert "at least 2 acknowledged requests" in found[Kind.JOURNAL_LOST].text
    assert (found[Kind.MISSING_ELEMENTS].place, found[Kind.MISSING_ELEMENTS].count) == ("arrival", 2)


def test_what_was_loaded_before_journals_counted_is_taken_from_the_warehouse_once(
    loading: Loading, journal: Journal
) -> None:
    """After an upgrade nothing seems missing or too many; and what is lost from then on is."""
    loaded = Loaded.read(loading.journals).positions[journal.id]
    journal.prune()
    fill(journal, COUNT + 3, COUNT + 3)
    journal.close()
    with sqlite3.connect(journal.path) as db:
        db.execute("DROP TABLE received")
        db.execute("DROP TABLE delivery")
    with loading.store._writer.begin() as control:
        control.exec_driver_sql("DELETE FROM journal_count")
        control.exec_driver_sql("DELETE FROM journal")
    loading.start()
    assert loading.loader.load_block()
    assert Loaded.read(loading.journals).positions[journal.id] == loaded + 3
    before = loading.store.received.counts()[BEFORE]
    assert sum(counts.events for counts in before.values()) == COUNT
    again = Journal.claim(loading.journals, 1 << 30)
    ledger = books(loading.warehouse.client, loading.journals, loading.store.received, APP)
    assert (ledger.received, ledger.stored, ledger.balanced) == (COUNT + 3, COUNT + 3, True)
    loading.warehouse.client.command("DELETE FROM arrival WHERE receipt = (SELECT min(receipt) FROM arrival)")
    loading.start()
    fill(again, COUNT + 4, COUNT + 4)
    assert loading.loader.load_block()
    assert sum(one.events for one in expected(loading.journals, loading.store.received).loaded.values()) == COUNT + 4
    ledger = books(loading.warehouse.client, loading.journals, loading.store.received, APP)
    assert [(one.table, one.missing) for one in ledger.differences] == [("arrival", 1)]
    again.close()


def test_what_an_erasure_has_not_marked_yet_is_not_too_many(loading: Loading, journal: Journal) -> None:
    """Its ids are written down as erased before its rows go; a kill may come in between."""
    client = loading.warehouse.client
    asked = new_erasure(APP, [Identifier("uid", "a")])
    removal.prepare(client, asked)
    removal.note(client, asked, Volumes())
    assert client.command("SELECT count() FROM event FINAL") == COUNT
    ledger = books(client, loading.journals, loading.store.received, APP)
    assert (ledger.stored, ledger.erased, ledger.waiting, ledger.balanced) == (0, COUNT, 2, True)
