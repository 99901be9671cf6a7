"""The volumes are those of what is stored, after copies in any order, an erasure and a migration."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from tenure.control.erasures import Erasure, new_erasure
from tenure.entry import record
from tenure.identity import Identifier
from tenure.journal import Journal
from tenure.loader import removal
from tenure.loader.backfill import STEPS
from tenure.loader.block_writer import BlockWriter
from tenure.loader.volume import Volumes
from tenure.warehouse.migrate import migrate
from tenure.warehouse.personal import of_customer
from tenure.wire.times import DAY_MS
from tests.loader.test_customers import APP, Loading, entry, event
from tests.warehouse.conftest import Engine

# The second and third copies of the messages 1, 2 and 4 say another customer, day and name than the first.
HISTORY = [
    entry(1, event("a", "1", 5_000)),
    entry(2, event("b", "1", 9_000 + DAY_MS, "other")),
    entry(3, event("a", "2", 1_000, "export")),
    entry(4, event("b", "3", -DAY_MS)),
    entry(5, event("b", "2", 500 + 2 * DAY_MS, "export")),
    entry(6, event("c", "4", 7_000)),
    entry(7, event("c", "4", 2_000 + DAY_MS, "login")),
    entry(8, event("a", "5", 5_000), event("a", "6", 5_000), event("a", "7", 5_000, "other")),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    directory = tmp_path_factory.mktemp("volumes")
    engine = Engine(directory)
    yield Loading(directory, engine)
    engine.stop()
    engine.listener.close()


@pytest.fixture
def loading(running: Loading) -> Loading:
    running.empty()
    return running


def work_off(steps: Iterable[removal.Step]) -> None:
    for step in steps:
        while not step():
            pass


def mark(client: Client, asked: Erasure) -> None:
    work_off(removal.mark(client, [asked]))


def test_any_order_and_repetition_gives_the_volumes_of_what_is_stored(loading: Loading) -> None:
    """Duplicates count nothing, and an earlier copy takes a later one's count with it, whatever day and name it has."""
    found = set()
    for seed in range(6):
        loading.empty()
        shuffled = HISTORY + HISTORY[:5]
        random.Random(seed).shuffle(shuffled)
        for start in range(0, len(shuffled), 1 + seed % 3):
            loading.load(shuffled[start : start + 1 + seed % 3])
        assert loading.volumes() == loading.stored()
        loading.warehouse.client.command("OPTIMIZE TABLE volume FINAL")
        assert loading.volumes() == loading.stored()
        found.add(repr(loading.volumes()))
    assert len(found) == 1


def test_an_erasure_takes_off_what_it_removes_once(loading: Loading) -> None:
    """Broken off after it has, and done again; a name that nobody else sent is in no row any more."""
    loading.load(HISTORY)
    loading.load([entry(9, event("a", "8", 5_000, "of a alone"))])
    asked = new_erasure(APP, [Identifier("uid", "a")])
    client = loading.warehouse.client
    removal.prepare(client, asked)
    removal._take_off(client, asked, of_customer)
    for _ in range(2):
        removal.note(client, asked, Volumes({APP}))
        mark(client, asked)
        assert loading.volumes() == loading.stored()
    assert {name for _, name, *_ in loading.volumes()} == {"login"}
    work_off(removal.rewrite(client, [asked]))
    assert client.query("SELECT DISTINCT name FROM volume").result_rows == [("login",)]


def test_an_event_that_names_two_who_are_erased_is_taken_off_once(loading: Loading) -> None:
    """It is a third customer's, and gone with either; both are erased together."""
    loading.load(HISTORY)
    named = msgspec.structs.replace(event("b", "9", 5_000), customer_id="office", email="c@example.com")
    loading.load([entry(9, named)])
    client = loading.warehouse.client
    found = [new_erasure(APP, [Identifier("uid", "b")]), new_erasure(APP, [Identifier("email", "c@example.com")])]
    for asked in found:
        removal.prepare(client, asked)
        removal.note(client, asked, Volumes())
    work_off(removal.mark(client, found))
    assert loading.volumes() == loading.stored()
    work_off(removal.remove_carrying(client, found, Volumes()))
    assert loading.volumes() == loading.stored()
    work_off(removal.rewrite(client, found))
    assert client.query("SELECT count() FROM event WHERE email != '' OR uid = 'b'").result_rows == [(0,)]


@pytest.mark.parametrize("table", ["volume", "event", "first_copy"])
@pytest.mark.parametrize("erased", [None, "a"])
def test_a_block_that_is_broken_off_is_counted_once_also_if_somebody_was_erased_meanwhile(
    loading: Loading, table: str, erased: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever insert the crash comes after, and though less is left of the block when it is done again."""
    app = loading.store.create_app(f"{table} {erased}").id
    history = [msgspec.structs.replace(one, app=app) for one in HISTORY]
    loading.load(history[1:2])
    journal = Journal.claim(loading.journals, 1 << 30)
    journal.append([record(one) for one in history])
    insert = BlockWriter.insert

    def crashing(self: BlockWriter, name: str, *rest: Any) -> None:
        insert(self, name, *rest)
        if name == table:
            raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(BlockWriter, "insert", crashing)
        with pytest.raises(ConnectionError):
            loading.loader.load_block()
    if erased is not None:
        asked = new_erasure(app, [Identifier("uid", erased)])
        removal.prepare(loading.warehouse.client, asked)
        loading.store.erasures.request(asked)
    loading.start()
    loading.loader._tend_erasures()
    assert loading.loader.load_block()
    assert not loading.loader.load_block()
    journal.close()
    if erased is not None:
        mark(loading.warehouse.client, asked)
    assert loading.volumes() == loading.stored()
    left = 7 if erased is None else 3 if table == "volume" else 2  # b's copy of a's is replaced with `event`
    assert sum(row[-1] for row in loading.volumes()) == left


def test_what_is_wrong_is_put_right_and_what_is_right_stays(loading: Loading) -> None:
    """From whatever is counted so far: nothing, too little, too much. Another app's volumes are left alone."""
    loading.load(HISTORY)
    expected, client = loading.volumes(), loading.warehouse.client
    client.command(
        f"INSERT INTO volume VALUES ('{APP}', 'login', 'native', '2026-01-01', 3), ('other', 'x', 'y', 0, 1)"
    )
    client.command(f"DELETE FROM volume WHERE app = '{APP}' AND name = 'export'")
    for _ in range(2):
        Volumes().put_right(client, {APP})
        assert loading.volumes() == [*expected, *loading.volumes()[len(expected) :]]
        assert [row[0] for row in loading.volumes()[len(expected) :]] == ["other"]


def test_what_was_stored_before_there_were_volumes(loading: Loading) -> None:
    """The schema's migration counts what is there, and doing it again changes nothing."""
    loading.load(HISTORY)
    expected, client = loading.volumes(), loading.warehouse.client
    client.command("DROP TABLE volume")
    for _ in range(2):
        client.command("DELETE FROM schema_migration WHERE number = 9")
        assert migrate(client, STEPS) == ["0009_volume.sql"]
        assert loading.volumes() == expected
