"""The statements that take a customer out of the warehouse, from the list of tables in `personal`.

ClickHouse keeps the text of a DELETE or an ALTER in files for long: so none of these texts holds an identifier, only
hashes, ids of erasures and receipts. What may take long is given as steps: functions that begin something when they are
first called, and say each time whether it has come to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from tenure.control.erasures import Erasure
from tenure.identity import Identifier, keys_in, normal
from tenure.loader.columns import COLUMNS
from tenure.loader.rows import precedence_after
from tenure.loader.volume import Volumes
from tenure.placeholder import is_placeholder
from tenure.warehouse import personal
from tenure.warehouse.durability import DURABLE
from tenure.warehouse.insert import insert_rows
from tenure.warehouse.personal import BY_COUNT, BY_EVENT, BY_IDENTIFY, KEYED, PERSONAL, Keyed, carrying, of_customer

Step = Callable[[], bool]
Place = tuple[str, bytes]
"""A key and, before it, its app."""

PREPARED = "erasing"
_PREPARED_COLUMNS = {"erasure": "FixedString(16)", "key": "FixedString(16)", "fingerprint": "FixedString(32)"}
NEEDLES, ROWS = 100, 500
"""Texts looked for in one query; rows removed by one statement."""

# Old parts of a table are its bytes from before: for a while they go within a second of being replaced, and not within
# minutes. What replaces them is synced, its name included, before it does (`warehouse.durability`).
_SOON = "old_parts_lifetime = 1"
_AS_BEFORE = f"old_parts_lifetime = {DURABLE['old_parts_lifetime']}"

_ERASED_EVENTS = "INSERT INTO erased_event SELECT event_id, app, {erasure:FixedString(16)} FROM event FINAL WHERE "
# Where an unverified copy stood before a verified one took its place; and retries that were received before.
_ERASED_DISPLACED = """
INSERT INTO erased_event SELECT event_id, app, {erasure:FixedString(16)} FROM first_copy FINAL
WHERE app = {app:String} AND displaced_by != toFixedString('', 16) AND precedence > {after:UInt128}
    AND customer_key IN (SELECT key FROM erasing WHERE erasure = {erasure:FixedString(16)})
"""
_ERASED_ELEMENTS = """
INSERT INTO erased_event SELECT event_id, app, {erasure:FixedString(16)} FROM arrival FINAL
WHERE app = {app:String} AND kind = 'identify' AND event_id != toFixedString('', 16)
    AND (receipt, position, part) IN (SELECT receipt, position, part FROM identify FINAL WHERE CONDITION)
"""
_ERASED_IDENTIFIES = """
INSERT INTO arrival (app, receipt, kind, position, part, event_id, content, received_at, dialect, outcome, code)
SELECT app, receipt, 'identify', position, part, toFixedString('', 16), toFixedString('', 8), received_at, dialect,
    'erased', '' FROM identify FINAL WHERE """
_VOLUMES = """
SELECT app, name, dialect, toDate32(occurred_at) AS day, -count() FROM event FINAL
WHERE CONDITION AND event_id NOT IN (
    SELECT event_id FROM erased_event WHERE erasure IN (SELECT erasure FROM erasing)
)
GROUP BY app, name, dialect, day
"""
_OF_EVENTS = "event_id IN (SELECT event_id FROM erased_event WHERE erasure = {erasure:FixedString(16)})"
_OF_IDENTIFIES = f"""app = {{app:String}} AND (receipt, position, part) IN (
    SELECT receipt, position, part FROM identify WHERE {carrying(KEYED["identify"])})
"""  # noqa: S608 - a condition of ours, every value is bound
_ROW = "app = {app:String} AND concat(lower(hex(receipt)), '.', toString(part)) IN {rows:Array(String)}"
_ERASED_REFUSALS = f"""
INSERT INTO arrival (app, receipt, kind, position, part, event_id, content, received_at, dialect, outcome, code)
SELECT app, receipt, 'refusal', ifNull(position, 0), part, toFixedString('', 16), toFixedString('', 8), received_at,
    dialect, 'erased', code FROM quarantine FINAL WHERE outcome = 'quarantined' AND {_ROW}
