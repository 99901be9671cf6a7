"""MRR and its movements in each period: `tenure.subscriptions.metrics.statement`, by the warehouse."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from fractions import Fraction

from tenure.metrics.asked import EXTENDED, Asked, Sql
from tenure.metrics.remembered import rows_of_ledger
from tenure.subscriptions.metrics import Row
from tenure.subscriptions.movements import KINDS, Kind
from tenure.warehouse.client import Tenant

_SQL = """
SELECT currency, {plan} AS of_plan, {start} AS period, kind, sum(amount) FROM ({changes})
WHERE {where} GROUP BY currency, of_plan, period, kind {extended}
"""


def statement(tenant: Tenant, asked: Asked, *, by_plan: bool = False) -> list[Row]:
    """A row for each currency (and plan) and period, exact.

    Raises BadRequest (segment, too many rows) and Unavailable.
    """
    changes = asked.changes()
    sql = _SQL.format(
        plan="plan" if by_plan else "''",
        start=asked.start("day"),
        changes=changes.text,
        where="true" if asked.plan is None else "plan = {of_plan:String}",
        extended=EXTENDED,
    )
    sums: defaultdict[tuple[str, str], defaultdict[date, dict[Kind, Fraction]]]
    sums = defaultdict(lambda: defaultdict(dict))
    parameters = changes.parameters | {"of_plan": asked.plan or ""}
    for currency, plan, period, kind, amount in rows_of_ledger(tenant, asked, Sql(sql, parameters)):
        sums[currency, plan][period][kind] = Fraction(amount)
    asked.check(len(sums))
    rows = []
    for (currency, plan), by_period in sorted(sums.items()):
        before = [kinds for period, kinds in by_period.items() if period < asked.first]
        mrr = sum((amount for kinds in before for amount in kinds.values()), Fraction(0))
        for start, end in asked.periods():
            kinds = dict.fromkeys(KINDS, Fraction(0)) | by_period[start]
            closing = mrr + sum(kinds.values(), Fraction(0))
            rows.append(Row(start, end, currency, plan if by_plan else None, mrr, kinds, closing))
            mrr = closing
    return rows
