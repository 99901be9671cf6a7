"""The value in force of one attribute of every customer, in SQL: what a list of customers filters and sorts by."""

from __future__ import annotations


def current_values(customer: str = "customer_key", join: str = "") -> str:
    """A SELECT of (`customer`, `value`): the value in force of the attribute `{attribute:String}` as canonical JSON, of
    each customer that has one.

    `customer` is the SQL expression of the key that a customer's rows are grouped by, which `join` may bring in. The
    fold is that of `facts.fold`, with sums exact to 18 decimals and 58 digits before the point, beyond that as doubles.
    """
    return f"""
SELECT customer, value FROM (
    SELECT customer,
        arraySort(groupArray((set_at, operation, said, dialect, element_id))) AS ordered,
        arrayLastIndex(fact -> fact.2 IN ('set', 'unset'), ordered) AS start,
        arrayFold((acc, fact) -> multiIf(
            fact.2 = 'unset', '',
            fact.2 = 'set' OR acc = '', fact.3,
            fact.2 = 'set_once' OR NOT match(acc, '^[-0-9]'), acc,
            coalesce(toString(toDecimal256OrNull(acc, 18) + toDecimal256OrNull(fact.3, 18)),
                toString(toFloat64OrZero(acc) + toFloat64OrZero(fact.3)))
        ), arraySlice(ordered, greatest(start, 1)), '') AS value
    FROM (
        SELECT {customer} AS customer, attribute_by_name.set_at AS set_at, attribute_by_name.operation AS operation,
            attribute_by_name.value AS said, attribute_by_name.dialect AS dialect,
            attribute_by_name.element_id AS element_id
        FROM attribute_by_name FINAL {join}
        WHERE attribute_by_name.name = {{attribute:String}} AND attribute_by_name.verified
        ORDER BY attribute_by_name.precedence DESC LIMIT 1 BY customer, element_id
    ) GROUP BY customer
) WHERE value != ''
"""  # noqa: S608 - the parts are the caller's own SQL; every value is bound
