"""Makes tables anew from others, after damage. Every statement may be repeated."""

from __future__ import annotations

from importlib import resources
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from tenure.control.links import Links
from tenure.event import Identify
from tenure.identity import KINDS, Identifier, family, identity_key, message_names
from tenure.loader import facts
from tenure.loader.columns import COLUMNS
from tenure.warehouse.identifiers import fill_identifiers
from tenure.warehouse.insert import insert_rows
from tenure.warehouse.migrate import migrations

_BLOCK_ROWS = 20_000
_CLUSTERS = 5_000
_BILLING_IDS = "SELECT DISTINCT app, billing_id FROM {table} WHERE billing_id != ''"

FIRST_COPY = """
INSERT INTO first_copy
    (event_id, app, precedence, receipt, position, content, customer_key, occurred_at, family, verified)
SELECT kept.event_id, kept.app, kept.precedence, kept.receipt, kept.position, told.content, kept.customer_key,
    kept.occurred_at, if(kept.dialect = 'import', 'native', kept.dialect), kept.verified
FROM (SELECT * FROM event FINAL WHERE event_id NOT IN (SELECT event_id FROM first_copy)) AS kept
LEFT JOIN (
    SELECT event_id, receipt, position, any(content) AS content FROM arrival FINAL WHERE kind = 'event'
    GROUP BY event_id, receipt, position
) AS told ON told.event_id = kept.event_id AND told.receipt = kept.receipt AND told.position = kept.position
SETTINGS insert_deduplicate = 0
"""
"""Every event has a row there. Its content is told by the arrival of the copy that is kept."""

ARRIVAL = (
    """
INSERT INTO arrival
    (app, receipt, kind, position, part, event_id, content, received_at, dialect, outcome, code, verified)
SELECT kept.app, kept.receipt, 'event', kept.position, 0, kept.event_id, told.content, kept.received_at, kept.dialect,
    'accepted', '', kept.verified
FROM (
    SELECT * FROM event FINAL
    WHERE (app, receipt, position) NOT IN (SELECT app, receipt, position FROM arrival WHERE kind = 'event')
) AS kept LEFT JOIN (SELECT event_id, content FROM first_copy FINAL) AS told ON told.event_id = kept.event_id
SETTINGS insert_deduplicate = 0
""",
    """
INSERT INTO arrival
    (app, receipt, kind, position, part, event_id, content, received_at, dialect, outcome, code, verified)
SELECT app, receipt, 'identify', position, part, any(element_id), toFixedString('', 8), any(received_at), any(dialect),
    'accepted', '', any(verified)
FROM fact FINAL
WHERE (app, receipt, position, part) NOT IN (SELECT app, receipt, position, part FROM arrival WHERE kind = 'identify')
    AND (app, receipt, position, part) IN (SELECT app, receipt, position, part FROM identify)
GROUP BY app, receipt, position, part
SETTINGS insert_deduplicate = 0
""",
    """
INSERT INTO arrival
    (app, receipt, kind, position, part, event_id, content, received_at, dialect, outcome, code, verified)
SELECT app, receipt, 'identify', position, part, toFixedString('', 16), toFixedString('', 8), received_at, dialect,
    'accepted', '', verified
FROM identify FINAL
WHERE (app, receipt, position, part) NOT IN (SELECT app, receipt, position, part FROM arrival WHERE kind = 'identify')
SETTINGS insert_deduplicate = 0
""",
    """
INSERT INTO arrival (
    app, receipt, kind, position, part, event_id, content, received_at, dialect, outcome, code, path, key_prefix,
    verified
)
SELECT app, receipt, 'refusal', ifNull(position, 0), part, toFixedString('', 16), toFixedString('', 8), received_at,
    dialect, toString(outcome), code, path, key_prefix, verified
FROM quarantine FINAL
WHERE (app, receipt, part) NOT IN (SELECT app, receipt, part FROM arrival WHERE kind = 'refusal')
SETTINGS insert_deduplicate = 0
""",
)
"""What is stored has arrived. Arrivals of later copies, and the paths and keys of requests, are known there alone."""

