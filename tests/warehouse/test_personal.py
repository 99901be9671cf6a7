"""No table can be forgotten when a customer is erased."""

from __future__ import annotations

import re
from random import Random

from clickhouse_connect.driver.client import Client

from tenure.control.tables import metadata
from tenure.identity import KINDS, normal
from tenure.mail_address import ODD
from tenure.warehouse.client import HIDDEN_BY, TABLES
from tenure.warehouse.migrate import migrations
from tenure.warehouse.personal import BY_EVENT, BY_PAYLOAD, IMPERSONAL, IS_ODD, KEYED, PERSONAL

SCHEMA = "\n".join(statement for _, _, statements in migrations() for statement in statements)
COLUMNS = {
    name: re.findall(r"^\s{4}(\w+) ", columns, re.MULTILINE)
    for name, columns in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\) ENGINE", SCHEMA, re.DOTALL)
}
for name, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN IF NOT EXISTS (\w+)", SCHEMA):
    COLUMNS[name].append(column)
LINKS = {"link", "cluster", "cluster_member"}
"""Tables of the control database that `Links.forget` removes a customer from."""
WRITTEN = {"saved_view", "repair"}
"""Tables of the control database in which people may have named a customer, for `forget_mentions`."""
WITHOUT_CUSTOMERS = {
    "app", "app_origin", "rate_limit", "billing", "rate", "health_settings", "api_key", "stripe_secret", "erasure",
    "erased_key", "person", "browser_session", "sign_in_link", "sign_in_attempt", "audit", "incident", "journal",
    "journal_count", "backfill", "reinstated",
}  # fmt: skip
"""Tables of the control database that hold nothing of a customer: an erasure sees to its own."""


def test_every_table_is_known_to_erasing() -> None:
    """Each table of the warehouse is either erased from, or said to hold nothing personal."""
    assert set(COLUMNS) | {"schema_migration"} == set(PERSONAL) | set(IMPERSONAL)
    assert not set(PERSONAL) & set(IMPERSONAL)


def test_every_personal_table_has_the_columns_that_it_is_searched_by() -> None:
    """Keys, times and identifiers are columns of the table; readers see the rows of their app alone."""
    for name, table in KEYED.items():
        assert {"app", *table.keys, *table.times, *table.lists} <= set(COLUMNS[name])
        assert table.is_ordered == ("precedence" in COLUMNS[name])
        assert table.identifiers == (set(KINDS) <= set(COLUMNS[name]))
    assert all("event_id" in COLUMNS[name] for name in BY_EVENT)
    assert all("payload" in COLUMNS[name] for name in BY_PAYLOAD)
    assert set(PERSONAL) <= set(TABLES)
    assert {name for name in PERSONAL if {"customer_key", "keys"} & set(COLUMNS[name])} == set(HIDDEN_BY)
    assert all(key in COLUMNS[name] for name, key in HIDDEN_BY.items())


def test_every_table_of_the_control_database_is_known_to_erasing() -> None:
    """Each is either a table of links, or one that people wrote in, or holds nothing of a customer."""
    assert set(metadata.tables) == LINKS | WRITTEN | WITHOUT_CUSTOMERS


def test_sql_and_python_agree_on_which_addresses_are_odd(client: Client) -> None:
    """The one pattern means the same to both, and what is not odd is normal in SQL's lower case."""
    random = Random(15)
    pieces = [*'<>@.:;,"[]\\()xX%jJ \t\u200b\u00e9', "xn--", "XN--", "mailto:", "\n", "'", "{", "}"]
    texts = ["".join(random.choices(pieces, k=random.randint(0, 6))) for _ in range(5_000)]
    client.command("CREATE TABLE text (at UInt32, email String) ENGINE = MergeTree ORDER BY at")
    client.insert("text", list(enumerate(texts)), column_names=["at", "email"])
    found = client.query(f"SELECT {IS_ODD}, lower(email) FROM text ORDER BY at").result_rows
    for text, (is_odd, lower) in zip(texts, found, strict=True):
        assert bool(is_odd) is (re.search(ODD, text) is not None), text
        assert is_odd or lower == normal("email", text)
