"""What users state themselves: `POST /v1/subscriptions`, and files of it."""

from __future__ import annotations

import msgspec

from tenure.errors import BadRequest
from tenure.event import Event
from tenure.subscriptions import statement
from tenure.subscriptions.sources import reading
from tenure.subscriptions.sources.reading import NOTHING, Reading


def facts(event: Event, received_at: int) -> Reading:
    """The fact that a statement is. Someone's own event of the same name is none, and no problem."""
    if event.name != statement.NAME:
        return NOTHING
    try:
        said = msgspec.json.decode(event.properties, type=dict[str, object])
        if not said.keys() >= {"source", "subscription"}:
            return NOTHING
        fields = statement.of_fact(statement.read(said))
    except (msgspec.DecodeError, RecursionError, BadRequest):
        return Reading((), reading.INVALID_VALUE)
    taxes = (each for each in fields.get("items", ()) if each.get("taxed") and "tax" not in each)
    return reading.converted(reading.told(event, received_at) | fields, reading.UNKNOWN_TAX if any(taxes) else None)
