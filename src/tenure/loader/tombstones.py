"""What the loader knows of erased customers: keys that were erased and when, and ids of events that were. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import element_ids, event_ids, identifiers, identity_key, keys_in


class Tombstones:
    """Tells what is old: of a customer who has been erased since."""

    def __init__(self, erased_at: Mapping[bytes, int] | None = None) -> None:
        """`erased_at`: every erased identity key, and when (ms)."""
        self._erased_at = erased_at or {}
        self.ids: set[bytes] = set()
        """Ids of events and identifies that count as erased whatever their time, among those looked at."""

    def __bool__(self) -> bool:
        return bool(self._erased_at)

    def is_old(self, entry: Entry, item: Event | Identify) -> bool:
        """Whether an element carries an identifier that was erased after it was received, or after its own time."""
        said = item.occurred_at if isinstance(item, Event) else item.set_at
        at = entry.sent_at // 1_000 if said is None else min(said, entry.sent_at // 1_000)
        known = (self._erased_at.get(identity_key(entry.app, identifier)) for identifier in identifiers(item))
        return any(erased_at is not None and at <= erased_at for erased_at in known)

    def names(self, app: str, payload: str) -> bool:
        """Whether a JSON text holds an erased identifier as a text or an integer."""
        return any(key in self._erased_at for key in keys_in(app, payload))


NOTHING_ERASED = Tombstones()


def keys_of(entry: Entry) -> set[bytes]:
    """The keys of every identifier that an element may name."""
    items: list[Event | Identify] = [*entry.events, *entry.identifies]
    carried = (side for item in items for side in identifiers(item))
    named = (key for refusal in entry.refusals for key in keys_in(entry.app, refusal.payload))
    return {*(identity_key(entry.app, side) for side in carried), *named}


def ids_of(entries: Iterable[Entry], tombstones: Tombstones) -> tuple[list[bytes], set[bytes]]:
    """The ids of all events and identifies of some entries, and those of events that are old."""
    every: list[bytes] = []
    old: set[bytes] = set()
    for entry in entries:
        ids = event_ids(entry.app, entry.dialect, entry.events, entry.receipt, entry.idempotency_key)
        every += ids
        every += element_ids(entry.app, entry.dialect, entry.identifies, entry.receipt, entry.idempotency_key)
        old.update(
            event_id for event, event_id in zip(entry.events, ids, strict=True) if tombstones.is_old(entry, event)
        )
    return every, old
