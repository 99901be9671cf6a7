"""Conservation: what was acknowledged is in the warehouse, or waits in a journal. Nothing is taken from the warehouse
to say what was acknowledged: the journals count that themselves, and the control database keeps their counts.

Three tables are held against it and against each other: `arrival`, by app and hour of receipt, then `first_copy` and
`event` by the ids of the events that arrived. Ids are gone through in ranges, so that memory is bounded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from tenure.control.received import BEFORE, KnownJournal, ReceivedLedger
from tenure.journal import JournalReader, Loaded, asides, counted_aside, readers
from tenure.journal.node import node_of
from tenure.journal.received import HOUR, Changes, Counts, Place, tally_of, totals

IDS_AT_ONCE = 250_000
"""Ids of events that are compared by one query."""
ATTEMPTS = 8
"""How often the books are read again because something was loaded meanwhile."""
_SETTINGS = {"max_execution_time": 0, "max_threads": 1}
_MILLISECOND = 1_000
_READ_ROWS = 8 * 1024 * 1024

_ARRIVED = """
SELECT intDiv(toUnixTimestamp64Micro(received_at), {hour:Int64}) AS hour,
    countIf(kind = 'event'), countIf(kind = 'identify'), countIf(kind = 'refusal' AND outcome != 'rejected'),
    countIf(kind = 'refusal' AND outcome = 'rejected'),
    sum(toUInt64(reinterpretAsUInt32(reverse(substring(receipt, 13, 4))))), max(toUnixTimestamp64Micro(received_at))
FROM arrival FINAL
WHERE app = {app:String} AND received_at >= fromUnixTimestamp64Micro({since:Int64})
    AND received_at <= fromUnixTimestamp64Micro({until:Int64})
GROUP BY hour ORDER BY hour
"""
_TOTALS = """
SELECT countIf(kind = 'event' AND outcome = 'accepted'), countIf(outcome = 'quarantined'),
    countIf(outcome = 'erased' AND kind != 'identify'), countIf(outcome = 'replayed')
FROM arrival FINAL WHERE app = {app:String}
"""
_RANGE = "app = {app:String} AND event_id >= unhex({low:String}) AND event_id <= unhex({high:String})"
_IDS = f"""
SELECT count(), countIf(gone), countIf(is_wanted AND (lacks_first OR lacks_event)), countIf(is_wanted AND lacks_first),
    minIf(at, is_wanted AND (lacks_first OR lacks_event)), maxIf(at, is_wanted AND (lacks_first OR lacks_event)),
    sumIf(copies, gone), sum(copies), countIf(NOT gone AND is_displaced)
