"""A run of `tenure restore-parts`: small files, the engine, tables, incidents, in this order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tenure.control.incidents import Incident, Kind
from tenure.control.store import Store
from tenure.data_directory import lock_data
from tenure.engine_alone import engine_alone
from tenure.loader.part_incidents import IMPERSONAL, LOST, resolve_all
from tenure.loader.restoring import Loss, Report, Restoration
from tenure.settings import Settings
from tenure.warehouse.damage import Damage, PartRows
from tenure.warehouse.engine_failure import check_due
from tenure.warehouse.file_copies import SET_ASIDE, FileCopies, is_mutation, rows_of, set_aside, uncovered
from tenure.warehouse.part_repair import drop_leftovers
from tenure.wire.times import rfc3339


def restore_parts(settings: Settings, store: Store) -> Report:
    """Bring back what can be brought back, and tell the rest. Raises TenureError, also while a server runs."""
    warehouse = settings.data / "warehouse"
    copies = FileCopies(warehouse)
    with lock_data(settings.data):
        files = [damage.file for damage in copies.verify() if damage.repaired]
        aside = list(_move_unreadable(copies, warehouse))
    report = Report(files, aside)
    known = known_rows(copies)
    with engine_alone(settings) as running:
        gone = list(_set_aside(copies, warehouse, report))
        drop_leftovers(running.client)
        Restoration(settings.journal_directory, running, store, report).run(gone, known)
        list(_set_aside(copies, warehouse, report))  # what was taken out of its table meanwhile
    if report.rebuilt or report.repaired:
        check_due(warehouse).touch()  # the next server looks at everything again
    resolve_all(store.incidents)
    for loss in report.lost:
        store.incidents.report(_incident(loss))
    return report


def known_rows(copies: FileCopies) -> dict[tuple[str, str], list[PartRows]]:
    """By table and part: its rows by app, as its copy has them."""
    return {
        (table.name, part): copy.rows
        for table in copies.tables()
        for part in table.parts()
        if (copy := copies.read(table, part)) is not None and copy.rows
    }


def loss_in_words(loss: Loss) -> str:
    """A loss as a sentence's part: how many rows of which table, app and time."""
    number = "an unknown number of" if loss.count is None else f"{loss.count:,}"
    words = [f"{number} rows of {loss.table}"]
    if loss.app:
        words.append(f"of app {loss.app}")
    if loss.first_at is not None and loss.last_at is not None:
        words.append(f"from {rfc3339(loss.first_at)} to {rfc3339(loss.last_at)}")
    return " ".join(words) + (f" (part {loss.part})" if loss.part else "")


def _move_unreadable(copies: FileCopies, warehouse: Path) -> Iterator[str]:
    """Move files of mutations away that keep the engine from starting, and of which there is no copy."""
    for table in copies.tables():
        for path in sorted(table.path.glob("mutation_*.txt")):
            if not is_mutation(path.read_bytes()):
                yield _move(path, warehouse, table.name)


def _set_aside(copies: FileCopies, warehouse: Path, report: Report) -> Iterator[Damage]:
    """Move broken parts out of the engine's sight; yields those whose rows no other part has."""
    for table in copies.tables():
        broken = dict(set_aside(table.path))
        own = set(uncovered([*broken, *table.parts()]))
        for part, path in broken.items():
            copy = copies.read(table, part)
            known = rows_of(copy, path)
            report.set_aside.append(_move(path, warehouse, table.name))
            if part in own and part not in table.parts():
                text = f"the engine set aside part {part} of table {table.name}"
                yield Damage(table.name, part, text, rows=known)
        for path in sorted((table.path / "detached").glob("all_*")):  # taken out by us
            report.set_aside.append(_move(path, warehouse, table.name))


def _move(path: Path, warehouse: Path, table: str) -> str:
    """Move a file or directory to `set-aside/`; returns its new place."""
    directory = warehouse / SET_ASIDE / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) / table
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = directory / path.name
    number = 0
    while target.exists():
        number += 1
        target = directory / f"{path.name}.{number}"
    path.rename(target)
    return str(target.relative_to(warehouse))


def _incident(loss: Loss) -> Incident:
    return Incident(
        kind=Kind.PART_DAMAGED,
        place=f"{LOST}{loss.table} {loss.part}".strip(),
        text=f"Damage took {loss_in_words(loss)}, which cannot be brought back. Send or import again what you can, "
        "then accept this.",
        app=loss.app,
        count=loss.count,
        first_at=loss.first_at,
        last_at=loss.last_at,
        incomplete=loss.table not in IMPERSONAL,
    )
