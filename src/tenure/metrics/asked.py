"""What was asked of MRR or churn, and the changes of MRR that it is about, as SQL."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from tenure.customers.conditions import Filter, conditions
from tenure.errors import BadRequest
from tenure.subscriptions.metrics import Period, periods, start_of

DAY: Final = timedelta(days=1)
MAX_ROWS: Final = 20_000

_CHANGES = """
SELECT customer, toString(change.currency) AS currency, change.day AS day, toString(change.kind) AS kind,
    toString(change.plan) AS plan, toString(change.source) AS source, change.subscription AS subscription,
    change.before AS before, change.after AS after, after - before AS amount
FROM ledger FINAL ARRAY JOIN change WHERE {where}
"""
_IN_SEGMENT = "customer IN (SELECT customer FROM customer FINAL WHERE {where})"
_IN_COHORT = """
(customer, currency) IN (
    SELECT customer, toString(change.currency) AS currency FROM ledger FINAL ARRAY JOIN change
    WHERE change.book = {book:String} GROUP BY customer, currency
    HAVING min(change.day) >= {cohort:Date32} AND min(change.day) < {cohort_end:Date32}
)
"""
# Of each customer, currency and period with a change: MRR when it began and when it ended, the main plans then, and how
# the spell of paying ended whose end was the last thing in it (1 voluntary, 2 involuntary). All of it is told by the
# customer's row, so nothing has to be grouped or joined. An element 0 of an array is zero, or empty.
_STEPS = """
SELECT currency, cohort, period, open, close, main_before, main, open != 0 OR held_before AS was_there,
    close != 0 OR held AS is_there, was_there AND NOT is_there AS lost,
    if(lost, arrayLast((cause, day) -> {start} = period, causes, turns), 0) AS cause
FROM (
    SELECT currency, toStartOfMonth(days[1]) AS cohort, levels, plans, holds, causes, turns,
        arrayMap(day -> {start}, days) AS periods,
        arrayFilter((last, period, next) -> last = length(days) OR period != next,
            arrayEnumerate(days), periods, arrayShiftLeft(periods, 1)) AS ends,
        arrayShiftRight(ends, 1) AS ends_before
    FROM (
        SELECT customer, currency,
            arrayFilter(
                (each, book, code, day) -> book = {{book:String}} AND code = currency AND day <= {{last:Date32}},
                arrayZip(`level.day`, `level.after`, `level.plan`, `level.held`), `level.book`, `level.currency`,
                `level.day`
            ) AS found,
            tupleElement(found, 1) AS days, tupleElement(found, 2) AS levels, tupleElement(found, 3) AS plans,
            tupleElement(found, 4) AS holds,
            arrayFlatten(arrayMap((start, end) -> [start, coalesce(end, toDate32('2299-12-31'))], `spell.start`,
                `spell.end`)) AS all_turns,
            arrayFlatten(arrayMap(cause -> [0, if(cause = 'voluntary', 1, 2)], `spell.cause`)) AS all_causes,
            arrayFilter(day -> day <= {{last:Date32}}, all_turns) AS turns,
            arrayResize(all_causes, length(turns)) AS causes
        FROM ledger FINAL ARRAY JOIN arrayDistinct(arrayFilter(
            (code, book, day) -> book = {{book:String}} AND day <= {{last:Date32}}, `level.currency`, `level.book`,
            `level.day`)) AS currency
        WHERE {customers}
    ) WHERE {where}
) ARRAY JOIN arrayMap(end -> periods[end], ends) AS period, arrayMap(end -> levels[end], ends_before) AS open,
    arrayMap(end -> levels[end], ends) AS close, arrayMap(end -> plans[end], ends_before) AS main_before,
    arrayMap(end -> plans[end], ends) AS main, arrayMap(end -> holds[end], ends_before) AS held_before,
    arrayMap(end -> holds[end], ends) AS held
"""
EXTENDED: Final = "SETTINGS enable_extended_results_for_datetime_functions = 1"
"""So that the period of a Date32 is one too."""

_STARTS: Final[dict[Period, str]] = {"day": "{}", "week": "toMonday({})", "month": "toStartOfMonth({})"}


class Sql(NamedTuple):
    """A query, and the values that are bound in it."""

    text: str
    parameters: dict[str, Any]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which periods, and of which MRR."""

    period: Period
    first: date
    """The first day of the first period."""
    last: date
    """The last day that counts: what is dated after it does not."""
    book: str = ""
    """Empty: each currency by itself; else the currency that all is converted to."""
    currency: str | None = None
    plan: str | None = None
    cohort: date | None = None
    """Only whose first MRR in the currency came in the month that begins on this day."""
    segment: Filter | None = None
    """Only customers who are so now."""

    @property
    def of_ledger_alone(self) -> bool:
        """Whether the answer changes with the ledger only."""
        return self.segment is None

    def periods(self) -> list[tuple[date, date]]:
        """The first day and the day after the last of each; of the last one, as far as it goes."""
        return [(start, min(end, self.last + DAY)) for start, end in periods(self.period, self.first, self.last)]

    def check(self, series: int = 1) -> None:
        """Raise BadRequest where so many series would make more rows than one answer has."""
        if series * len(self.periods()) > MAX_ROWS:
            message = f"this would be more than {MAX_ROWS:,} rows; ask for fewer or longer periods, or for one plan"
            raise BadRequest(message, field="period", code="too_many_rows")

    def start(self, day: str) -> str:
        """SQL for the first day of the period that a day is in; all days before `first` are one period before it."""
        return f"greatest({_STARTS[self.period].format(day)}, addDays({{first:Date32}}, -1))"

    def changes(self) -> Sql:
        """Every change of MRR up to the last day; raises BadRequest where the segment cannot be."""
        where = ["change.book = {book:String}", "day <= {last:Date32}"]
        parameters: dict[str, Any] = {"book": self.book, "first": self.first, "last": self.last}
        if self.currency is not None:
            where.append("currency = {of_currency:String}")
            parameters["of_currency"] = self.currency
        if self.cohort is not None:
            where.append(_IN_COHORT)
            parameters |= {"cohort": self.cohort, "cohort_end": _month_after(self.cohort)}
        if self.segment is not None:
            chosen = in_segment(self.segment)
            where.append(chosen.text)
            parameters |= chosen.parameters
        return Sql(_CHANGES.format(where=" AND ".join(where)), parameters)

    def steps(self, start: str) -> Sql:
        """What each customer's MRR in a currency did in each period with a change up to the last day.

        `start` is SQL for the first day of the period of `day`. Raises BadRequest where the segment cannot be.
        """
        parameters: dict[str, Any] = {"book": self.book, "first": self.first, "last": self.last}
        customers, where = "true", ["true"]
        if self.currency is not None:
            where.append("currency = {of_currency:String}")
            parameters["of_currency"] = self.currency
        if self.cohort is not None:
            where.append("days[1] >= {cohort:Date32} AND days[1] < {cohort_end:Date32}")
            parameters |= {"cohort": self.cohort, "cohort_end": _month_after(self.cohort)}
        if self.segment is not None:
            customers, chosen = in_segment(self.segment)
            parameters |= chosen
        text = _STEPS.format(start=start, customers=customers, where=" AND ".join(where))
        return Sql(text, parameters)


def in_segment(segment: Filter) -> Sql:
    """Whether a customer is in a segment, as a condition. Raises BadRequest."""
    wanted = conditions(segment)
    return Sql(_IN_SEGMENT.format(where=" AND ".join(["NOT deleted", *wanted.where])), wanted.parameters)


def _month_after(month: date) -> date:
    return start_of(month + 31 * DAY, "month")
