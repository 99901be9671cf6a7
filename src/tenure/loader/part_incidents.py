"""Makes incidents of damage in the warehouse, and resolves them."""

from __future__ import annotations

from collections.abc import Iterable

from tenure.control.incidents import Incident, Incidents, Kind
from tenure.telemetry import FILES_REPAIRED
from tenure.warehouse.damage import Damage, PartRows

WHAT_TO_DO = "Stop the server and run `tenure restore-parts`."
LOST = "lost: "
"""Begins the place of what cannot be brought back: only an operator closes such an incident."""
IMPERSONAL = frozenset({"schema_migration", "erasing"})
"""Tables whose damage takes nothing from answers about an app."""


def report(incidents: Incidents, damages: Iterable[Damage]) -> None:
    """Open an incident for each app that has rows in a damaged part. What was put right already is counted alone."""
    for damage in damages:
        if damage.repaired:
            FILES_REPAIRED.labels(damage.table).inc()
            continue
        for incident in incidents_of(damage):
            incidents.report(incident)


def incidents_of(damage: Damage) -> list[Incident]:
    """The incidents of one damage: one by app, or one for all apps where it is not known whose rows there are."""
    text = f"{damage.text[:1].upper()}{damage.text[1:]}. {WHAT_TO_DO}"
    return [
        Incident(
            kind=Kind.PART_DAMAGED,
            place=place_of(damage),
            text=text,
            app=rows.app,
            count=rows.count or None,
            first_at=rows.first_at,
            last_at=rows.last_at,
            incomplete=damage.table not in IMPERSONAL,
        )
        for rows in damage.rows or [PartRows("", 0)]
    ]


def place_of(damage: Damage) -> str:
    """The place of its incidents: table and part, or the file."""
    return f"{damage.table} {damage.part}" if damage.part else damage.file or damage.table


def resolve_all(incidents: Incidents, still: Iterable[Damage] = ()) -> None:
    """Resolve what is damaged no more: all but `still`, and what is lost."""
    keep = {(place_of(damage), rows.app) for damage in still for rows in damage.rows or [PartRows("", 0)]}
    for incident in [*incidents.open(), *incidents.accepted()]:
        is_part = incident.kind == Kind.PART_DAMAGED and not incident.place.startswith(LOST)
        if is_part and (incident.place, incident.app) not in keep:
            incidents.resolve(incident.kind, incident.place, incident.app)
