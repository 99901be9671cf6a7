"""Rows of the table `seen`: how often and when each key did what, as far as a block changes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from tenure.loader.columns import COLUMNS
from tenure.loader.rows import Copy
from tenure.warehouse.first_copies import FirstCopy
from tenure.wire.times import EARLIEST, LATEST

RECEIVED_AT = list(COLUMNS["event"]).index("received_at")
"""Its place in a row of `event`."""


class Changes(NamedTuple):
    """What a block does to the counts in `seen`, of keys with their app."""

    new: list[Copy]
    """Events that were not there: they are added."""
    recount: set[tuple[str, bytes]]
    """Keys of events that another copy replaces. The least and greatest times cannot be taken back, so these are
    counted anew from `event`, with what is new of them."""


def changes(
    first: Mapping[bytes, Copy], kept: Mapping[bytes, FirstCopy], gone: Set[tuple[str, bytes]] = frozenset()
) -> Changes:
    """Which events are new, and whose are replaced, given what the warehouse kept before. Of the keys `gone` others
    went."""
    new: list[Copy] = []
    recount: set[tuple[str, bytes]] = set(gone)
    for event_id, copy in first.items():
        rival = kept.get(event_id)
        if rival is None:
            new.append(copy)
        elif copy.precedence > rival.precedence:
            recount |= {(copy.row[0], copy.customer_key), (copy.row[0], rival.customer_key)}
    return Changes([copy for copy in new if (copy.row[0], copy.customer_key) not in recount], recount)


def seen_rows(new: Iterable[Copy], identifies: Iterable[tuple[Any, ...]], changed: int) -> list[tuple[Any, ...]]:
    """Rows for `seen`: the new events of each key and name, and each key that an identify was sent under.

    `changed` is the time now, in microseconds since 1970 UTC.
    """
    found: dict[tuple[str, bytes, str], list[int]] = {}
    for copy in new:
        row, at = copy.row, copy.occurred_at
        seen = found.get(place := (row[0], copy.customer_key, row[4]))
        if seen is None:
            seen = found[place] = [0, 0, at, at, EARLIEST, EARLIEST]
        seen[0] += 1
        seen[1] += row[18]
        if row[18] and at > seen[4]:
            seen[4] = at
        seen[5] = max(seen[5], row[RECEIVED_AT] // 1_000)
        if at < seen[2]:
            seen[2] = at
        elif at > seen[3]:
            seen[3] = at
    for row in identifies:
        found[row[0], row[1], ""] = [0, 0, LATEST, EARLIEST, EARLIEST, EARLIEST]
    return [(*place, *seen[:4], changed, *seen[4:]) for place, seen in found.items()]
