"""The value in force of one attribute of every customer, in SQL: what a list of customers filters and sorts by."""

from __future__ import annotations


def current_values(customer: str = "customer_key", join: str = "") -> str:
    """A SELECT of (`customer`, `value`): the value in force of the attribute `{attribute:String}` as canonical JSON, of
    each customer that has one.

    `customer` is the SQL expression of the key that a customer's rows are grouped by, which `join` may bring in (the
    table is called `said` there). The fold is that of `facts.fold`, with sums exact to 18 decimals and 58 digits before
    the point, beyond that as doubles. It begins at the last set or unset: for most customers nothing is left to fold.
    """
    return f"""
SELECT customer, value FROM (
    SELECT customer, countIf(sets) AS bases, maxIf(first, sets) AS base,
        arraySort(arrayFilter(fact -> bases = 0 OR fact > base, groupArrayIf(first, NOT sets))) AS later,
        arrayFold((acc, fact) -> multiIf(
            acc = '', fact.3,
            fact.2 = 'set_once' OR NOT match(acc, '^[-0-9]'), acc,
            coalesce(toString(toDecimal256OrNull(acc, 18) + toDecimal256OrNull(fact.3, 18)),
                toString(toFloat64OrZero(acc) + toFloat64OrZero(fact.3)))
        ), later, if(bases = 0, '', base.3)) AS value
    FROM (
        SELECT {customer} AS customer, argMax((said.set_at, said.operation, said.value, said.dialect, said.element_id),
            said.precedence) AS first, first.2 IN ('set', 'unset') AS sets
        FROM attribute_by_name AS said {join}
        WHERE said.name = {{attribute:String}} AND said.verified
        GROUP BY customer, said.element_id
    ) GROUP BY customer
) WHERE value != ''
"""  # noqa: S608 - the parts are the caller's own SQL; every value is bound