ERASED_EVENT = """
INSERT INTO erased_event SELECT DISTINCT event_id, app, toFixedString('', 16) FROM arrival FINAL
WHERE kind = 'event' AND event_id NOT IN (SELECT event_id FROM event FINAL)
    AND event_id NOT IN (SELECT event_id FROM erased_event)
"""
"""While `event` is whole, an event that arrived and is not there was erased."""

_BELIEVED = "SELECT app, dialect, message_id, event_id FROM event FINAL WHERE verified AND message_id != ''"
# What arrived, is not stored, and would have given way to what is.
_DISPLACED = """
INSERT INTO first_copy
    (event_id, app, precedence, receipt, position, content, customer_key, occurred_at, family, verified, displaced_by)
SELECT DISTINCT event_id, app, bitNot(toUInt128(0)), toFixedString('', 16), 0, toFixedString('', 8),
    toFixedString('', 16), toDateTime64(0, 3, 'UTC'), sent.of, false, sent.verified_id
FROM arrival INNER JOIN sent USING (event_id)
WHERE kind = 'event' AND event_id NOT IN (SELECT event_id FROM first_copy)
    AND event_id NOT IN (SELECT event_id FROM erased_event)
SETTINGS insert_deduplicate = 0
"""
# A copy that arrived and is not stored is a retry of the stored one before it; an unverified one may be a retry of the
# verified one after it.
RETRIES = """
INSERT INTO first_copy
    (event_id, app, precedence, receipt, position, content, customer_key, occurred_at, family, verified, displaced_by)
SELECT gone.event_id, gone.app, gone.precedence + 1, told.receipt, told.position, told.content, kept.customer_key,
    toDateTime64(told.received_at, 3, 'UTC'), 'windback', gone.verified, kept.event_id
FROM (
    SELECT event_id, app, retry_key, precedence, verified FROM retry_copy FINAL
    WHERE event_id NOT IN (SELECT event_id FROM first_copy) AND event_id NOT IN (SELECT event_id FROM erased_event)
) AS gone
INNER JOIN (
    SELECT retry_key, retry_copy.precedence AS place, event_id, customer_key, copy.verified AS verified
    FROM retry_copy FINAL INNER JOIN (
        SELECT event_id, customer_key, verified FROM first_copy FINAL
        WHERE displaced_by = toFixedString('', 16) AND event_id IN (SELECT event_id FROM retry_copy)
    ) AS copy USING (event_id)
) AS kept ON kept.retry_key = gone.retry_key
INNER JOIN (
    SELECT event_id, receipt, position, content, received_at FROM arrival FINAL WHERE kind = 'event'
        AND event_id IN (SELECT event_id FROM retry_copy)
) AS told ON told.event_id = gone.event_id
WHERE (kept.verified OR NOT gone.verified)
    AND (kept.place >= gone.precedence OR kept.verified AND NOT gone.verified)
ORDER BY kept.place < gone.precedence, abs(toInt256(kept.place) - toInt256(gone.precedence))
LIMIT 1 BY gone.event_id
SETTINGS insert_deduplicate = 0
"""
_VOLUME = """
INSERT INTO volume
SELECT app, name, dialect, toDate32(occurred_at) AS day, count() FROM event FINAL
WHERE event_id NOT IN (SELECT event_id FROM erased_event) GROUP BY app, name, dialect, day
SETTINGS insert_deduplicate = 0, max_bytes_before_external_group_by = 67108864
"""
_WITHOUT_FACTS = """
SELECT app, customer_key, toUnixTimestamp64Milli(set_at), receipt, position, part, toUnixTimestamp64Micro(received_at),
    dialect, verified, user_id, traits, user_traits, channels, users, precedence, sequence, element_id
FROM (
    SELECT * FROM identify FINAL
    WHERE (app, receipt, position, part) NOT IN (SELECT app, receipt, position, part FROM fact)
) AS said INNER JOIN (
    SELECT app, receipt, position, part, event_id AS element_id FROM arrival FINAL
    WHERE kind = 'identify' AND event_id != toFixedString('', 16)
) AS arrived USING (app, receipt, position, part)
"""


def seen() -> list[str]:
    """The statements that make `seen` anew: those with which it was filled first."""
    text = (resources.files("tenure.warehouse") / "schema" / "0005_customer.sql").read_text()
    return ["TRUNCATE TABLE seen", *(f"INSERT INTO seen{part}" for part in text.split("INSERT INTO seen")[1:])]


