"""An INSERT that the engine cannot store is an error for its sender; never a success."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData
from tests.small_disk import MEBIBYTE, Ballast, small_disk
from tests.warehouse.conftest import Engine

DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("full"), 64) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def client(disk: Path) -> Iterator[Client]:
    """An engine on the small disk."""
    engine = Engine(disk)
    try:
        with engine.client() as client:
            yield client
    finally:
        engine.stop(signal.SIGKILL)
        engine.listener.close()


def rows(block: int, size: int) -> list[list[Any]]:
    return [[block, n, os.urandom(size).hex()] for n in range(16)]


def insert_until_refused(client: Client, table: str, size: int) -> int:
    """Insert blocks of 16 rows; returns how many blocks were taken before one was refused."""
    for block in range(1_000):
        try:
            client.insert(table, rows(block, size), settings={"insert_deduplication_token": str(block)})
        except ClickHouseError as error:
            if "243" in str(error) or "No space left" in str(error):
                return block
            raise
    raise AssertionError("the disk was never full")


@pytest.mark.parametrize("size", [64, 4_096, 65_536])
def test_what_a_full_disk_takes_is_stored_and_the_rest_is_refused(client: Client, disk: Path, size: int) -> None:
    """Blocks of any size: what was taken is what is counted, also when the refused block is sent again later."""
    table = f"filled_{size}"
    client.command(
        f"CREATE TABLE {table} (block UInt64, n UInt64, text String) ENGINE = MergeTree ORDER BY (block, n) "
        f"SETTINGS {DURABLE}"
    )
    ballast = Ballast(disk)
    ballast.leave(4 * MEBIBYTE)
    taken = insert_until_refused(client, table, size)
    assert client.command(f"SELECT count() FROM {table}") == 16 * taken
    ballast.remove()
    client.insert(table, rows(taken, size), settings={"insert_deduplication_token": str(taken)})
    assert (
        client.command(f"SELECT count(), uniqExact(block, n) FROM {table} FORMAT CSV")
        == f"{16 * taken + 16},{16 * taken + 16}"
    )
    client.command(f"DROP TABLE {table}")


def test_a_look_up_with_a_table_of_its_own_fails_on_a_full_disk(client: Client, disk: Path) -> None:
    """What a query brings with it is all there, or the query fails: never an answer about a part of it."""
    numbers = b"".join(n.to_bytes(8, "little") for n in range(50_000))
    sent = ExternalData(file_name="sent", data=numbers, fmt="RowBinary", structure="n UInt64")
    ballast = Ballast(disk)
    ballast.fill()
    try:
        with pytest.raises(ClickHouseError, match="243"):
            client.query("SELECT count() FROM sent", external_data=sent)
    finally:
        ballast.remove()
    assert client.query("SELECT count() FROM sent", external_data=sent).result_rows == [(50_000,)]


def too_many_parts(client: Client) -> None:
    client.command(
        f"CREATE TABLE parts (n UInt64, text String) ENGINE = MergeTree ORDER BY n SETTINGS {DURABLE}, "
        "parts_to_throw_insert = 3, parts_to_delay_insert = 2, max_delay_to_insert = 1"
    )
    client.command("SYSTEM STOP MERGES parts")


def violated_constraint(client: Client) -> None:
    client.command(
        "CREATE TABLE constrained (n UInt64, text String, CONSTRAINT small CHECK n < 3) ENGINE = MergeTree ORDER BY n "
        f"SETTINGS {DURABLE}"
    )


@pytest.mark.parametrize(
    ("prepare", "table", "code"), [(too_many_parts, "parts", "252"), (violated_constraint, "constrained", "469")]
)
def test_what_the_table_refuses_is_an_error(
    client: Client, prepare: Callable[[Client], None], table: str, code: str
) -> None:
    """Too many parts, and a constraint: the sender is told, and what was taken is what is stored."""
    prepare(client)
    taken: list[int] = []

    def insert_one_by_one() -> None:
        for number in range(100):
            client.insert(table, [[number, "text"]])
            taken.append(number)

    with pytest.raises(ClickHouseError, match=code):
        insert_one_by_one()
    assert client.command(f"SELECT count() FROM {table}") == len(taken)


def test_an_insert_names_no_file(client: Client) -> None:
    """`FROM INFILE` would read any file of the machine."""
    client.command("CREATE TABLE IF NOT EXISTS t (text String) ENGINE = Memory")
    for statement in (
        "INSERT INTO t FROM INFILE '/etc/hostname' FORMAT TSV",
        "INSERT INTO t FROM/**/infile '/etc/hostname'",
    ):
        with pytest.raises(ClickHouseError, match="497"):
            client.command(statement)
    client.command("INSERT INTO t VALUES ('from infile is a text here')")
    assert client.command("SELECT count() FROM t") == 1