FROM (
    SELECT event_id, copies, toUnixTimestamp64Micro(received_first) AS at,
        event_id IN (SELECT event_id FROM erased_event WHERE {_RANGE}) AS gone,
        event_id IN (SELECT event_id FROM first_copy FINAL WHERE {_RANGE} AND displaced_by != toFixedString('', 16))
            AS is_displaced,
        NOT gone AND NOT is_displaced AS is_wanted,
        event_id NOT IN (SELECT event_id FROM first_copy WHERE {_RANGE}) AS lacks_first,
        event_id NOT IN (SELECT event_id FROM event WHERE {_RANGE} AND NOT superseded) AS lacks_event
    FROM (
        SELECT event_id, count() AS copies, min(received_at) AS received_first
        FROM (SELECT event_id, receipt, position, part, any(received_at) AS received_at FROM arrival
            WHERE {_RANGE} AND kind = 'event' AND outcome = 'accepted' GROUP BY event_id, receipt, position, part)
        GROUP BY event_id
    )
)
"""  # noqa: S608 - a condition of ours, every value is bound
# What is written down as erased may be in `event` still: an erasure marks it a while later.
_STORED = """
SELECT count() FROM event FINAL
WHERE app = {app:String} AND event_id NOT IN (SELECT event_id FROM erased_event WHERE app = {app:String})
"""


class Expected(NamedTuple):
    """What the warehouse is to have, by app and hour, and what waits still."""

    loaded: dict[Place, Counts]
    waiting: dict[Place, Counts]
    positions: Loaded
    """The state that this holds for."""


class Difference(NamedTuple):
    """Elements of one app that one table lacks, or has too many of. Times: milliseconds since 1970 UTC."""

    app: str
    table: str
    missing: int
    extra: int
    first_at: int
    last_at: int
    at_least: bool = False

    @property
    def in_words(self) -> str:
        """How many elements are missing or too many."""
        least = "at least " if self.at_least else ""
        said = [f"{least}{self.missing:,} missing"] if self.missing else []
        said += [f"{least}{self.extra:,} too many"] if self.extra else []
        return f"{' and '.join(said)} in {self.table}"


class Lost(NamedTuple):
    """A journal that is gone with requests that were not loaded."""

    journal: str
    requests: int
    """At the least."""
    last_at: int
    """When it was last known to be written, milliseconds since 1970 UTC."""


class Ledger(NamedTuple):
    """The books of one app: received = stored + duplicates + quarantined + erased + waiting."""

    received: int
    stored: int
    duplicates: int
    quarantined: int
    erased: int
    waiting: int
    differences: list[Difference]
    at: Loaded
    """The state that this holds for."""

    @property
    def balanced(self) -> bool:
        """Whether nothing is missing and nothing is too many."""
        accounted = self.stored + self.duplicates + self.quarantined + self.erased + self.waiting
        return not self.differences and self.received == accounted


def expected(directory: Path, ledger: ReceivedLedger) -> Expected:
    """What was acknowledged, less what waits. Raises SQLAlchemyError, sqlite3.Error and OSError."""
    for _ in range(ATTEMPTS):
        loaded = Loaded.read(directory)
        known = {one.id: one.position for one in ledger.journals()}
        counts = ledger.counts()
        waiting: dict[Place, Counts] = {}
        for reader in readers(directory):
            try:
                changes, pending = _read(reader, loaded.positions.get(reader.id, 0))
            finally:
                reader.close()
            if changes.position >= known.get(changes.journal, 0):
                counts[changes.journal] = changes.counts
            waiting = added([waiting, pending])
        for aside in counted_aside(directory):  # of these the control database may be a second behind for ever
            if aside.position >= known.get(aside.journal, 0):
                counts[aside.journal] = aside.counts
        if Loaded.read(directory).positions == loaded.positions:  # else something may have been pruned meanwhile
            break
    received = added(counts.values())
    return Expected(added([received], [waiting]), waiting, loaded)


def added(plus: Iterable[Mapping[Place, Counts]], minus: Iterable[Mapping[Place, Counts]] = ()) -> dict[Place, Counts]:
    """Add up counts, and take others off."""
    found: dict[Place, Counts] = {}
    for sign, group in ((1, plus), (-1, minus)):
        for counts in group:
            for place, numbers in counts.items():
                found[place] = found.get(place, Counts()).plus(numbers, sign)
    return found


def lost_journals(directory: Path, ledger: ReceivedLedger) -> list[Lost]:
    """Journals of this data directory whose file is gone, with requests that were not loaded. Raises as `expected`."""
    present = {aside.journal for aside in asides(directory)}
    for reader in readers(directory):
        present.add(reader.id)
        reader.close()
    positions, node = Loaded.read(directory).positions, node_of(directory)

    def lost(known: KnownJournal) -> int:
        return known.position - positions.get(known.id, 0)

    gone = [one for one in ledger.journals() if one.node == node and one.id not in present and lost(one) > 0]
    return [Lost(one.id, lost(one), one.written_at) for one in gone]


def arrived(client: Client, app: str, until: int, since: int = 0) -> dict[int, Counts]:
    """What `arrival` has of an app, by hour of receipt, between two times (microseconds). Raises ClickHouseError."""
    bound = {"app": app, "hour": HOUR, "since": since, "until": until}
    rows = client.query(_ARRIVED, parameters=bound, settings=_SETTINGS).result_rows
    return {int(hour): Counts(*map(int, numbers)) for hour, *numbers in rows}


def compare_arrivals(app: str, wanted: Mapping[Place, Counts], found: Mapping[int, Counts]) -> list[Difference]:
    """Where `arrival` differs from what was acknowledged; neighboring hours are told together."""
    hours = sorted({hour for name, hour in wanted if name == app} | found.keys())
    differences: list[Difference] = []
    for hour in hours:
        mine, theirs = wanted.get((app, hour), Counts()), found.get(hour, Counts())
        gaps = [want - have for want, have in zip(mine[:4], theirs[:4], strict=True)]
        missing, extra = sum(gap for gap in gaps if gap > 0), -sum(gap for gap in gaps if gap < 0)
        same_set = mine.receipt_sum == theirs.receipt_sum
        if not missing and not extra:
            if same_set:
                continue
            missing = extra = 1  # as many are missing as are too many
        first = hour * HOUR // _MILLISECOND
        last = max(first, min((hour + 1) * HOUR - 1, max(mine.last_at, theirs.last_at)) // _MILLISECOND)
        one = Difference(app, "arrival", missing, extra, first, last, at_least=bool(extra))
        before = differences[-1] if differences else None
        if before is not None and before.last_at + 1 >= first - HOUR // _MILLISECOND:
            differences[-1] = before._replace(
                missing=before.missing + missing, extra=before.extra + extra, last_at=one.last_at,
                at_least=before.at_least or one.at_least,
            )  # fmt: skip
        else:
            differences.append(one)
    return differences


class IdRange(NamedTuple):
    """A range of ids of events, as hex digits."""

    low: str
    high: str


def id_ranges(events: int) -> Iterator[IdRange]:
    """Ranges of ids, of which each has about `IDS_AT_ONCE`: ids are hashes, and equally spread."""
    parts = min(65_536, max(1, -(-events // IDS_AT_ONCE)))
    bounds = [part * 65_536 // parts for part in range(parts + 1)]
    for low, high in pairwise(bounds):
        yield IdRange(f"{low:04x}{'0' * 28}", f"{high - 1:04x}{'f' * 28}")


class Ids(NamedTuple):
    """What became of the events whose ids are in a range."""

    ids: int
    erased: int
    """Of these, those whose customer was erased."""
    missing: int
    missing_first: int
    first_at: int
    last_at: int
    erased_copies: int
    copies: int
    displaced: int
    """Of these, unverified ones whose place a verified copy took, and retries: all of theirs are duplicates."""


def compare_ids(client: Client, app: str, ids: IdRange) -> Ids:
    """Look for each event that arrived in the tables that are to have it. Raises ClickHouseError."""
    bound = {"app": app, "low": ids.low, "high": ids.high}
    return Ids(*map(int, client.query(_IDS, parameters=bound, settings=_SETTINGS).result_rows[0]))


def books(client: Client, directory: Path, ledger: ReceivedLedger, app: str) -> Ledger:
    """The books of an app, every table gone through. Raises ClickHouseError, and as `expected`.

    They are read again when something was loaded meanwhile. When that does not help, they tell what is missing, which
    later loading does not change, and not what is too many.
    """
    for _ in range(ATTEMPTS):
        made = _books(client, expected(directory, ledger), app)
        if Loaded.read(directory) == made.at:
            return made
    return made._replace(differences=[one._replace(extra=0, at_least=True) for one in made.differences if one.missing])


def _books(client: Client, now: Expected, app: str) -> Ledger:
    mine = {place: counts for place, counts in now.loaded.items() if place[0] == app}
    until = max((counts.last_at for counts in mine.values()), default=0)
    differences = compare_arrivals(app, mine, arrived(client, app, until))
    found = through_ids(client, app, sum(counts.events for counts in mine.values()))
    differences += lacking(app, found)
    copies, quarantined, erased, replayed = _row(client, _TOTALS, app)
    stored = _row(client, _STORED, app)[0]
    kept = found.ids - found.erased - found.displaced
    gap = kept - found.missing - stored
    if gap < 0:  # an event whose arrival is missing is not too many
        gap = min(0, gap + sum(one.missing for one in differences if one.table == "arrival"))
    if gap:
        differences.append(Difference(app, "event", max(0, gap), max(0, -gap), 0, until // _MILLISECOND))
    waiting = sum(counts.events + counts.quarantined for (name, _), counts in now.waiting.items() if name == app)
    received = sum(counts.events + counts.quarantined for counts in mine.values()) - replayed + waiting
    duplicates = copies - found.erased_copies - kept
    erased += found.erased_copies
    return Ledger(received, stored, duplicates, quarantined, erased, waiting, differences, now.positions)


def count_before(client: Client, directory: Path, ledger: ReceivedLedger, apps: list[str]) -> None:
    """Take what was loaded before journals counted from the warehouse, once: nothing else knows it any more.

    For the loader, before it loads anything. Raises as `books`.
    """
    if any(one.id == BEFORE for one in ledger.journals()):
        return
    wanted = expected(directory, ledger).loaded
    before: dict[Place, Counts] = {}
    for app in apps:
        for hour, found in arrived(client, app, 2**62).items():
            counted = found.plus(wanted.get((app, hour), Counts()), -1)
            if any(number > 0 for number in counted[:4]):
                before[app, hour] = Counts._make([*(max(0, number) for number in counted[:5]), found.last_at])
    ledger.write(Changes(BEFORE, 0, before), "")


def through_ids(client: Client, app: str, events: int) -> Ids:
    """Look for every event of an app that arrived, of which there are about `events`. Raises ClickHouseError."""
    whole = Ids(*[0] * 9)
    for ids in id_ranges(events):
        one = compare_ids(client, app, ids)
        sums = [mine + theirs for mine, theirs in zip(whole, one, strict=True)]
        whole = Ids(*sums)
        if one.missing:
            earlier = [at for at in (whole.first_at - one.first_at, one.first_at) if at]
            whole = whole._replace(first_at=min(earlier), last_at=max(whole.last_at - one.last_at, one.last_at))
        else:
            whole = whole._replace(first_at=whole.first_at - one.first_at, last_at=whole.last_at - one.last_at)
    return whole


def lacking(app: str, found: Ids) -> list[Difference]:
    """What `first_copy` and `event` lack."""
    first, last = found.first_at // _MILLISECOND, found.last_at // _MILLISECOND
    differences = []
    if found.missing_first:
        differences.append(Difference(app, "first_copy", found.missing_first, 0, first, last))
    if found.missing > found.missing_first:
        differences.append(Difference(app, "event", found.missing - found.missing_first, 0, first, last))
    return differences


def _row(client: Client, sql: str, app: str) -> list[int]:
    found = client.query(sql, parameters={"app": app}, settings=_SETTINGS).result_rows[0]
    return [int(number) for number in found]


def _read(reader: JournalReader, loaded: int) -> tuple[Changes, dict[Place, Counts]]:
    """What a journal counted, and what of it is not loaded."""
    changes, after = reader.received(), loaded
    waiting: dict[Place, Counts] = defaultdict(Counts)
    while after < changes.position:
        rows = reader.read(after, through=changes.position, max_bytes=_READ_ROWS)
        if not rows:
            break
        for place, counts in totals(tally_of(row.payload) for row in rows if row.intact).items():
            waiting[place] = waiting[place].plus(counts)
        after = rows[-1].position
    return changes, dict(waiting)
