"""A block counts as loaded only when the warehouse has its rows, each once, whatever failed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from tenure.entry import record
from tenure.journal import Journal, Loaded
from tenure.loader import block_writer
from tenure.loader.block_writer import BlockWriter, RowsNotStored, distinct
from tenure.loader.columns import COLUMNS
from tests.faults import failing
from tests.loader.test_customers import APP, Loading, entry, event
from tests.warehouse.conftest import Engine

RENAMES = "rename,renameat,renameat2"
"""With these the engine puts the files of a part in place, after it has noted the deduplication token."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    running = Engine(tmp_path_factory.mktemp("blocks"))
    yield running
    running.stop()
    running.listener.close()


@pytest.fixture
def loading(engine: Engine, tmp_path: Path) -> Loading:
    made = Loading(tmp_path, engine)
    made.empty()
    return made


@pytest.fixture
def journal(loading: Loading) -> Iterator[Journal]:
    claimed = Journal.claim(loading.journals, 1 << 30)
    yield claimed
    claimed.close()


def rows_of(loading: Loading) -> dict[str, tuple[Any, ...]]:
    """Of each table: how many rows, and how many different ones."""
    query = loading.warehouse.client.query
    return {
        "event": query("SELECT count(), uniqExact(event_id) FROM event FINAL").first_row,
        "first_copy": query("SELECT count(), uniqExact(event_id) FROM first_copy FINAL").first_row,
        "seen": query("SELECT sum(events), sum(verified) FROM seen").first_row,
        "arrival": query("SELECT count(), uniqExact(receipt, position) FROM arrival FINAL").first_row,
    }


@pytest.mark.parametrize("calls", [RENAMES, "fsync,fdatasync", "mkdir,mkdirat"])
def test_a_block_that_the_disk_refuses_is_loaded_whole_afterwards(
    loading: Loading, journal: Journal, engine: Engine, calls: str
) -> None:
    """Also where the engine takes what is sent again for a duplicate of what it has lost."""
    second = [msgspec.structs.replace(event("b", f"b{number}", 7_000), index=1) for number in range(20)]
    entries = [entry(number + 1, event("a", str(number), 5_000), second[number]) for number in range(20)]
    journal.append([record(one) for one in entries])
    with failing(engine.process.pid, calls):
        for _ in range(2):
            with pytest.raises((ClickHouseError, RowsNotStored)):
                loading.loader.load_block()
    assert Loaded.read(loading.journals).positions == {}
    for _ in range(5):
        try:
            loading.loader.load_block()
        except RowsNotStored:
            continue
    assert Loaded.read(loading.journals).positions == {journal.id: 20}
    assert rows_of(loading) == {"event": (40, 40), "first_copy": (40, 40), "seen": (40, 40), "arrival": (40, 40)}
    assert loading.volumes() == loading.stored()


def test_rows_that_went_are_missed(loading: Loading) -> None:
    """The insert was acknowledged; then the part is gone."""
    writer = BlockWriter(loading.warehouse)
    for table, row in (("volume", (APP, "login", "native", 0, 1)), ("identifier", (APP, bytes(16), "uid", "a"))):
        writer.begin(f"gone {table}", repeats=False)
        writer.insert(table, [row])
        writer.verify()
        writer.insert(table, [row])
        loading.warehouse.client.command(f"TRUNCATE TABLE {table}")
        with pytest.raises(RowsNotStored, match=f"1 of 1 rows of {table}"):
            writer.verify()


def test_rows_are_found_in_parts_that_were_merged(loading: Loading) -> None:
    """Whatever merged them with older rows in between."""
    writer = BlockWriter(loading.warehouse)
    for number in range(3):
        writer.begin(f"merged {number}", repeats=False)
        writer.insert("identifier", [(APP, bytes([number, key, *bytes(14)]), "uid", "a") for key in range(50)])
        loading.warehouse.client.command("OPTIMIZE TABLE identifier FINAL")
        writer.verify()


def test_each_table_that_is_loaded_is_verified() -> None:
    """By columns that it has."""
    assert set(block_writer._IDENTITIES) == set(COLUMNS)
    for table, identity in block_writer._IDENTITIES.items():
        assert set(identity.columns) <= set(COLUMNS[table]), table
        assert identity.ordered is None or identity.ordered in COLUMNS[table], table


def test_rows_that_replace_each_other_count_once() -> None:
    """As they do in the table once it is merged."""
    same = (APP, b"k" * 16, "uid", "a")
    assert distinct("identifier", [same, same, (APP, b"l" * 16, "uid", "b")]) == 2
