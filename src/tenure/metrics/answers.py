"""What is answered about MRR and churn. Amounts are decimal texts in units of their currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Final

import msgspec

from tenure.control.billing import Billing
from tenure.metrics import shown
from tenure.metrics.churn import Lost
from tenure.metrics.explain import Explained
from tenure.subscriptions.amount import exactly, in_units, rounded
from tenure.subscriptions.currency import Rate as DatedRate
from tenure.subscriptions.metrics import Cohort, Period, Row, periods
from tenure.subscriptions.movements import KINDS
from tenure.subscriptions.rules import Rules
from tenure.warehouse.client import Tenant

_CUSTOMERS: Final = (
    "SELECT count(), countIf(rules != {stamp:String}), 0, countIf(unpriced > 0), countIf(silent > 0) FROM ledger FINAL"
)
_CUSTOMERS_OF_BOOK: Final = """
SELECT count(), countIf(rules != {stamp:String}),
    countIf(rules = {stamp:String} AND notEmpty(change.book) AND NOT has(change.book, {book:String})),
    countIf(unpriced > 0), countIf(silent > 0)
FROM ledger FINAL
"""


class MrrRules(msgspec.Struct):
    """By which rules an app counts MRR. `stamp` tells them from all others."""

    stamp: str
    rules: Rules
    currency: str | None
    """To report in; null: each currency by itself."""
    rates: dict[str, tuple[DatedRate, ...]]
    """By currency, what one unit of it is worth in units of the one to report in, from each day on."""


class Basis(msgspec.Struct):
    """By what the numbers were made."""

    stamp: str
    rules: Rules
    currency: str | None
    """Which all is converted to; null: each currency by itself."""
    customers: int
    """Who ever had a subscription."""
    customers_by_older_rules: int
    """Of those, who are yet to be counted anew by the rules in force."""
    customers_without_rate: int
    """Of those, who had MRR and are in no row, because a rate from a currency of theirs is missing."""
    customers_unpriced: int
    """Of those, who have a subscription that counts now and whose price, or a part of it, nobody told."""
    customers_silent: int
    """Of those, who have a live subscription whose period ended over 31 days ago, with no word of it since."""


class MrrRow(msgspec.Struct):
    """MRR over a period: opening + the eight movements = closing, also of what is shown."""

    start: date
    end: date
    """The day after the last that counts."""
    complete: bool
    """Whether the whole period counts and is over; the current one goes up to today."""
    currency: str
    plan: str | None
    opening: str
    new: str
    expansion: str
    contraction: str
    churned: str
    reactivated: str
    transfer: str
    paused: str
    resumed: str
    closing: str


class Mrr(msgspec.Struct):
    """MRR by period, currency and perhaps plan; with `explain`, the one row, and what is behind one of its numbers."""

    period: Period
    basis: Basis
    rows: list[MrrRow]
    explained: Explained | None


class Rate(msgspec.Struct):
    """A rate to 12 places, and what it is the quotient of, exact: customers, or amounts in units of the currency."""

    rate: str
    numerator: str
    denominator: str


class ChurnRow(msgspec.Struct):
    """What became, within a period, of those who were customers when it began. Null rates: there were none."""

    start: date
    end: date
    complete: bool
    currency: str
    plan: str | None
    customers: int
    lost: int
    voluntary: int
    involuntary: int
    """Of those lost. The rest of them goes on paying, in another currency."""
    opening: str
    churned: str
    contraction: str
    expansion: str
    closing: str
    """opening + churned + contraction + expansion = closing, also of what is shown."""
    customer_churn: Rate | None
    gross_revenue_churn: Rate | None
    net_revenue_churn: Rate | None


class CohortRow(msgspec.Struct):
    """The customers whose first MRR in a currency came in one month: how many have MRR, and how much, at its end, at
    that of the next month, and so on."""

    currency: str
    month: date
    customers: list[int]
    mrr: list[str]


class ChurnAnswer(msgspec.Struct):
    """Churn by period, currency and perhaps plan, or cohorts; with `explain`, the one row, and what is behind it."""

    period: Period
    basis: Basis
    rows: list[ChurnRow]
    cohorts: list[CohortRow]
    explained: Explained | None


def mrr_rules(billing: Billing) -> MrrRules:
    """As it is answered."""
    rates = billing.rates
    if rates is None:
        return MrrRules(billing.stamp, billing.rules, None, {})
    return MrrRules(billing.stamp, billing.rules, rates.base, dict(rates.of))


def basis(tenant: Tenant, billing: Billing, book: str) -> Basis:
    """What the ledgers are made by. Raises Unavailable."""
    sql = _CUSTOMERS_OF_BOOK if book else _CUSTOMERS
    ((customers, older, without_rate, unpriced, silent),) = tenant.rows(sql, {"stamp": billing.stamp, "book": book})
    return Basis(billing.stamp, billing.rules, book or None, customers, older, without_rate, unpriced, silent)


def mrr_row(row: Row, period: Period) -> MrrRow:
    """As it is shown."""
    opening, movements, closing = shown.adding_up(row.opening, [row.movements[kind] for kind in KINDS], row.closing)
    names = ("opening", *KINDS, "closing")
    amounts = zip(names, (opening, *movements, closing), strict=True)
    return MrrRow(
        start=row.start, end=row.end, complete=_complete(row, period), currency=row.currency, plan=row.plan,
        **{name: in_units(amount, row.currency) for name, amount in amounts},
    )  # fmt: skip


def churn_row(lost: Lost, period: Period) -> ChurnRow:
    """As it is shown: what was lost is below nothing."""
    churn, currency = lost.churn, lost.currency
    steps = [-churn.churned, -churn.contraction, churn.expansion]
    opening, steps_shown, closing = shown.adding_up(churn.opening, steps, churn.closing)
    amounts = zip(("churned", "contraction", "expansion"), steps_shown, strict=True)
    revenue = exactly(churn.opening, currency)
    gross, net = churn.opening - churn.kept, churn.opening - churn.closing
    return ChurnRow(
        start=lost.start, end=lost.end, complete=_complete(lost, period), currency=currency, plan=lost.plan,
        customers=churn.customers, lost=churn.lost, voluntary=lost.voluntary, involuntary=lost.involuntary,
        opening=in_units(opening, currency), closing=in_units(closing, currency),
        **{name: in_units(amount, currency) for name, amount in amounts},
        customer_churn=_rate(churn.customer_churn, str(churn.lost), str(churn.customers)),
        gross_revenue_churn=_rate(churn.gross_revenue_churn, exactly(gross, currency), revenue),
        net_revenue_churn=_rate(churn.net_revenue_churn, exactly(net, currency), revenue),
    )  # fmt: skip


def cohort_rows(found: Mapping[str, Sequence[Cohort]]) -> list[CohortRow]:
    """As they are shown."""
    return [
        CohortRow(currency, each.month, list(each.customers), [rounded(mrr, currency) for mrr in each.mrr])
        for currency, cohorts in sorted(found.items())
        for each in cohorts
    ]


def _complete(row: Row | Lost, period: Period) -> bool:
    """Complete means over: today's period goes on, also on its last day."""
    ((_, end),) = periods(period, row.start, row.start)
    return row.end == end <= datetime.now(UTC).date()


def _rate(value: Fraction | None, numerator: str, denominator: str) -> Rate | None:
    return None if value is None else Rate(shown.rate(value), numerator, denominator)
