"""`tenure check`: is this installation whole? A finding says what was looked at, if it holds, and what was seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy.exc import SQLAlchemyError

from tenure.conservation import Difference, books, lost_journals
from tenure.control.database import connect, control_url
from tenure.control.store import App, Store
from tenure.deep_result import DeepResult
from tenure.errors import TenureError, Unavailable
from tenure.free_space import guards
from tenure.journal import Loaded, readers
from tenure.settings import MEBIBYTE, Settings
from tenure.warehouse.client import Warehouse
from tenure.warehouse.engine_failure import OpenFailure
from tenure.warehouse.migrate import migrations
from tenure.wire.times import rfc3339


class Finding(NamedTuple):
    """One check's result."""

    name: str
    holds: bool
    seen: str


def check(settings: Settings) -> Iterator[Finding]:
    """Look at everything that a data directory is made of. The warehouse is checked when it runs."""
    store = Store(connect(settings))
    control = _control(settings, store)
    yield control
    yield from _free_space(settings)
    yield from _journals(settings)
    yield from _lost_journals(settings, store)
    yield from _incidents(store)
    yield from _last_deep_check(settings)
    failure = OpenFailure.read(settings.data / "warehouse") if settings.warehouse_url is None else None
    if failure is not None:  # asking would be waiting: the supervisor starts the engine again and again
        yield Finding("warehouse", False, failure.text)
        return
    warehouse = Warehouse(settings)
    schema = _schema(warehouse)
    yield schema
    if schema.holds and control.holds:
        for app in store.all_apps():
            yield _books(settings, store, warehouse, app)


def _control(settings: Settings, store: Store) -> Finding:
    try:
        return Finding("control database", True, f"{len(store.apps())} apps, {len(store.live_keys())} live keys")
    except Unavailable as error:
        return Finding("control database", False, error.message)
    except SQLAlchemyError as error:
        kind = str(control_url(settings)).split(":")[0]
        return Finding("control database", False, f"{kind}: {type(error).__name__}")


def _incidents(store: Store) -> Iterator[Finding]:
    """What others found wrong, and nobody has put right or accepted."""
    try:
        for incident in store.incidents.open():
            extent = f" ({incident.extent})" if incident.extent else ""
            yield Finding(f"incident {incident.id}: {incident.kind}", False, f"{incident.text}{extent}")
    except (Unavailable, SQLAlchemyError):
        return  # the control database has a finding of its own


def _free_space(settings: Settings) -> Iterator[Finding]:
    for guard in guards(settings):
        low = guard.look(quiet=True)
        free, limit = (f"{size / MEBIBYTE:,.0f} MiB" for size in guard.space)
        seen = guard.reason if low else f"{free} free; {limit} are kept free"
        yield Finding(f"free space of the {guard.disk}", not low, seen)


def _last_deep_check(settings: Settings) -> Iterator[Finding]:
    """What the last check of every byte found; incidents tell what is wrong still."""
    last = DeepResult.read(settings.data)
    if last is not None:
        yield Finding("last deep check", not last.differences, last.in_words)


def _journals(settings: Settings) -> Iterator[Finding]:
    loaded = Loaded.read(settings.journal_directory)
    for reader in readers(settings.journal_directory):
        position = loaded.positions.get(reader.id, 0)
        damaged = waiting = 0
        while rows := reader.read(position):
            damaged += sum(not row.intact for row in rows)
            waiting += len(rows)
            position = rows[-1].position
        reader.close()
        seen = f"{waiting} requests wait to be loaded" + (f", {damaged} of them damaged" if damaged else "")
        yield Finding(f"journal {reader.path.stem}", not damaged, seen)


def _schema(warehouse: Warehouse) -> Finding:
    try:
        applied = {row[0] for row in warehouse.client.query("SELECT number FROM schema_migration").result_rows}
    except Unavailable as error:
        return Finding("warehouse", False, error.message)
    missing = [name for number, name, _ in migrations() if number not in applied]
    return Finding("warehouse", not missing, f"lacks {', '.join(missing)}" if missing else "schema is up to date")


def _lost_journals(settings: Settings, store: Store) -> Iterator[Finding]:
    """Journals that are gone with what was not loaded of them."""
    try:
        lost = lost_journals(settings.journal_directory, store.received)
    except (TenureError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        yield Finding("journals that are gone", False, f"cannot be told: {type(error).__name__}")
        return
    for one in lost:
        seen = f"its file is gone with at least {one.requests:,} acknowledged requests that were not loaded"
        yield Finding(f"journal {one.journal}", False, f"{seen}; last known at {rfc3339(one.last_at)}")


def _books(settings: Settings, store: Store, warehouse: Warehouse, app: App) -> Finding:
    name = f"books of {app.name}"
    try:
        counted = books(warehouse.client, settings.journal_directory, store.received, app.id)
    except (TenureError, ClickHouseError, SQLAlchemyError, sqlite3.Error, OSError) as error:
        return Finding(name, False, f"cannot be told: {str(error).splitlines()[0][:300]}")
    seen = (
        f"received {counted.received:,} = stored {counted.stored:,} + duplicates {counted.duplicates:,} "
        f"+ quarantined {counted.quarantined:,} + erased {counted.erased:,}"
        + (f" + waiting {counted.waiting:,}" if counted.waiting else "")
    )
    accepted = {one.place: one.count or 0 for one in store.incidents.accepted() if one.app == app.id}
    known = [one for one in counted.differences if not one.extra and one.missing <= accepted.get(one.table, 0)]
    told = [f"{_in_words(one)}{' (accepted)' if one in known else ''}" for one in counted.differences]
    holds = counted.balanced or (bool(known) and len(known) == len(counted.differences))
    return Finding(name, holds, "; ".join([seen, *told]))


def _in_words(one: Difference) -> str:
    return f"{one.in_words}, received between {rfc3339(one.first_at)} and {rfc3339(one.last_at)}"