def make_displaced(client: Client) -> None:
    """What `first_copy` says of unverified copies whose place a verified one with the same message id took.

    Raises ClickHouseError.
    """
    made: list[bytes] = []
    with client.query_rows_stream(_BELIEVED) as stream:
        for app, dialect, message_id, event_id in stream:
            made.append(_gives_way(app, family(dialect), message_id, bytes(event_id)))
            if len(made) >= _BLOCK_ROWS:
                _send(client, made)
                made = []
    _send(client, made)


def _gives_way(app: str, of: str, message_id: str, event_id: bytes) -> bytes:
    """As a row of `sent`: the id under which unverified copies of an event came."""
    names = message_names(b"event", app, of, trusted=True, message_id=message_id)
    return names.unverified + event_id + bytes([len(of)]) + of.encode()


def _send(client: Client, made: list[bytes]) -> None:
    if made:
        sent = ExternalData(file_name="sent", data=b"".join(made), fmt="RowBinary",
                            structure="event_id FixedString(16), verified_id FixedString(16), of String")  # fmt: skip
        client.command(_DISPLACED, external_data=sent)


def make_identifiers(client: Client, links: Links) -> None:
    """What every key stands for: of identifiers in events and identifies, and of those that links name.

    Raises ClickHouseError and SQLAlchemyError.
    """
    fill_identifiers(client)
    found: dict[bytes, tuple[str, bytes, str, str]] = {}
    for table in ("event", "identify"):
        for app, value in client.query(_BILLING_IDS.format(table=table)).result_rows:
            _add(found, app, Identifier("billing_id", value))
    place = (0, "")
    while changed := links.changed_after(*place, limit=_CLUSTERS):
        facts_of = links.facts_of(one.id for one in changed)
        for one in changed:
            for side in {side for link in facts_of.get(one.id, ()) for side in link.pair}:
                if side.kind in KINDS:  # ids of churn events are named by links whether events carry them or not
                    _add(found, one.app, side)
        place = (changed[-1].revision, changed[-1].id)
    if found:
        insert_rows(client, "identifier", COLUMNS["identifier"], list(found.values()))


def _add(found: dict[bytes, tuple[str, bytes, str, str]], app: str, identifier: Identifier) -> None:
    key = identity_key(app, identifier)
    found[key] = (app, key, identifier.kind, identifier.value)


def count_volume(client: Client) -> None:
    """Make `volume` anew. Raises ClickHouseError."""
    client.command("TRUNCATE TABLE volume")
    client.command(_VOLUME)


def record_migrations(client: Client) -> None:
    """Record that all schema files were applied, as they were when this version last ran. Raises ClickHouseError."""
    made = [(number, name) for number, name, _ in migrations()]
    insert_rows(client, "schema_migration", {"number": "UInt32", "name": "String"}, made)


def make_missing_facts(client: Client) -> None:
    """The facts of identifies of which there is none.

    What an identify sets is told by it; what it increments, unsets, or sets once was only in its facts. Raises
    ClickHouseError.
    """
    made: list[tuple[Any, ...]] = []
    with client.query_rows_stream(_WITHOUT_FACTS) as stream:
        for row in stream:
            made += _facts(row)
            if len(made) >= _BLOCK_ROWS:
                _insert(client, made)
                made = []
    _insert(client, made)


def _facts(row: Any) -> list[tuple[Any, ...]]:
    app, key, set_at, receipt, position, part, received_at, dialect, verified, user_id, *texts = row
    traits, user_traits, channels, users, order, sequence, element_id = texts
    identify = Identify(index=position, user_id=user_id or None, traits=traits, user_traits=user_traits,
                        channels=channels, users=users or None)  # fmt: skip
    said = facts.Said(app, bytes(key), set_at, bytes(element_id), bool(verified), dialect, received_at, bytes(receipt),
                      position, part, order, sequence)  # fmt: skip
    return facts.rows(said, facts.statements(identify))


def _insert(client: Client, made: list[tuple[Any, ...]]) -> None:
    if made:
        insert_rows(client, "fact", COLUMNS["fact"], made)
