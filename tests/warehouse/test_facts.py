"""The tables of facts on a real engine: what a list reads from them, and that older identifies have theirs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from tenure.customers.facts import Fact, by_attribute, first_copies, fold
from tenure.entry import Entry
from tenure.event import Changes, Identify
from tenure.loader import rows
from tenure.loader.attributes import attributes_in_force
from tenure.loader.backfill import STEPS, make_facts
from tenure.loader.columns import COLUMNS
from tenure.warehouse.client import Tenant
from tenure.warehouse.migrate import migrate, migrations

APP = "app_0000000000000001"
VALUES = [1, 0.1, -2.5, 10**30, "pro", "7", True, False, [1], {"a": None}, ""]


@pytest.fixture
def schema(client: Client) -> Iterator[Client]:
    """A client of a database with the schema, whose tables are emptied afterwards."""
    migrate(client, STEPS)
    yield client
    for table in COLUMNS:
        client.command(f"TRUNCATE TABLE {table}")


def insert(client: Client, name: str, found: list[tuple[Any, ...]]) -> None:
    columns = COLUMNS[name]
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
            return Identify(
                **common,
                changes=Changes(increment=text({"n": chance.choice([1, 0.1, -0.3, 10**30, 1e-20, 1e300, -(10**60)])})),
            )
        case _:
            return Identify(**common, changes=Changes(unset=("n",)))


def entry(number: int, identify: Identify, dialect: str = "native", *, verified: bool = True) -> Entry:
    return Entry(app=APP, receipt=f"{number:032x}", received_at=number * 1_000, dialect=dialect, verified=verified,
                 key_prefix="sk", identifies=[identify])  # fmt: skip


def facts_of(found: list[tuple[Any, ...]]) -> dict[bytes, list[Fact]]:
    """Rows of `fact` by the key of the customer."""
    names = list(COLUMNS["fact"])
    by_key: defaultdict[bytes, list[Fact]] = defaultdict(list)
    for values in found:
        row = dict(zip(names, values, strict=True))
        by_key[row["customer_key"]].append(Fact(**{name: row[name] for name in Fact._fields}))
    return by_key


class _OneApp:
    """The warehouse as `Tenant` shows it, when there is one app alone."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def rows(self, sql: str, parameters: dict[str, Any], *, external: ExternalData) -> Any:
        return self._client.query(sql, parameters=parameters, external_data=external).result_rows


def values_of(schema: Client, owner: dict[bytes, bytes]) -> dict[bytes, dict[str, str]]:
    return attributes_in_force(cast(Tenant, _OneApp(schema)), owner)


@pytest.mark.parametrize("seed", range(3))
def test_the_list_has_the_value_that_the_fold_gives(schema: Client, seed: int) -> None:
    """For every customer the SQL of the list and the fold agree, whatever was set, incremented, unset and repeated."""
    chance = random.Random(seed)
    dialects = ["native", "churnkey"]
    entries = [
        entry(number, any_identify(chance), chance.choice(dialects), verified=chance.random() < 0.9)
        for number in range(1, 800)
    ]
    block = rows.block(entries)
    for part in (block.facts, block.facts[::3]):
        insert(schema, "fact", part)
    by_key = facts_of(block.facts)
    expected = {}
    for key, facts in by_key.items():
        attributes = by_attribute(first_copies(fact for fact in facts if fact.verified and fact.name == "n"))
        value = fold(attributes[("", "n")])[-1].value if attributes else None
        if value is not None:
            expected[key] = value
    found = values_of(schema, {key: key for key in by_key})
    assert {key: values["n"] for key, values in found.items() if "n" in values} == expected
    assert len(expected) > 30


def test_the_list_joins_linked_keys(schema: Client) -> None:
    """Facts under two keys of one customer are folded as one; a long value is none there."""
    said = [Identify(index=0, uid="a", set_at=1, traits='{"n":1}'),
            Identify(index=0, email="a@b.c", set_at=2, traits=text({"long": "x" * 2_000}),
                     changes=Changes(increment='{"n":2}'))]  # fmt: skip
    block = rows.block([entry(*one) for one in enumerate(said, 1)])
    insert(schema, "fact", block.facts)
    one, other = {row[1] for row in block.facts}
    assert values_of(schema, {one: one, other: one}) == {one: {"n": "3"}}


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
    columns = [column for column, kind in COLUMNS["fact"].items() if "DateTime" not in kind]
    assert read(schema, "fact", columns) == sorted(
        tuple(row[list(COLUMNS["fact"]).index(column)] for column in columns) for row in block.facts
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


def test_no_two_schema_files_have_one_number() -> None:
    """What is applied is known by its number: of two files of one number an upgrade would leave one out."""
    numbers = [number for number, _, _ in migrations()]
    assert len(set(numbers)) == len(numbers)
