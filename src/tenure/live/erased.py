"""What the journals hold of somebody who was erased: left out of what is shown, from the answer to the request on."""

from __future__ import annotations

import msgspec

from tenure.control.erasures import Erasures
from tenure.entry import Entry
from tenure.loader.tombstones import Tombstones, keys_of


def without_erased(found: list[Entry], erasures: Erasures) -> list[Entry]:
    """The entries without elements that are old news of an erased customer, and none that has nothing else."""
    if not found or not erasures.count():
        return found
    tombstones = Tombstones(erasures.erased_at({key for entry in found for key in keys_of(entry)}))
    if not tombstones:
        return found
    left = [_left(entry, tombstones) for entry in found]
    return [
        after
        for before, after in zip(found, left, strict=True)
        if after == before or after.events or after.identifies or after.refusals
    ]


def _left(entry: Entry, tombstones: Tombstones) -> Entry:
    return msgspec.structs.replace(
        entry,
        events=[one for one in entry.events if not tombstones.is_old(entry, one)],
        identifies=[one for one in entry.identifies if not tombstones.is_old(entry, one)],
        refusals=[one for one in entry.refusals if not tombstones.names(entry.app, one.payload)],
    )
