"""What the tests of the readers and the mapping share."""

from __future__ import annotations

from pathlib import Path

from tenure.event import Event, Identify, Refusal
from tenure.importer.job import Reading
from tenure.importer.mapping import Taken, Wishes
from tenure.importer.open_file import Form

HEADER = "name,occurred_at,customer_id"


def reading(form: Form | None = None, **wishes: object) -> Reading:
    """How to read a file; keyword arguments are those of `Wishes`."""
    return Reading(form=form or Form(), wishes=Wishes(**wishes))  # type: ignore[arg-type]


def take(file: Path, form: Form | None = None, skip: int = 0, **wishes: object) -> list[Event | Refusal]:
    """What each row of a file becomes."""
    source, mapping = reading(form, **wishes).open(file)
    try:
        return [item(mapping.take(row, index)) for index, row in enumerate(source.rows(skip))]
    finally:
        source.close()


def item(taken: Taken) -> Event | Refusal:
    """The one thing that a row became, which is not attributes."""
    (found,) = taken.items
    assert not isinstance(found, Identify)
    return found


def outcomes(items: list[Event | Refusal]) -> list[str]:
    """For each row its customer, or the code and the message that it was refused with."""
    return [item.customer_id or "" if isinstance(item, Event) else f"{item.code}: {item.message}" for item in items]
