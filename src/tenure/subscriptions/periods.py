"""When the end of a discount counts: with the next bill, where those are more than a month apart. Pure.

A coupon of three months on a yearly price lowers the bill of the year, so no more comes in after the three months. The
bills of an item follow each other by its interval: from the end of its period, else from the start of one, else from
the subscription's own start, else from the first word of it.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Final, NamedTuple

from tenure.subscriptions.fact import Item, Unit
from tenure.wire.times import DAY_MS

_MONTHS: Final[dict[Unit, int]] = {"month": 1, "quarter": 3, "year": 12}
_DAYS: Final[dict[Unit, int]] = {"day": 1, "week": 7}
_MONTH: Final = 31
"""Days that a month has at the most."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = 2**48


class Period(NamedTuple):
    """A period that was billed, in milliseconds since 1970 UTC."""

    start: int
    end: int | None = None
    """Where it is told."""


def is_long(item: Item) -> bool:
    """Whether more than a month is between the bills of an item."""
    months, days = _MONTHS.get(item.unit, 0) * item.count, _DAYS.get(item.unit, 0) * item.count
    return item.kind != "one_off" and (months > 1 or days > _MONTH)


def counts_from(end: int, item: Item, period: Period) -> int:
    """When an end counts for an item: with its first period that does not begin before it."""
    if not is_long(item) or end <= period.start:
        return end
    told = period.end if item.period_end is None else item.period_end
    bill = told if told is not None and told > period.start else period.start
    if bill >= end:
        return bill
    number = _number(bill, end, item)
    return next((at for at in (after(bill, item, number + more) for more in range(3)) if at >= end), end)


def after(start: int, item: Item, number: int) -> int:
    """The time so many intervals of an item after one: on the same day of the month, or its last. One that no calendar
    has is the last that a fact may name."""
    months = _MONTHS.get(item.unit)
    if months is None:
        return start + number * item.count * _DAYS[item.unit] * DAY_MS
    begun = _moment(start)
    year, month = divmod(begun.year * 12 + begun.month - 1 + number * item.count * months, 12)
    if year > MAXYEAR:
        return _LAST
    return _ms(begun.replace(year=year, month=month + 1, day=min(begun.day, monthrange(year, month + 1)[1])))


def _number(first: int, end: int, item: Item) -> int:
    """How many whole intervals are between two times, or one more."""
    months = _MONTHS.get(item.unit)
    if months is None:
        return (end - first) // (item.count * _DAYS[item.unit] * DAY_MS)
    one, other = _moment(first), _moment(end)
    return ((other.year - one.year) * 12 + other.month - one.month) // (item.count * months)


def _moment(time: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=time)
    except OverflowError:
        return (datetime.max if time > 0 else datetime.min).replace(tzinfo=UTC)


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
