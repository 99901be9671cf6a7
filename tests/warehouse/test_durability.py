"""Tables are durable: those of a new installation, of an older version, and after an erasure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from tests.warehouse.conftest import Engine

import tenure
from tenure.control.erasures import new_erasure
from tenure.identity import Identifier
from tenure.loader import removal
from tenure.loader.backfill import STEPS
from tenure.loader.columns import COLUMNS
from tenure.warehouse.durability import DURABLE, make_durable, settings_of
from tenure.warehouse.engine.directory_sync import DirectorySync
from tenure.warehouse.insert import insert_rows
from tenure.warehouse.migrate import migrate


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    engine = Engine(tmp_path_factory.mktemp("durability"))
    with engine.client() as connected:
        migrate(connected, STEPS)
        yield connected
    engine.stop()
    engine.listener.close()


def stated(client: Client) -> dict[str, dict[str, int]]:
    """By table, those of the durable settings that its definition states."""
    rows = client.query("SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()").result_rows
    return {
        table: {name: value for name, value in settings_of(engine).items() if name in DURABLE} for table, engine in rows
    }


def test_a_table_is_durable_before_it_says_so(client: Client) -> None:
    """The engine's own defaults are the durable ones, for what merges before the first statement of a start."""
    names = {"names": list(DURABLE)}
    sql = "SELECT name, toUInt32(value) FROM system.merge_tree_settings WHERE name IN {names:Array(String)}"
    assert dict(client.query(sql, names).result_rows) == DURABLE


def test_every_table_states_that_it_is_durable(client: Client) -> None:
    """That of the migrations included."""
    found = stated(client)
    assert {"event", "schema_migration", "erasing", "customer"} <= set(found)
    assert all(settings == DURABLE for settings in found.values()), found


def test_tables_of_an_older_version_are_made_durable_at_the_start(client: Client) -> None:
    """Those that never stated it, and those that an erasure has left removing old parts at once."""
    client.command("ALTER TABLE event RESET SETTING min_rows_to_fsync_after_merge, old_parts_lifetime")
    client.command("ALTER TABLE customer MODIFY SETTING old_parts_lifetime = 1")
    synced: list[bool] = []
    assert migrate(client, STEPS, lambda: synced.append(True)) == []
    assert synced == [True]
    assert all(settings == DURABLE for settings in stated(client).values())
    assert make_durable(client) == []


def test_an_erasure_leaves_the_settings_as_they_were(client: Client) -> None:
    """It has old parts removed within seconds for that."""
    for number in range(3):
        client.insert("identifier", [["app", bytes([number] * 16), "uid", "x"]])
    client.command("OPTIMIZE TABLE identifier FINAL")
    old = "SELECT count() FROM system.parts WHERE table = 'identifier' AND NOT active"
    assert client.command(old) == 3
    for step in removal.rewrite(client, [new_erasure("app_0123456789abcdef", [Identifier("uid", "x")])]):
        while not step():
            pass
    assert client.command(old) == 0
    assert all(settings == DURABLE for settings in stated(client).values())


def test_directories_are_synced_from_the_top_down_when_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new table, then a new part in it; nothing that is the same as before."""
    synced: list[str] = []
    sync = os.fsync

    def recording(descriptor: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    root = tmp_path / "warehouse" / "chdb"
    table = root / "store" / "abc" / "abcdef"
    table.mkdir(parents=True)
    for directory in (tmp_path, *tmp_path.rglob("*")):
        os.utime(directory, (1, 1))
    directories = DirectorySync(root)
    directories.sync()
    store = "warehouse/chdb/store"
    assert synced == [".", "warehouse", "warehouse/chdb", store, f"{store}/abc", f"{store}/abc/abcdef"]
    synced.clear()
    directories.sync()
    assert synced == []
    (table / "all_1_1_0").mkdir()
    directories.sync()
    assert synced == [f"{store}/abc/abcdef"]


def test_settings_are_read_from_a_definition() -> None:
    """As ClickHouse shows it; numbers elsewhere in it are not settings."""
    engine = (
        "ReplacingMergeTree(version) ORDER BY (app, n = 3) SETTINGS index_granularity = 512, fsync_after_insert = 1"
    )
    assert settings_of(engine) == {"index_granularity": 512, "fsync_after_insert": 1}


def test_rows_that_were_inserted_before_are_inserted_again(client: Client) -> None:
    """Equal rows of an insert that failed must not keep them out; under a token of its own an insert counts once."""
    row = ("app_0123456789abcdef", "login", "native", 0, 1)
    count = "SELECT sum(events) FROM volume"
    for _ in range(2):
        insert_rows(client, "volume", COLUMNS["volume"], [row])
    assert client.command(count) == 2
    for _ in range(2):
        insert_rows(client, "volume", COLUMNS["volume"], [row], "token")
    assert client.command(count) == 3


def test_there_is_one_way_to_insert() -> None:
    """Nothing calls the client's own, which takes equal rows for duplicates."""
    source = Path(tenure.__file__).parent
    calls = {path.name for path in source.rglob("*.py") if re.search(r"client\.insert(_\w+)?\(", path.read_text())}
    assert calls == {"insert.py"}