"""  # noqa: S608 - every value is bound
# Rows of `customer` and `ledger` that were made before the loader made those of these keys anew, still in force or not.
_STALE = "app = {app:String} AND version < {version:UInt64} AND hasAny(keys, {keys:Array(FixedString(16))})"
_OLD_PARTS = """
SELECT table, name FROM system.parts
WHERE database = currentDatabase() AND table IN {tables:Array(String)} AND NOT active
"""
_WAITING = """
SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = {table:String} AND NOT is_done
"""


def fingerprint(identifier: Identifier) -> bytes:
    """32 bytes by which rows that carry an identifier in its normal form are found; `personal` says the same in SQL."""
    return _print(identifier.kind, normal(identifier.kind, identifier.value))


def _print(kind: str, text: str) -> bytes:
    return sha256(f"{kind}:{text}".encode()).digest()


def prepare(client: Client, asked: Erasure) -> None:
    """Put what the statements look for into the warehouse. Raises ClickHouseError, as all here."""
    erasure = bytes.fromhex(asked.id)
    prints = [fingerprint(one) for one in asked.identifiers if not is_placeholder(one.kind, one.value)]
    rows = [[erasure, key, bytes(32)] for key in asked.keys] + [[erasure, one[:16], one] for one in prints]
    insert_rows(client, PREPARED, _PREPARED_COLUMNS, rows)


def prepare_spellings(client: Client, asked: Erasure) -> None:
    """Put in also how the customer's addresses are written in the rows, where that is in an odd way."""
    own = {identifier.value for identifier in asked.identifiers if identifier.kind == "email"}
    if not own:
        return
    erasure, prints = bytes.fromhex(asked.id), set()
    with client.query_rows_stream(personal.ODD_SPELLINGS, {"app": asked.app}) as rows:
        for (text,) in rows:
            if normal("email", text) in own:
                prints.add(_print("email", text))
    if prints:
        insert_rows(client, PREPARED, _PREPARED_COLUMNS, [[erasure, one[:16], one] for one in sorted(prints)])


def count(client: Client, asked: Erasure, *tables: str) -> dict[str, int]:
    """How many rows of each table are the customer's; of these alone, if any are named."""
    return {name: _count(client, asked, name, of_customer(KEYED[name])) for name in tables or KEYED}


def unlink(client: Client, asked: Erasure) -> None:
    """Remove what the customer's identifiers stand for and whose they are. What is written from now on stays."""
    _delete(client, asked, "canonical", of_customer(KEYED["canonical"]), wait=True)
    _delete(client, asked, "identifier", of_customer(KEYED["identifier"]), wait=False)


def note(client: Client, asked: Erasure, volumes: Volumes) -> None:
    """Write down which events and elements are the customer's, so that what is broken off later is found again."""
    _note(client, asked, of_customer, volumes)
    client.command(_ERASED_DISPLACED, _parameters(asked))


def mark(client: Client, found: Sequence[Erasure]) -> Iterator[Step]:
    """Take the rows of these customers out of all answers: they are marked, and in the files still."""
    conditions = {name: of_customer(table) for name, table in KEYED.items() if table.is_ordered}
    conditions["event"] = f"({conditions['event']}) OR {_OF_EVENTS}"
    conditions["first_copy"] = _OF_EVENTS
    for name, condition in conditions.items():
        yield _deleting(client, found, name, condition)
    yield lambda: not _waiting(client, "identifier")


def delist(client: Client, asked: Erasure) -> None:
    """Remove the customer's rows from what is computed of each customer."""
    for name, table in KEYED.items():
        if table.lists:
            _delete(client, asked, name, of_customer(table), wait=True)


def count_carrying(client: Client, asked: Erasure) -> dict[str, int]:
    """How many rows of each table carry one of the identifiers under another customer's key."""
    return {
        f"{name} of others": _count(client, asked, name, carrying(table))
        for name, table in KEYED.items()
        if table.identifiers
    }


