"""The ledger of a customer as it is stored, and what the list of customers shows of it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from tenure.subscriptions.account import OWN, Account, Standing
from tenure.subscriptions.amount import PLACES, rounded
from tenure.subscriptions.currency import exponent
from tenure.subscriptions.movements import Movement
from tenure.wire.times import EARLIEST, LATEST, rfc3339

SHOWN_PLANS: Final = 20

COLUMNS: Final = {
    "app": "LowCardinality(String)",
    "customer": "FixedString(16)",
    "version": "UInt64",
    "deleted": "UInt8",
    "keys": "Array(FixedString(16))",
    "rules": "LowCardinality(String)",
    "change.book": "Array(LowCardinality(String))",
    "change.currency": "Array(LowCardinality(String))",
    "change.day": "Array(Date32)",
    "change.kind": (
        "Array(Enum8('new' = 1, 'expansion' = 2, 'contraction' = 3, 'churned' = 4, 'reactivated' = 5, 'transfer' = 6, "
        "'paused' = 7, 'resumed' = 8))"
    ),
    "change.plan": "Array(LowCardinality(String))",
    "change.source": "Array(LowCardinality(String))",
    "change.subscription": "Array(String)",
    "change.before": "Array(Decimal(38, 10))",
    "change.after": "Array(Decimal(38, 10))",
    "level.book": "Array(LowCardinality(String))",
    "level.currency": "Array(LowCardinality(String))",
    "level.day": "Array(Date32)",
    "level.after": "Array(Decimal(38, 10))",
    "level.plan": "Array(LowCardinality(String))",
    "level.held": "Array(Bool)",
    "spell.start": "Array(Date32)",
    "spell.end": "Array(Nullable(Date32))",
    "spell.cause": "Array(LowCardinality(String))",
    "spell.reason": "Array(String)",
    "spell.returned": "Array(Bool)",
    "next_at": "Nullable(DateTime64(3, 'UTC'))",
    "unpriced": "UInt32",
    "silent": "UInt32",
}
"""Columns and ClickHouse types of `ledger`, in the order of `row`; a test holds them to the schema."""

_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2299, 12, 31)
_MOST: Final = 10**24
"""The largest amount that is stored, in smallest units: of thousands of them the column still holds the sum."""


class BillingItem(msgspec.Struct):
    """How a customer pays, in short. Times are RFC 3339 in UTC, days dates."""

    status: str
    """That of the subscription that is most alive: active, past_due, trialing, unpaid, paused, incomplete, canceled."""
    plans: list[str]
    """Of live subscriptions; the first 20."""
    mrr: str | None
    """In units of `currency`, as a decimal; null where there are several currencies and none to report in, and where
    nothing is known of what they pay."""
    currency: str | None
    past_due: bool
    renews_at: str | None
    trial_end: str | None
    cancel_at: str | None
    paying_since: str | None
    subscriptions: int
    unpriced: int
    """Live subscriptions whose price, or a part of it, nobody told: it is not in `mrr`."""
    silent: int
    """Live subscriptions whose period ended over 31 days ago, with no word of them since: they may be over."""


class Columns(NamedTuple):
    """What a row of `customer` has of billing, and the item that it shows."""

    status: str = ""
    plans: tuple[str, ...] = ()
    mrr: Decimal = Decimal(0)
    currency: str = ""
    past_due: bool = False
    renews_at: int | None = None
    paying_since: date | None = None
    shown: BillingItem | None = None


def columns(account: Account, standing: Standing | None) -> Columns:
    """What the list of customers has of an account; nothing where no subscription has begun."""
    if standing is None:
        return Columns()
    currency, amount = _one(standing)
    if standing.unpriced and not amount:
        currency = None
    since = standing.paying.start if standing.paying else None
    item = BillingItem(
        status=standing.status,
        plans=list(standing.plans[:SHOWN_PLANS]),
        mrr=None if currency is None else rounded(amount, currency),
        currency=currency,
        past_due=standing.past_due,
        renews_at=moment(standing.renews_at),
        trial_end=moment(standing.trial_end),
        cancel_at=moment(standing.cancel_at),
        paying_since=None if since is None else since.isoformat(),
        subscriptions=len(account.timelines),
        unpriced=standing.unpriced,
        silent=standing.silent,
    )
    return Columns(
        standing.status,
        standing.plans,
        Decimal(0) if currency is None else level(amount / 10 ** exponent(currency)),
        currency or "",
        standing.past_due,
        within(standing.renews_at),
        None if since is None else _day(since),
        item,
    )


class Told(NamedTuple):
    """What there is about one customer: keys, and the account with its movements by book."""

    keys: Iterable[bytes]
    account: Account | None = None
    movements: Mapping[str, Iterable[Movement]] = MappingProxyType({})
    rules: str = ""
    """The stamp of the rules that it is by."""
    next_at: int | None = None
    """When something of it changes by itself, in milliseconds since 1970 UTC."""
    unpriced: int = 0
    """Subscriptions that count now and whose price, or a part of it, nobody told."""
    silent: int = 0
    """Live subscriptions whose period ended long ago, and of which nothing was heard since."""


def row(app: str, customer: bytes, version: int, told: Told) -> tuple[Any, ...]:
    """The row of a customer's ledger; without an account it is the row that takes the customer out of `ledger`."""
    changes = [
        (book, movement.currency, _day(movement.day), movement.kind, change.plan, change.subscription.source,
         change.subscription.id, level(change.before), level(change.after))
        for book, found in told.movements.items() for movement in found for change in movement.changes
    ]  # fmt: skip
    spells = [
        (_day(spell.start), None if spell.end is None else _day(spell.end), spell.cause or "", spell.reason or "",
         spell.reactivated)
        for spell in (told.account.spells if told.account else ())
    ]  # fmt: skip
    return (app, customer, version, int(told.account is None), sorted(told.keys), told.rules, *_arrays(changes, 9),
            *_arrays(_levels(told.movements), 6), *_arrays(spells, 5), within(told.next_at), told.unpriced,
            told.silent)  # fmt: skip


