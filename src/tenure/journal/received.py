"""What was acknowledged: running counts for each app and hour, kept by each journal in the transaction of an append.

They are never pruned. They are the only source of *received* in the books: nothing in the warehouse is counted for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from tenure import entry as entries
from tenure.entry import Tally

HOUR = 3_600_000_000
"""Microseconds."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS received (
    app TEXT NOT NULL,
    hour INTEGER NOT NULL,  -- of the time of receipt, since 1970 UTC
    events INTEGER NOT NULL,
    identifies INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    receipt_sum INTEGER NOT NULL,
    last_at INTEGER NOT NULL,  -- the latest time of receipt, microseconds since 1970 UTC
    PRIMARY KEY (app, hour)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (source TEXT PRIMARY KEY, entries INTEGER NOT NULL) WITHOUT ROWID;
"""

ADD = """
INSERT INTO received VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    events = events + excluded.events, identifies = identifies + excluded.identifies,
    quarantined = quarantined + excluded.quarantined, rejected = rejected + excluded.rejected,
    receipt_sum = receipt_sum + excluded.receipt_sum, last_at = max(last_at, excluded.last_at)
"""

Place = tuple[str, int]
"""An app and an hour."""


class Counts(NamedTuple):
    """Elements of one app that were received in one hour."""

    events: int = 0
    identifies: int = 0
    quarantined: int = 0
    rejected: int = 0
    receipt_sum: int = 0
    last_at: int = 0
    """The latest time of receipt, microseconds since 1970 UTC."""

    @property
    def elements(self) -> int:
        """How many elements these are, of all kinds."""
        return self.events + self.identifies + self.quarantined + self.rejected

    def plus(self, other: Counts, sign: int = 1) -> Counts:
        """Both together; with the sign -1 the others taken off."""
        sums = [mine + sign * theirs for mine, theirs in zip(self, other, strict=True)]
        return Counts._make([*sums[:-1], max(self.last_at, other.last_at)])


class Changes(NamedTuple):
    """What a journal counted, for others to keep."""

    journal: str
    position: int
    """The last position that was ever written when the counts were read."""
    counts: dict[Place, Counts]


def totals(tallies: Iterable[Tally | None]) -> dict[Place, Counts]:
    """Add up tallies by app and hour."""
    found: dict[Place, list[int]] = {}
    for tally in tallies:  # written out, since each append goes through it
        if tally is None:
            continue
        at = tally.received_at
        place = tally.app, at // HOUR
        sums = found.get(place)
        if sums is None:
            sums = found[place] = [0, 0, 0, 0, 0, 0]
        sums[0] += tally.events
        sums[1] += tally.identifies
        sums[2] += tally.quarantined
        sums[3] += tally.rejected
        sums[4] += tally.receipt_sum
        sums[5] = max(sums[5], at)
    return {place: Counts(*sums) for place, sums in found.items()}


def rows(counts: dict[Place, Counts]) -> list[tuple[str | int, ...]]:
    """The parameters of `ADD`."""
    return [(*place, *numbers) for place, numbers in counts.items()]


def read(db: sqlite3.Connection, places: Iterable[Place] | None = None) -> dict[Place, Counts]:
    """The counts of a journal: all, or of these places. In one of an older version, of the entries that it holds."""
    columns = "SELECT app, hour, events, identifies, quarantined, rejected, receipt_sum, last_at FROM received"
    try:
        if places is None:
            found = db.execute(columns).fetchall()
        else:
            of_place = f"{columns} WHERE app = ? AND hour = ?"
            found = [row for place in places for row in db.execute(of_place, place)]
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return totals(tally_of(payload) for (payload,) in db.execute("SELECT payload FROM entry"))
    return {(app, hour): Counts(*numbers) for app, hour, *numbers in found}


def create(db: sqlite3.Connection) -> None:
    """Add the tables to a journal. One of an older version begins with the entries that it still holds."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'received'").fetchone() is not None:
        return
    db.execute("BEGIN IMMEDIATE")  # a crash before the commit leaves the journal as it was
    for statement in SCHEMA.split(";\n"):
        db.execute(statement)
    kept = db.execute("SELECT payload FROM entry")
    db.executemany(ADD, rows(totals(tally_of(payload) for (payload,) in kept)))
    db.execute("COMMIT")


def tally_of(payload: bytes) -> Tally | None:
    """The tally of an entry; None when it is damaged, for then nothing is known of it."""
    try:
        return entries.tally(entries.decode(payload))
    except msgspec.DecodeError:
        return None