def remove_carrying(client: Client, found: Sequence[Erasure], volumes: Volumes) -> Iterator[Step]:
    """Remove the rows that carry one of their identifiers, whatever customer they are kept under."""
    for asked in found:
        _note(client, asked, carrying, volumes)
    for name in BY_IDENTIFY:  # before the elements themselves, by which they are found
        yield _deleting(client, found, name, _OF_IDENTIFIES)
    for name, table in KEYED.items():
        if table.identifiers:
            yield _deleting(client, found, name, carrying(table))
    for name in BY_EVENT:
        yield _deleting(client, found, name, _OF_EVENTS)


def note_others(client: Client, asked: Erasure) -> set[Place]:
    """The keys of other customers of whom something will go with what carries an identifier. Kept until the erasure is
    done, for after a crash it may be gone already."""
    keys = f"SELECT key FROM {PREPARED} WHERE erasure = {{erasure:FixedString(16)}}"  # noqa: S608 - as above
    sides = " UNION ALL ".join(
        f"SELECT customer_key FROM {name} WHERE {carrying(table)} AND customer_key NOT IN ({keys})"  # noqa: S608
        for name, table in KEYED.items()
        if table.identifiers
    )
    parameters = _parameters(asked)
    others = {"others": _others(asked)}
    client.command(
        f"INSERT INTO {PREPARED} SELECT DISTINCT {{others:FixedString(16)}}, customer_key, toFixedString('', 32) "  # noqa: S608
        f"FROM ({sides})",
        parameters | others,
    )
    found = client.query(f"SELECT DISTINCT key FROM {PREPARED} WHERE erasure = {{others:FixedString(16)}}", others)  # noqa: S608
    return {(asked.app, bytes(row[0])) for row in found.result_rows}


def remove_replaced(client: Client, asked: Erasure, others: set[Place], version: int) -> Iterator[Step]:
    """Remove rows of the list and of ledgers that others had before `version`, once they have newer ones."""
    parameters = {"app": asked.app, "version": version, "keys": [key for _, key in others]}
    for table in ("customer", "ledger"):
        sql = f"SELECT count() FROM {table} FINAL WHERE {_STALE}"  # noqa: S608 - as above
        yield lambda: client.query(sql, parameters).result_rows[0][0] == 0  # noqa: B023 - before the next is made
        yield _deleting(client, [asked], table, _STALE, **parameters)


def _others(asked: Erasure) -> bytes:
    """The id under which the keys of others are kept beside those of the erasure."""
    return sha256(f"others {asked.id}".encode()).digest()[:16]


def _note(client: Client, asked: Erasure, condition: Callable[[Keyed], str], volumes: Volumes) -> None:
    """Write down which events and identifies are about to go: their ids before their arrivals are emptied of them."""
    with volumes.taking_off(client, asked.app):
        _take_off(client, asked, condition)
        client.command(_ERASED_EVENTS + condition(KEYED["event"]), _parameters(asked))
    for statement in (
        _ERASED_ELEMENTS.replace("CONDITION", condition(KEYED["identify"])),
        _ERASED_IDENTIFIES + condition(KEYED["identify"]),
    ):
        client.command(statement, _parameters(asked))


def _take_off(client: Client, asked: Erasure, condition: Callable[[Keyed], str]) -> None:
    """Take what is about to be written down off the volumes. What is written down has been, maybe for another customer
    who is being erased."""
    sql = _VOLUMES.replace("CONDITION", condition(KEYED["event"]))
    if rows := client.query(sql, _parameters(asked)).result_rows:
        insert_rows(client, "volume", COLUMNS["volume"], rows)


def quarantined(client: Client, asked: Erasure) -> list[str]:
    """The quarantined elements whose payload holds one of the identifiers, each as `receipt.part`."""
    found: dict[str, None] = {}
    for needles in _pieces(personal.needles(asked.identifiers), NEEDLES):
        parameters = {"app": asked.app, "needles": needles}
        for receipt, part, payload in client.query(personal.PERHAPS_QUARANTINED, parameters).result_rows:
            if not set(asked.keys).isdisjoint(keys_in(asked.app, payload)):
                found[f"{bytes(receipt).hex()}.{part}"] = None
    return list(found)


