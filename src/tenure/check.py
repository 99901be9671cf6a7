"""`tenure check`: is this installation whole? A finding says what was looked at, if it holds, and what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from tenure.control.database import connect, control_url
from tenure.control.store import Store
from tenure.customers.books import books
from tenure.errors import TenureError, Unavailable
from tenure.journal import Loaded, readers
from tenure.settings import Settings
from tenure.warehouse.client import Warehouse
from tenure.warehouse.migrate import migrations


class Finding(NamedTuple):
    """One check's result."""

    name: str
    holds: bool
    seen: str


def check(settings: Settings) -> Iterator[Finding]:
    """Look at everything that a data directory is made of. The warehouse is checked when it runs."""
    store = Store(connect(settings))
    yield _control(settings, store)
    yield from _journals(settings)
    warehouse = Warehouse(settings)
    schema = _schema(warehouse)
    yield schema
    if schema.holds:
        for app in store.apps():
            yield _books(warehouse, app.id, app.name)


def _control(settings: Settings, store: Store) -> Finding:
    try:
        return Finding("control database", True, f"{len(store.apps())} apps, {len(store.live_keys())} live keys")
    except SQLAlchemyError as error:
        kind = control_url(settings).split(":")[0]
        return Finding("control database", False, f"{kind}: {type(error).__name__}")


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


def _books(warehouse: Warehouse, app: str, name: str) -> Finding:
    try:
        counted = books(warehouse.tenant(app))
    except TenureError as error:
        return Finding(f"books of {name}", False, str(error))
    seen = (
        f"received {counted.received:,} = stored {counted.stored:,} + duplicates {counted.duplicates:,} "
        f"+ quarantined {counted.quarantined:,} + erased {counted.erased:,}"
    )
    return Finding(f"books of {name}", counted.balanced, seen)
