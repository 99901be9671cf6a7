"""The tables of facts on a real engine: what a list reads from them, and that older identifies have theirs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from tenure.customers.current import current_values
from tenure.customers.facts import Fact, by_attribute, first_copies, fold
from tenure.entry import Entry
from tenure.event import Changes, Identify
from tenure.loader import rows
from tenure.loader.backfill import STEPS, make_facts
from tenure.warehouse.migrate import migrate

APP = "app_0000000000000001"
VALUES = [1, 0.1, -2.5, 10**30, "pro", "7", True, False, [1], {"a": None}, ""]


@pytest.fixture
def schema(client: Client) -> Iterator[Client]:
    """A client of a database with the schema, whose tables are emptied afterwards."""
    migrate(client, STEPS)
    yield client
    for table in rows.COLUMNS:
        client.command(f"TRUNCATE TABLE {table}")


def insert(client: Client, name: str, found: list[tuple[Any, ...]]) -> None:
    columns = rows.COLUMNS[name]
    client.insert(name, found, column_names=list(columns), column_type_names=list(columns.values()))


def text(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def any_identify(chance: random.Random) -> Identify:
    """One operation on the attribute `n` of one of 50 customers, at one of five times."""
    operation = chance.choice(["set", "set", "set_once", "increment", "increment", "unset"])
    common: dict[str, Any] = {
        "index": 0,
        "uid": f"u{chance.randrange(50)}",
        "set_at": chance.randrange(5),
        "precise": True,
        "message_id": chance.choice([None, str(chance.randrange(500))]),
    }
    match operation:
        case "set":
            return Identify(**common, traits=text({"n": chance.choice(VALUES), "other": 1}))
        case "set_once":
            return Identify(**common, changes=Changes(set_once=text({"n": chance.choice(VALUES)})))
        case "increment":
            return Identify(**common, changes=Changes(increment=text({"n": chance.choice([1, 0.1, -0.3, 10**30])})))
        case _:
            return Identify(**common, changes=Changes(unset=("n",)))


def entry(number: int, identify: Identify, dialect: str = "native", *, verified: bool = True) -> Entry:
    return Entry(app=APP, receipt=f"{number:032x}", received_at=number * 1_000, dialect=dialect, verified=verified,
                 key_prefix="sk", identifies=[identify])  # fmt: skip


def facts_of(found: list[tuple[Any, ...]]) -> dict[bytes, list[Fact]]:
    """Rows of `fact` by the key of the customer."""
    names = list(rows.COLUMNS["fact"])
    by_key: defaultdict[bytes, list[Fact]] = defaultdict(list)
    for values in found:
        row = dict(zip(names, values, strict=True))
        by_key[row["customer_key"]].append(Fact(**{name: row[name] for name in Fact._fields}))
    return by_key


@pytest.mark.parametrize("seed", range(3))
def test_a_list_reads_the_value_that_the_fold_gives(schema: Client, seed: int) -> None:
    """For every customer the SQL of a list and the fold agree, whatever was set, incremented, unset and repeated."""
    chance = random.Random(seed)
    dialects = ["native", "churnkey"]
    entries = [
        entry(number, any_identify(chance), chance.choice(dialects), verified=chance.random() < 0.9)
        for number in range(1, 800)
    ]
    block = rows.block(entries)
    for part in (block.attributes, block.attributes[::3]):
        insert(schema, "attribute_by_name", part)
    expected = {}
    for key, facts in facts_of(block.facts).items():
        attributes = by_attribute(first_copies(fact for fact in facts if fact.verified and fact.name == "n"))
        value = fold(attributes[("", "n")])[-1].value if attributes else None
        if value is not None:
            expected[key] = value
    found = schema.query(current_values(), parameters={"attribute": "n"}).result_rows
    assert {bytes(key): value for key, value in found} == expected
    assert len(expected) > 30


def test_a_list_may_group_linked_keys(schema: Client) -> None:
    """Facts under two keys of one customer are folded as one."""
    said = [Identify(index=0, uid="a", set_at=1, traits='{"n":1}'),
            Identify(index=0, email="a@b.c", set_at=2, changes=Changes(increment='{"n":2}'))]  # fmt: skip
    insert(schema, "attribute_by_name", rows.block([entry(*one) for one in enumerate(said, 1)]).attributes)
    whole = "(SELECT customer_key AS key, toFixedString('one', 16) AS whole FROM attribute_by_name) AS other"
    together = current_values("other.whole", f"LEFT JOIN {whole} ON other.key = said.customer_key")
    assert [value for _, value in schema.query(together, parameters={"attribute": "n"}).result_rows] == ["3"]


def test_identifies_of_before_have_their_facts(schema: Client) -> None:
    """What an older version loaded makes the same facts as what is loaded now; doing it again changes nothing."""
    traits = text(
        {"big": 10**40, "small": 1e-7, "float": 1.0, "a.b\n\u0000": "é\u2028", "none": None, "deep": {"a": [[]]}}
    )
    said = [
        Identify(index=3, customer_id="c", user_id="p", traits=traits, user_traits='{"role":"x"}'),
        Identify(index=0, uid="u", users='[{"data":{"a":1},"userId":"p"}]'),
        Identify(index=0, uid="u", users="[]"),
        Identify(index=0, uid="u", channels='[{"address":"a@b.c","channel":"email","opted_in":true}]'),
    ]
    entries = [entry(number, identify, verified=number != 2) for number, identify in enumerate(said, 1)]
    block = rows.block(entries)
    insert(schema, "identify", block.identifies)
    make_facts(schema)
    make_facts(schema)
    for name, expected in (("fact", block.facts), ("attribute_by_name", block.attributes)):
        columns = [column for column, kind in rows.COLUMNS[name].items() if "DateTime" not in kind]
        assert read(schema, name, columns) == sorted(
            tuple(row[list(rows.COLUMNS[name]).index(column)] for column in columns) for row in expected
        )
    times = schema.query(
        "SELECT DISTINCT toUnixTimestamp64Milli(set_at), toUnixTimestamp64Micro(received_at) FROM fact"
    )
    assert sorted(times.result_rows) == [(number, number * 1_000) for number in range(1, 5)]


def read(client: Client, name: str, columns: list[str]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in client.query(f"SELECT {', '.join(columns)} FROM {name} FINAL").result_rows)


def test_the_schema_may_be_applied_again(schema: Client) -> None:
    """A crash between the statements and their record costs nothing; without one nothing is left to do."""
    assert migrate(schema, STEPS) == []
    schema.command("ALTER TABLE schema_migration DELETE WHERE number = 2 SETTINGS mutations_sync = 2")
    assert migrate(schema, STEPS) == ["0002_fact.sql"]
