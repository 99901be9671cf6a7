"""Keeps the health of each customer on the list (`customer.score`): computed again soon after something of the customer
changed, when the app changed its settings, and otherwise once a day, since days pass.

When it is due stands in the customer's row, so nothing is lost in a crash. Scores are put into rows that are there, by
a thread that rests far longer than it works: the list itself goes first. A row that the list has made anew meanwhile is
left alone, with the score of before, which is due still. What is due is asked for when something can be: the list has
written, an app has changed its settings, or a time has come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import structlog
from clickhouse_connect.driver.external import ExternalData

from tenure.health.billing import Billing
from tenure.health.score import health
from tenure.health.settings import HealthSettings
from tenure.loader.customers import CustomerList
from tenure.loader.histories import LATELY_SECONDS, Member, read_everybody, read_histories
from tenure.loader.jumps import Jumps
from tenure.loader.profile import COLUMNS, CustomerItem, listed
from tenure.loader.senders import read_senders
from tenure.telemetry import worked
from tenure.warehouse import row_binary
from tenure.warehouse.client import Warehouse
from tenure.wire import times
from tenure.wire.times import DAY_MS

log = structlog.get_logger()

RULES = "2"
"""Counts up when the same history gives another score, so that all are computed again."""
STEP_CUSTOMERS, STEP_EVENTS = 400, 100_000
"""So many customers are scored together; fewer when their events are more, but one at least."""
STEP_APPS = 25
"""Of so many apps, since what everybody did in each is held meanwhile: up to `MAX_NAMES` rows."""
DEFAULTS = HealthSettings()
LOOK_SECONDS = 2.0
"""How often it is looked for whether something can be due, when nothing was."""
LONGEST_LOOK_SECONDS = 60.0
"""So often it is asked for in any case."""
REST, MOST_REST_SECONDS = 4, 5.0
"""After a step so many times as long as it took is left to others; not longer than this."""

_DUE = """
SELECT app, customer, version, keys, events, shown FROM customer FINAL
WHERE (
    score_due <= fromUnixTimestamp64Milli({now:Int64})
    OR scored_at > fromUnixTimestamp64Milli({now:Int64})  -- it was made while the clock was ahead
    OR if(app IN (SELECT app FROM stamp), (app, score_rules) NOT IN (SELECT app, rules FROM stamp),
        score_rules != {usual:String})
) AND (app, customer) > ({app:String}, {customer:FixedString(16)})
ORDER BY app, customer LIMIT {limit:UInt32} SETTINGS max_threads = 1
"""
_NEXT = """
SELECT toUnixTimestamp64Milli(min(score_due)) FROM customer FINAL
WHERE score_due > fromUnixTimestamp64Milli({now:Int64}) HAVING count() > 0 SETTINGS max_threads = 1
"""
_NEW = {
    "version": "customer.version + 1",
    "shown": "scored.shown",
    "score": "scored.score",
    "scored_at": "fromUnixTimestamp64Milli({now:Int64})",
    "score_due": "fromUnixTimestamp64Milli({due:Int64})",
    "score_rules": "scored.rules",
}
_PUT = f"""
INSERT INTO customer ({", ".join(COLUMNS)})
SELECT {", ".join(_NEW.get(column, column) for column in COLUMNS)}
FROM customer FINAL INNER JOIN scored
    ON scored.tenant = customer.app AND scored.key = customer.customer AND scored.made = customer.version