def _levels(books: Mapping[str, Iterable[Movement]]) -> list[tuple[str, str, date, Decimal, str, bool]]:
    """Book, currency, day, MRR of all subscriptions when it ended, the plan that most of it was of, and whether the
    customer is held without MRR; the plan is then that of before."""
    found = []
    plans: defaultdict[tuple[str, str], defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    main: dict[tuple[str, str], str] = {}
    for book, movements in books.items():
        for movement in movements:
            place = book, movement.currency
            mrr = plans[place]
            for change in movement.changes:
                mrr[change.plan] += level(change.after) - level(change.before)
            if not movement.held or place not in main:
                main[place] = min(mrr, key=lambda plan: (-mrr[plan], plan))
            amount = sum(mrr.values(), Decimal(0))
            found.append((book, movement.currency, _day(movement.day), amount, main[place], movement.held))
    return sorted(found, key=lambda each: each[:3])


def level(amount: Fraction) -> Decimal:
    """An amount of MRR as it is stored: to 10 places, half to even. One that no column holds is the largest."""
    scaled = round(amount * 10**PLACES)
    most = _MOST * 10**PLACES
    return Decimal(f"{max(-most, min(most, scaled))}e-{PLACES}")


def moment(time: int | None) -> str | None:
    """A time in milliseconds as it is shown; None for one that we cannot tell."""
    return rfc3339(found) if (found := within(time)) is not None else None


def within(time: int | None) -> int | None:
    """A time in milliseconds, if a column can hold it."""
    return time if time is not None and EARLIEST <= time <= LATEST else None


def _one(standing: Standing) -> tuple[str | None, Fraction]:
    """The currency and amount that stand for a customer: of the reporting currency, else of the only one."""
    reported = next((book for book in standing.mrr if book != OWN), None)
    if reported is not None:
        return reported, sum(standing.mrr[reported].values(), Fraction(0))
    amounts = standing.mrr[OWN] or dict.fromkeys(standing.currencies, Fraction(0))
    return next(iter(amounts.items())) if len(amounts) == 1 else (None, Fraction(0))


def _day(day: date) -> date:
    """A day as a column can hold it."""
    return min(max(day, _FIRST_DAY), _LAST_DAY)


def _arrays(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
