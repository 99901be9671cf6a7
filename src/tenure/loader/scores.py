"""Keeps the health of each customer on the list (`customer.score`): computed again soon after something of the customer
changed, when the app changed its settings, and otherwise once a day, since days pass.

When it is due stands in the customer's row, so nothing is lost in a crash. Scores are put into rows that are there, by
a thread that rests far longer than it works: the list itself goes first. A row that the list has made anew meanwhile is
left alone, with the score of before, which is due still.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import structlog
from clickhouse_connect.driver.external import ExternalData

from tenure.health.billing import Billing
from tenure.health.score import health
from tenure.health.settings import HealthSettings
from tenure.health.signals import Signals
from tenure.loader.customers import CustomerList
from tenure.loader.histories import Members, read_everybody, read_histories
from tenure.loader.profile import COLUMNS, CustomerItem, listed
from tenure.warehouse.client import Warehouse
from tenure.wire import times
from tenure.wire.times import DAY_MS

log = structlog.get_logger()

RULES = "1"
"""Counts up when the same history gives another score, so that all are computed again."""
STEP_CUSTOMERS, STEP_EVENTS = 400, 100_000
"""So many customers are scored together; fewer when their events are more, but one at least."""
DEFAULTS = HealthSettings()
LOOK_SECONDS = 2.0
"""How often it is looked for what is due, when nothing was."""
REST, MOST_REST_SECONDS = 4, 5.0
"""After a step so many times as long as it took is left to others; not longer than this, as when one step was of many
apps."""

_DUE = """
SELECT app, customer, version, keys, events, shown FROM customer FINAL
WHERE (score_due <= fromUnixTimestamp64Milli({now:Int64}) OR (app, score_rules) NOT IN (SELECT app, rules FROM stamp))
    AND (app, customer) > ({app:String}, {customer:FixedString(16)})
ORDER BY app, customer LIMIT {limit:UInt32} SETTINGS max_threads = 1
"""
_NEW = {
    "version": "customer.version + 1",
    "shown": "scored.shown",
    "score": "scored.score",
    "scored_at": "fromUnixTimestamp64Milli({now:Int64})",
    "score_due": "fromUnixTimestamp64Milli({due:Int64})",
    "score_rules": "{rules:String}",
}
_PUT = f"""
INSERT INTO customer ({", ".join(COLUMNS)})
SELECT {", ".join(_NEW.get(column, column) for column in COLUMNS)}
FROM customer FINAL INNER JOIN scored ON scored.key = customer.customer AND scored.made = customer.version
WHERE app = {{app:String}} AND customer IN (SELECT key FROM scored) SETTINGS max_threads = 1
"""  # noqa: S608 - columns are ours, every value is bound

Place = tuple[str, bytes]
_START: Place = ("", bytes(16))


class _Due(NamedTuple):
    """A customer who is to be scored."""

    app: str
    customer: bytes
    version: int
    keys: Sequence[bytes]
    events: int
    shown: CustomerItem


_SCORED = "key FixedString(16), made UInt64, score Nullable(UInt8), shown String"


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
        hidings, due = self._customers.hidings, self._due(every, now)
        if not due:
            again, self._after = self._after != _START, _START
            return again
        for app in {one.app for one in due}:
            settings = every.get(app, DEFAULTS)
            of_app = [one for one in due if one.app == app]
            scores = self._scores(app, of_app, settings, now)
            with self._customers.writing(hidings) as may:
                if not may:
                    return True
                self._put(app, zip(of_app, scores, strict=True), stamp(settings), now)
        self._after = due[-1].app, due[-1].customer
        return True

    def _run(self) -> None:
        rest = LOOK_SECONDS
        while not self._stopping.wait(rest):
            began, more = time.monotonic(), False
            try:
                more = self.score()
            except Exception as error:  # whatever it is: a thread that has ended would leave the scores as they are
                log.warning("scores not brought up to date; will try again", error=type(error).__name__)
                self._warehouse.forget()
            took = time.monotonic() - began
            rest = min(REST * took, MOST_REST_SECONDS) if more else LOOK_SECONDS

    def _due(self, every: Mapping[str, HealthSettings], now: int) -> list[_Due]:
        """Who is due, after those of the step before, as many as are scored together."""
        apps = [app for (app,) in self._rows("SELECT DISTINCT app FROM customer", {}, None)]
        if not apps:
            return []
        stamped = {app: stamp(settings) for app, settings in every.items()}
        usual = stamp(DEFAULTS)
        stamps = "".join(f"{app}\t{stamped.get(app, usual)}\n" for app in apps)
        sent = ExternalData(file_name="stamp", data=stamps.encode(), fmt="TSV", structure="app String, rules String")
        parameters = {"now": now, "app": self._after[0], "customer": self._after[1], "limit": STEP_CUSTOMERS}
        rows = [
            _Due(app, bytes(customer), version, [bytes(key) for key in keys], events, _decode(shown))
            for app, customer, version, keys, events, shown in self._rows(_DUE, parameters, sent)
        ]
        total = 0
        for number, one in enumerate(rows):
            total += one.events
            if total > STEP_EVENTS:
                return rows[: max(1, number)]
        return rows

    def _scores(self, app: str, due: Sequence[_Due], settings: HealthSettings, now: int) -> list[int | None]:
        """Of each, in order."""
        tenant, signals = self._warehouse.tenant(app), Signals(settings.signals)
        members: Members = {one.customer: one.keys for one in due}
        histories = read_histories(tenant, members, signals, now)
        everybody = read_everybody(tenant, members, now)
        scores = []
        for one in due:
            history = histories[one.customer]
            others = everybody.without(one.customer, history)
            scores.append(health(history, others, settings, _billing(one.shown)).score)
        return scores

    def _put(self, app: str, scores: Iterable[tuple[_Due, int | None]], rules: str, now: int) -> None:
        """Into those rows that are still what they were."""
        data = bytearray()
        for one, score in scores:
            one.shown.health = listed(score, now)
            shown = msgspec.json.encode(one.shown)
            data += one.customer + one.version.to_bytes(8, "little") + _nullable(score) + _length(len(shown)) + shown
        sent = ExternalData(file_name="scored", data=bytes(data), fmt="RowBinary", structure=_SCORED)
        parameters = {"app": app, "now": now, "due": now + DAY_MS, "rules": rules}
        self._warehouse.client.command(_PUT, parameters, external_data=sent)

    def _rows(self, sql: str, parameters: dict[str, Any], sent: ExternalData | None) -> Any:
        return self._warehouse.client.query(sql, parameters=parameters, external_data=sent).result_rows


def stamp(settings: HealthSettings) -> str:
    """A digest of all that a score is by, beside the customer's history."""
    said = (RULES, sorted(settings.signals.items()), msgspec.structs.astuple(settings.weights))
    return blake2b(msgspec.json.encode(said), digest_size=8, person=b"health").hexdigest()


_decode = msgspec.json.Decoder(CustomerItem).decode


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


def _nullable(score: int | None) -> bytes:
    return b"\x01" if score is None else struct.pack("BB", 0, score)


def _length(number: int) -> bytes:
    """Of a text in RowBinary: seven bits a byte, the least first."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(found + bytes([number]))