WHERE (app, customer) IN (SELECT tenant, key FROM scored) SETTINGS max_threads = 1
"""  # noqa: S608 - columns are ours, every value is bound

Place = tuple[str, bytes]
_START: Place = ("", bytes(16))
_Row = tuple[str, bytes, int, Sequence[bytes], int, str]
"""A row of `_DUE`."""


class _Due(NamedTuple):
    """A customer who is to be scored."""

    app: str
    customer: bytes
    version: int
    keys: Sequence[bytes]
    events: int
    shown: CustomerItem
    billing: Billing | None


_SCORED = "tenant String, key FixedString(16), made UInt64, score Nullable(UInt8), shown String, rules String"


class Scorer:
    """Scores the customers of all apps, in a thread of its own."""

    def __init__(
        self, warehouse: Warehouse, settings: Callable[[], Mapping[str, HealthSettings]], customers: CustomerList
    ) -> None:
        """`settings` tells what each app says of its signals and weights, where it said something."""
        self._warehouse = warehouse
        self._settings = settings
        self._customers = customers
        self._after = _START
        self._has_scored = False
        self._known: tuple[int, Mapping[str, HealthSettings]] | None = None
        self._look_at = float("-inf")
        self._jumps = Jumps()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scores", daemon=True)

    def start(self) -> None:
        """Score from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Break off after the step that is being made."""
        self._stopping.set()
        self._thread.join(10)

    def score(self, now: int | None = None) -> bool:
        """Score some of those who are due at a time (milliseconds since 1970 UTC). Returns whether more may be due.

        Raises Unavailable, ClickHouseError and SQLAlchemyError; nothing is lost then.
        """
        now = time.time_ns() // 1_000_000 if now is None else now
        every = self._settings()
        hidings, found = self._customers.hidings, self._find(every, now)
        if not found:
            again, self._after, self._has_scored = self._has_scored, _START, False
            if not again:
                self._look_at = time.monotonic() + self._seconds_to_next(now)
            return again
        due = _readable(found)
        if due:
            settings = {one.app: every.get(one.app, DEFAULTS) for one in due}
            scores = self._scores(due, settings, now)
            with self._customers.writing(hidings) as may:
                if not may:
                    return True
                self._put(due, scores, settings, now)
            self._has_scored = True
        self._after = found[-1][0], bytes(found[-1][1])
        return True

    def _run(self) -> None:
        rest = LOOK_SECONDS
        while not self._stopping.wait(rest):
            began, more = time.monotonic(), False
            try:
                more = self._is_awaited() and self.score()
                worked("scores")
            except Exception as error:  # whatever it is: a thread that has ended would leave the scores as they are
                log.warning("scores not brought up to date; will try again", error=type(error).__name__)
                self._warehouse.forget()
            took = time.monotonic() - began
            rest = min(REST * took, MOST_REST_SECONDS) if more else LOOK_SECONDS

    def _is_awaited(self) -> bool:
        """Whether somebody can be due. What other processes wrote is found in time."""
        known = self._customers.writes, self._settings()
        if known == self._known and time.monotonic() < self._look_at and not self._jumps.went_back():
            return False
        self._known, self._look_at = known, float("-inf")  # until all who are due are scored
        return True

    def _seconds_to_next(self, now: int) -> float:
        """Until somebody is due by the time alone, but no longer than it is to be waited."""
        found = self._rows(_NEXT, {"now": now}, None)
        return min(LONGEST_LOOK_SECONDS, (found[0][0] - now) / 1_000) if found else LONGEST_LOOK_SECONDS

    def _find(self, every: Mapping[str, HealthSettings], now: int) -> Sequence[_Row]:
        """Who is due, after those of the step before, as many as are scored together."""
        stamps = "".join(f"{app}\t{stamp(settings)}\n" for app, settings in every.items())
        sent = ExternalData(file_name="stamp", data=stamps.encode(), fmt="TSV", structure="app String, rules String")
        parameters = {"now": now, "usual": stamp(DEFAULTS), "app": self._after[0], "customer": self._after[1],
                      "limit": STEP_CUSTOMERS}  # fmt: skip
        rows: Sequence[_Row] = self._rows(_DUE, parameters, sent)
        apps, events = set(), 0
        for number, (app, _, _, _, of_one, _) in enumerate(rows):
            apps.add(app)
            events += of_one
            if number and (events > STEP_EVENTS or len(apps) > STEP_APPS):
                return rows[:number]
        return rows

    def _scores(self, due: Sequence[_Due], settings: Mapping[str, HealthSettings], now: int) -> list[int | None]:
        """Of each, in order."""
        members = [Member(one.app, one.keys) for one in due]
        signals = {app: of_app.meanings() for app, of_app in settings.items()}
        histories = read_histories(self._warehouse, members, signals, now)
        everybody = read_everybody(self._warehouse, members, now)
        frequent = {app: read_senders(self._warehouse.tenant(app), seconds=LATELY_SECONDS).frequent for app in settings}
        scores = []
        for number, (one, history) in enumerate(zip(due, histories, strict=True)):
            others = everybody.without(one.app, number, history)
            found = health(history, others, settings[one.app], one.billing, frequent=frequent[one.app])
            scores.append(found.score)
        return scores

    def _put(
        self, due: Sequence[_Due], scores: Sequence[int | None], settings: Mapping[str, HealthSettings], now: int
    ) -> None:
        """Into those rows that are still what they were."""
        rules = {app: row_binary.text(stamp(of_app).encode()) for app, of_app in settings.items()}
        data = bytearray()
        for one, score in zip(due, scores, strict=True):
            one.shown.health = listed(score, now)
            data += row_binary.text(one.app.encode()) + one.customer + one.version.to_bytes(8, "little")
            data += row_binary.nullable(score) + row_binary.text(msgspec.json.encode(one.shown)) + rules[one.app]
        sent = ExternalData(file_name="scored", data=bytes(data), fmt="RowBinary", structure=_SCORED)
        self._warehouse.client.command(_PUT, {"now": now, "due": now + DAY_MS}, external_data=sent)

    def _rows(self, sql: str, parameters: dict[str, Any], sent: ExternalData | None) -> Any:
        return self._warehouse.client.query(sql, parameters=parameters, external_data=sent).result_rows


def stamp(settings: HealthSettings) -> str:
    """A digest of all that a score is by, beside the customer's history."""
    said = (RULES, sorted(settings.signals.items()), msgspec.structs.astuple(settings.weights), settings.no_use)
    return blake2b(msgspec.json.encode(said), digest_size=8, person=b"health").hexdigest()


_decode = msgspec.json.Decoder(CustomerItem).decode


def _readable(rows: Sequence[_Row]) -> list[_Due]:
    """Without rows whose item cannot be read, which are said: one must not keep all others waiting."""
    found = []
    for app, customer, version, keys, events, text in rows:
        try:
            shown = _decode(text)
            billing = _billing(shown)
        except ValueError as error:
            name = type(error).__name__
            log.warning("row of the list cannot be read; not scored", app=app, customer=customer.hex(), error=name)
            continue
        found.append(_Due(app, bytes(customer), version, [bytes(key) for key in keys], events, shown, billing))
    return found


def _billing(shown: CustomerItem) -> Billing | None:
    """How a customer pays, as their row has it. The end of one subscription of several is not the customer's."""
    paid = shown.billing
    if paid is None:
        return None
    return Billing(
        status=paid.status,
        past_due=paid.past_due,
        cancel_at=_ms(paid.cancel_at) if paid.subscriptions == 1 else None,
        paying_since=_ms(paid.paying_since),
    )


def _ms(text: str | None) -> int | None:
    return None if text is None else times.parse(text).ms