def remove_quarantined(client: Client, asked: Erasure, found: Sequence[str]) -> Iterator[Step]:
    """Remove these elements; their arrivals say that they are erased."""
    for rows in _pieces(found, ROWS):
        client.command(_ERASED_REFUSALS, {"app": asked.app, "rows": rows})
        yield _deleting(client, [asked], "quarantine", _ROW, rows=rows)


def rewrite(client: Client, found: Sequence[Erasure]) -> Iterator[Step]:
    """Write every personal table anew without what is marked of these, and wait until the old files are gone."""
    for asked in found:
        ids = "erasure IN ({erasure:FixedString(16)}, {others:FixedString(16)})"
        _delete(client, asked, PREPARED, ids, wait=True, others=_others(asked))
    tables = [*PERSONAL, PREPARED]
    for name in tables:
        yield _masking(client, name)
    for name in BY_COUNT:
        client.command(f"OPTIMIZE TABLE {name} FINAL")
    yield _removing_old_parts(client, tables)


def _removing_old_parts(client: Client, tables: Sequence[str]) -> Step:
    """Have parts that are replaced by now removed, and leave the settings as they were.

    After a crash in between, the next start sets them right.
    """
    old: set[tuple[str, str]] | None = None

    def step() -> bool:
        nonlocal old
        if old is None:
            old = _old_parts(client, tables)
            _set(client, tables, _SOON)
        for name in tables:
            _clean_up(client, name)
        if not old.isdisjoint(_old_parts(client, tables)):
            return False
        _set(client, tables, _AS_BEFORE)
        return True

    return step


def _set(client: Client, tables: Sequence[str], setting: str) -> None:
    for name in tables:
        client.command(f"ALTER TABLE {name} MODIFY SETTING {setting}")


def _clean_up(client: Client, table: str) -> None:
    """Have old parts removed now. A server that does not let us does it in its own time, within a minute or so."""
    with suppress(ClickHouseError):
        client.command(f"SYSTEM START CLEANUP {table}")


def _deleting(client: Client, found: Sequence[Erasure], table: str, condition: str, **more: Any) -> Step:
    """ClickHouse goes through the table once for all that were begun together."""

    def begin() -> None:
        for asked in found:
            _delete(client, asked, table, condition, wait=False, **more)

    return _changing(client, table, begin)


def _masking(client: Client, table: str) -> Step:
    sql = f"ALTER TABLE {table} APPLY DELETED MASK"
    return _changing(client, table, lambda: client.command(sql, settings={"mutations_sync": 0}))


def _changing(client: Client, table: str, begin: Callable[[], object]) -> Step:
    begun = False

    def step() -> bool:
        nonlocal begun
        if not begun:
            begin()
            begun = True
        return not _waiting(client, table)

    return step


def _delete(client: Client, asked: Erasure, table: str, condition: str, *, wait: bool, **more: Any) -> None:
    client.command(
        f"DELETE FROM {table} WHERE {condition}",  # noqa: S608 - names and conditions of ours, every value bound
        _parameters(asked) | more,
        settings={"lightweight_deletes_sync": int(wait)},
    )


def _count(client: Client, asked: Erasure, table: str, condition: str) -> int:
    sql = f"SELECT count() FROM {table} FINAL WHERE {condition}"  # noqa: S608 - as above
    return int(client.query(sql, _parameters(asked)).result_rows[0][0])


def _parameters(asked: Erasure) -> dict[str, Any]:
    after = precedence_after(asked.ordered_at)
    return {"app": asked.app, "erasure": bytes.fromhex(asked.id), "after": after, "cut_off": asked.cut_off}


def _pieces(values: Sequence[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(values), size):
        yield list(values[start : start + size])


def _waiting(client: Client, table: str) -> int:
    return int(client.query(_WAITING, {"table": table}).result_rows[0][0])


def _old_parts(client: Client, tables: Sequence[str]) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in client.query(_OLD_PARTS, {"tables": list(tables)}).result_rows}
