"""Unverified copies of events that give way to verified ones, so that all is as if they had never been stored.

Who may say anything, and so take any message id, keeps nobody else from being heard. Of the event that gives way, its
row goes, and what was counted of it; its arrival stays, and `first_copy` says which copy took its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from tenure.identity import KINDS, Identifier, identity_key, normal
from tenure.loader.rows import Block, Copy, Pair
from tenure.warehouse.first_copies import FirstCopy

TOGETHER = 1_000
"""So many are named in one statement, whose length is limited."""
_PRECEDENCE = (1 << 128) - 1
"""Of the row that says what was displaced: above that of every copy."""
_NO_RECEIPT, _NO_CONTENT = bytes(16), bytes(8)

_CARRIED = f"""
SELECT app, {", ".join(KINDS)} FROM event FINAL
WHERE customer_key IN (SELECT key FROM sent) AND event_id IN (SELECT event_id FROM sent)
"""  # noqa: S608 - names of ours
_REMOVE = "DELETE FROM event WHERE (app, customer_key, event_id) IN ({events}) SETTINGS lightweight_deletes_sync = 2"
# An identifier that is a key of nothing, and that no link names, was mentioned by what is gone alone, or by what links
# nothing.
_FORGET = """
DELETE FROM identifier WHERE customer_key IN ({keys})
    AND customer_key NOT IN (SELECT customer_key FROM seen WHERE customer_key IN ({keys}))
    AND customer_key NOT IN (SELECT key FROM canonical WHERE key IN ({keys}))
SETTINGS lightweight_deletes_sync = 2
"""


class Displaced(NamedTuple):
    """Unverified copies whose place a verified one takes."""

    pairs: dict[bytes, Pair]
    """By id: those of which it has not been said so far."""
    stored: dict[bytes, FirstCopy]
    """Those of them that are stored: they go."""
    ids: frozenset[bytes]
    """All of them: none of these is to be stored."""
    places: set[tuple[str, bytes]]
    """The keys under which any of them was stored, with their app; also of those that went before, of which a crash may
    have kept the list from knowing."""

    @property
    def left(self) -> set[tuple[str, bytes]]:
        """The keys under which something goes now."""
        return {(self.pairs[one].app, copy.customer_key) for one, copy in self.stored.items()}


def displaced(made: Block, first: Mapping[bytes, Copy], kept: Mapping[bytes, FirstCopy]) -> Displaced:
    """Which unverified copies give way, be they of the block or stored, to verified ones that are either. Pure.

    One that was erased counts as there: whoever sends it again unverified does not bring it back.
    """
    there = {event_id for event_id, copy in kept.items() if copy.counts} | first.keys() | made.erased_ids.keys()
    pairs = {one: pair for one, pair in made.pairs.items()
             if pair.verified in there and (one in first or one in kept)}  # fmt: skip
    stored = {one: kept[one] for one in pairs if one in kept and kept[one].counts}
    return Displaced(
        {one: pair for one, pair in pairs.items() if one not in kept or one in stored},
        stored,
        frozenset(pairs),
        {(pair.app, kept[one].customer_key) for one, pair in pairs.items() if one in kept},
    )


def displaced_rows(found: Displaced, first: Mapping[bytes, Copy]) -> list[tuple[Any, ...]]:
    """Rows for `first_copy`: by which verified copy each of these is displaced, and where it stood. Pure."""
    made: list[tuple[Any, ...]] = []
    for one, pair in found.pairs.items():
        copy = found.stored.get(one) or first[one]
        made.append((one, pair.app, _PRECEDENCE, _NO_RECEIPT, 0, _NO_CONTENT, copy.customer_key, copy.occurred_at,
                     pair.family, False, pair.verified))  # fmt: skip
    return made


def carried(client: Client, stored: Mapping[bytes, FirstCopy]) -> set[bytes]:
    """The keys of all identifiers that these events, which are stored still, carry. Raises ClickHouseError."""
    found = {copy.customer_key for copy in stored.values()}
    if not stored:
        return found
    data = b"".join(copy.customer_key + event_id for event_id, copy in stored.items())
    sent = ExternalData(file_name="sent", data=data, fmt="RowBinary",
                        structure="key FixedString(16), event_id FixedString(16)")  # fmt: skip
    for app, *values in client.query(_CARRIED, external_data=sent).result_rows:
        said = (Identifier(kind, normal(kind, value)) for kind, value in zip(KINDS, values, strict=True) if value)
        found.update(identity_key(app, identifier) for identifier in said)
    return found


def remove(client: Client, found: Displaced) -> None:
    """Remove the events that give way. May be repeated. Raises ClickHouseError."""
    # App ids are ours and the rest is hexadecimal: nothing in it needs to be bound.
    events = [f"('{found.pairs[one].app}', unhex('{copy.customer_key.hex()}'), unhex('{one.hex()}'))"
              for one, copy in sorted(found.stored.items())]  # fmt: skip
    for some in _pieces(events):
        client.command(_REMOVE.format(events=some))


def forget(client: Client, keys: Collection[bytes]) -> None:
    """Remove what these keys stand for, where nothing is kept under them. May be repeated. Raises ClickHouseError."""
    for some in _pieces([f"unhex('{key.hex()}')" for key in sorted(keys)]):
        client.command(_FORGET.format(keys=some))


def _pieces(values: list[str]) -> Iterable[str]:
    for start in range(0, len(values), TOGETHER):
        yield ", ".join(values[start : start + TOGETHER])
