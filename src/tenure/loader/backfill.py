"""Fills tables that a schema file adds from what is in the warehouse already. Repeatable."""

from __future__ import annotations

from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from tenure import churn_event
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import element_ids
from tenure.loader import facts, rows, subscription_facts
from tenure.loader.columns import COLUMNS
from tenure.subscriptions import READING, sources
from tenure.warehouse.identifiers import fill_identifiers
from tenure.warehouse.insert import insert_rows
from tenure.warehouse.migrate import Step

_BLOCK_ROWS = 20_000
_IDENTIFIES = """
SELECT app, customer_key, toUnixTimestamp64Milli(set_at), receipt, position, part, toUnixTimestamp64Micro(received_at),
    dialect, verified, user_id, traits, user_traits, channels, users
FROM identify FINAL
"""


# In the order of the primary key, so that memory does not grow with the table.
_EVENTS = """
SELECT app, customer_key, event_id, toUnixTimestamp64Micro(received_at), receipt, position, precedence, dialect, name,
    toUnixTimestamp64Milli(occurred_at), message_id, properties, context, customer_id, uid, billing_id, email,
    anonymous_id
FROM event FINAL WHERE verified SETTINGS max_threads = 1, max_block_size = 8192
"""
_REPLAYS = "SELECT replay, receipt FROM quarantine FINAL WHERE outcome = 'replayed'"
_READINGS = 1_000_000
"""Versions of the reading are recorded beside the numbers of schema files, from here on."""
_IS_DONE = "SELECT number FROM schema_migration WHERE number = {number:UInt32}"
# The list of customers finds by this whose ledger there is to make.
_CHANGED = """
INSERT INTO seen (app, customer_key, name, events, verified, first, last, changed)
SELECT app, customer_key, '', 0, 0, toDateTime64('2299-12-31 23:59:59.999', 3, 'UTC'),
    toDateTime64('1900-01-01', 3, 'UTC'), now64(6)
FROM subscription_fact GROUP BY app, customer_key
SETTINGS insert_deduplicate = 0
"""


def read_subscriptions_anew(client: Client) -> bool:
    """Read again what stored events say of subscriptions, where an older release did last. Whether it was so.

    Begins again after a crash, since the record comes last. Raises Unavailable and ClickHouseError.
    """
    number, name = _READINGS + READING, f"reading {READING}"
    if client.query(_IS_DONE, parameters={"number": number}).result_rows:
        return False
    client.command("TRUNCATE TABLE subscription_fact")
    fill_subscription_facts(client)
    client.command(_CHANGED)
    insert_rows(client, "schema_migration", {"number": "UInt32", "name": "String"}, [(number, name)])
    return True


def fill_subscription_facts(client: Client) -> None:
    """What every stored event says of subscriptions. May be repeated."""
    made: list[tuple[Any, ...]] = []
    replays = {bytes(replay): bytes(receipt).hex() for replay, receipt in client.query(_REPLAYS).result_rows}
    with client.query_rows_stream(_EVENTS) as stream:
        for app, key, event_id, received_at, receipt, position, order, dialect, *stored in stream:
            event = stored_event(position, *stored)
            found = sources.facts(dialect, event, rows.ordered_at(order)).facts
            replayed = replays.get(bytes(receipt))
            first = order if replayed is None else rows.replayed(replayed, position)
            of = subscription_facts.Said(app, bytes(key), bytes(event_id), received_at, bytes(receipt), position, order,
                                         first)  # fmt: skip
            made += subscription_facts.rows(of, found)
            if len(made) >= _BLOCK_ROWS:
                _insert(client, "subscription_fact", made)
                made = []
    _insert(client, "subscription_fact", made)


def stored_event(  # noqa: PLR0917 - the columns of `_EVENTS`
    position: int, name: str, occurred_at: int, message_id: str, properties: str, context: str, *carried: str
) -> Event:
    """The event that a row of `event` keeps. `carried`: its identifiers, in the order of `KINDS`, empty where not."""
    customer_id, uid, billing_id, email, anonymous_id = (each or None for each in carried)
    return Event(index=position, name=name, occurred_at=occurred_at, message_id=message_id or None,
                 properties=properties, context=context, customer_id=customer_id, uid=uid, billing_id=billing_id,
                 email=email, anonymous_id=anonymous_id, churn_event_id=_churn_event(name, properties))  # fmt: skip


def _churn_event(name: str, properties: str) -> str | None:
    """The churn event that an event adds to, as far as its row tells."""
    if name != churn_event.REASON_REPORTED:
        return None
    found = msgspec.json.decode(properties, type=dict[str, object]).get("churn_event_id")
    return found if isinstance(found, str) else None


def make_facts(client: Client) -> None:
    """The facts of every identify that was loaded before there were any. Not in SQL: ClickHouse's own reading of JSON
    is not exact for large numbers."""
    made: list[tuple[Any, ...]] = []
    with client.query_rows_stream(_IDENTIFIES) as stream:
        for row in stream:
            made += _facts(row)
            if len(made) >= _BLOCK_ROWS:
                _insert(client, "fact", made)
                made = []
    _insert(client, "fact", made)


def _facts(row: Any) -> list[tuple[Any, ...]]:
    app, key, set_at, receipt, position, part, received_at, dialect, verified, user_id, *texts, users = row
    traits, user_traits, channels = texts
    identify = Identify(index=position, user_id=user_id or None, traits=traits, user_traits=user_traits,
                        channels=channels, users=users or None)  # fmt: skip
    sent = Entry(app=app, receipt=bytes(receipt).hex(), received_at=received_at, dialect=dialect,
                 verified=bool(verified), key_prefix="", identifies=[identify])  # fmt: skip
    (element_id,) = element_ids(sent)
    order = rows.precedence(received_at, bytes(receipt)) - position
    said = facts.Said(app, bytes(key), set_at, element_id, bool(verified), dialect, received_at, bytes(receipt),
                      position, part, order)  # fmt: skip
    return facts.rows(said, facts.statements(identify))


def _insert(client: Client, table: str, made: list[tuple[Any, ...]]) -> None:
    if made:
        insert_rows(client, table, COLUMNS[table], made)


STEPS: dict[int, Step] = {2: make_facts, 5: fill_identifiers}
"""By the number of the schema file."""
