"""Questions about MRR, churn and survival, answered: for the API and for the pages alike."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, Literal, NamedTuple

import msgspec

from tenure.control.billing import Billing
from tenure.errors import BadRequest
from tenure.metrics import answers
from tenure.metrics.asked import Asked
from tenure.metrics.churn import Lost, churn, cohorts
from tenure.metrics.explain import explain, of_churn, of_mrr
from tenure.metrics.statement import statement
from tenure.subscriptions.currency import UNKNOWN
from tenure.subscriptions.metrics import Row
from tenure.warehouse.client import Tenant

OfMrr = Literal[
    "opening", "new", "expansion", "contraction", "churned", "reactivated", "transfer", "paused", "resumed", "closing"
]
OfChurn = Literal["opening", "lost", "contracted", "expanded"]


class Page(NamedTuple):
    """Which page of what is behind a number."""

    limit: int = 100
    cursor: str | None = None


FIRST_PAGE: Final = Page()


def mrr(
    tenant: Tenant,
    billing: Billing,
    asked: Asked,
    *,
    by_plan: bool = False,
    of: OfMrr | None = None,
    page: Page = FIRST_PAGE,
) -> answers.Mrr:
    """MRR and its movements; with `of` what is behind that number of the one period, currency and perhaps plan.

    Raises BadRequest and Unavailable.
    """
    rows = statement(tenant, _one(asked, by_plan) if of else asked, by_plan=by_plan or asked.plan is not None)
    explained = None
    if of is not None:
        asked = _of_one_currency(asked, rows)
        rows = [row for row in rows if row.currency == asked.currency]
        number = _number(rows[0], of) if rows else Fraction(0)
        explained = explain(tenant, asked, of, of_mrr(asked, of), number, **page._asdict())
    basis = answers.basis(tenant, billing, asked.book)
    return answers.Mrr(asked.period, basis, [answers.mrr_row(row, asked.period) for row in rows], explained)


def churn_rates(
    tenant: Tenant,
    billing: Billing,
    asked: Asked,
    *,
    by_plan: bool = False,
    of: OfChurn | None = None,
    page: Page = FIRST_PAGE,
) -> answers.ChurnAnswer:
    """What was lost of customers and of MRR; `of` as above. Raises BadRequest and Unavailable."""
    rows = churn(tenant, _one(asked, by_plan) if of else asked, by_plan=by_plan)
    explained = None
    if of is not None:
        asked = _of_one_currency(asked, rows)
        rows = [row for row in rows if row.currency == asked.currency]
        number = _number_of_churn(rows[0], of) if rows else Fraction(0)
        explained = explain(tenant, asked, of, of_churn(asked, of), number, **page._asdict())
    basis = answers.basis(tenant, billing, asked.book)
    shown = [answers.churn_row(row, asked.period) for row in rows]
    return answers.ChurnAnswer(asked.period, basis, shown, [], explained)


def churn_by_cohort(tenant: Tenant, billing: Billing, asked: Asked) -> answers.ChurnAnswer:
    """What became of those who came in each month. Raises BadRequest and Unavailable."""
    if asked.period != "month":
        raise invalid("period", "cohorts are by month")
    if asked.plan is not None:
        raise invalid("plan", "cohorts are of whole customers, not of a plan")
    found = answers.cohort_rows(cohorts(tenant, asked))
    return answers.ChurnAnswer(asked.period, answers.basis(tenant, billing, asked.book), [], found, None)


def book_of(billing: Billing, converted: bool | None) -> str:
    """Which book is asked about: of the currency to report in, if there is one and it is wanted. Raises BadRequest."""
    base = None if billing.rates is None else billing.rates.base
    if converted and base is None:
        raise invalid("converted", "there is no currency to report in; `tenure app mrr --currency` sets one")
    return "" if base is None or converted is False else base


def _one(asked: Asked, by_plan: bool) -> Asked:
    """The same, if it is about one period and, by plan, one plan. Raises BadRequest."""
    if len(asked.periods()) > 1:
        raise invalid("period_start", "explain is of one period; say with period_start of which")
    if by_plan and asked.plan is None:
        raise invalid("plan", "explain is of one number; say of which plan")
    return asked


def _of_one_currency(asked: Asked, rows: list[Row] | list[Lost]) -> Asked:
    """The same about the one currency that there is. Raises BadRequest."""
    there = {row.currency for row in rows}
    if asked.currency is None and len(there) > 1:
        raise invalid("currency", f"explain is of one number; say of which currency: {', '.join(sorted(there))}")
    return msgspec.structs.replace(asked, currency=asked.currency or min(there, default=asked.book or UNKNOWN))


def _number(row: Row, of: OfMrr) -> Fraction:
    if of in row.movements:
        return row.movements[of]
    return row.opening if of == "opening" else row.closing


def _number_of_churn(row: Lost, of: OfChurn) -> Fraction:
    churn = row.churn
    numbers: dict[OfChurn, Fraction] = {
        "opening": churn.opening, "lost": churn.churned, "contracted": churn.contraction, "expanded": churn.expansion,
    }  # fmt: skip
    return numbers[of]


def invalid(field: str, message: str) -> BadRequest:
    """A parameter that cannot be."""
    return BadRequest(message, field=field, code="invalid_parameter")
