"""What the loader knows of erased customers: keys that were erased and when, and ids of events that were. Pure but for
`known_of`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenure import mail_address
from tenure.control.erasures import ErasedAt
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.identity import Identifier, element_names, event_names, identifiers, identity_key, keys_in
from tenure.warehouse.first_copies import Known, look_up

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.external import ExternalData


class Tombstones:
    """Tells what is old: of a customer who has been erased since."""

    def __init__(self, erased_at: Mapping[bytes, ErasedAt] | None = None) -> None:
        """`erased_at`: every erased identity key, and when."""
        self._erased_at = erased_at or {}
        self.ids: set[bytes] = set()
        """Ids of events and identifies that count as erased whatever their time, among those looked at."""

    def __bool__(self) -> bool:
        return bool(self._erased_at)

    def is_old(self, entry: Entry, item: Event | Identify) -> bool:
        """Whether an element carries an identifier that was erased after it was received, or after its own time."""
        said = item.occurred_at if isinstance(item, Event) else item.set_at
        received = entry.first_ordered_at
        known = (self._erased_at.get(identity_key(entry.app, identifier)) for identifier in _carried(item))
        return any(
            received <= erased.ordered_at or (said is not None and said <= erased.cut_off)
            for erased in known
            if erased is not None
        )

    def takes(self, entry: Entry, item: Event | Identify, own: bytes, rival: bytes) -> bool:
        """Whether an element is erased: by what it says, by its id, or by the id of the same element verified."""
        doubted = not (entry.verified or item.signed)
        return own in self.ids or (doubted and rival in self.ids) or self.is_old(entry, item)

    def names(self, app: str, payload: str) -> bool:
        """Whether a JSON text holds an erased identifier as a text or an integer."""
        return any(key in self._erased_at for key in keys_in(app, payload))


def _carried(item: Event | Identify) -> list[Identifier]:
    """The identifiers of an element, and the form in which older releases wrote down that its address was erased."""
    found = identifiers(item)
    if item.email is not None and (former := mail_address.former(item.email)) != mail_address.normal(item.email):
        found.append(Identifier("email", former))
    return found


NOTHING_ERASED = Tombstones()


def keys_of(entry: Entry) -> set[bytes]:
    """The keys of every identifier that an element may name."""
    items: list[Event | Identify] = [*entry.events, *entry.identifies]
    carried = (side for item in items for side in _carried(item))
    named = (key for refusal in entry.refusals for key in keys_in(entry.app, refusal.payload))
    return {*(identity_key(entry.app, side) for side in carried), *named}


def old_ids(entries: Iterable[Entry], tombstones: Tombstones, known: Known) -> set[bytes]:
    """The ids of those events of some entries that are old."""
    return {
        known.id_of(names)
        for entry in entries
        for event, names in zip(entry.events, event_names(entry), strict=True)
        if tombstones.is_old(entry, event)
    }


_ERASED = "SELECT event_id FROM erased_event WHERE event_id IN (SELECT event_id FROM ids)"


def known_of(client: Client, entries: Sequence[Entry], *, with_erased: bool) -> Known:
    """What the warehouse has of the events and other elements of some entries. Raises ClickHouseError."""
    from clickhouse_connect.driver.external import ExternalData  # the http role, which imports this, needs it never

    def ask(sql: str, sent: ExternalData) -> Sequence[Sequence[Any]]:
        return client.query(sql, external_data=sent).result_rows

    def erased(ids: Iterable[bytes]) -> set[bytes]:
        data = b"".join(ids)
        if not with_erased or not data:
            return set()
        sent = ExternalData(file_name="ids", data=data, fmt="RowBinary", structure="event_id FixedString(16)")
        return {bytes(row[0]) for row in ask(_ERASED, sent)}

    events = [names for entry in entries for names in event_names(entry)]
    elements = [names for entry in entries for names in element_names(entry)]
    return look_up(ask, events, elements, erased)
