"""The attributes in force of many customers at once, for the list of customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from clickhouse_connect.driver.external import ExternalData

from tenure.warehouse.client import Tenant

MAX_ATTRIBUTES = 1_000
"""Attributes of one customer that the list knows: those with the shortest names."""
MAX_VALUE = 1_024
"""Bytes of a value, as JSON, that the list knows; what is longer is no attribute there."""

# The fold of `customers.facts`, with sums exact to 18 decimals and 58 digits before the point, beyond that as doubles.
# It begins at the last set or unset: for most attributes nothing is left to fold.
_SQL = """
SELECT customer, name, value FROM (
    SELECT customer, name, countIf(sets) AS bases, maxIf(first, sets) AS base,
        arraySort(arrayFilter(fact -> bases = 0 OR fact > base, groupArrayIf(first, NOT sets))) AS later,
        arrayFold((acc, fact) -> multiIf(
            acc = '', fact.3,
            fact.2 = 'set_once' OR NOT match(acc, '^[-0-9]'), acc,
            coalesce(toString(toDecimal256OrNull(acc, 18) + toDecimal256OrNull(fact.3, 18)),
                toString(toFloat64OrZero(acc) + toFloat64OrZero(fact.3)))
        ), later, if(bases = 0, '', base.3)) AS value
    FROM (
        SELECT customer, copy.1 AS name, copy.2 AS first, first.2 IN ('set', 'unset') AS sets FROM (
            SELECT owner.customer AS customer, max(said.precedence) AS earliest,
                groupArray((said.name, (said.set_at, said.operation, said.value, said.dialect, said.element_id),
                    said.precedence)) AS copies,
                arrayJoin(arrayDistinct(arrayFilter(copy -> copy.3 = earliest, copies))) AS copy
            FROM fact AS said INNER JOIN owner ON owner.key = said.customer_key
            WHERE said.customer_key IN (SELECT key FROM owner) AND said.scope = 'customer' AND said.verified
            GROUP BY customer, said.element_id
        )
    ) GROUP BY customer, name
) WHERE value != '' AND length(value) <= {value_bytes:UInt32}
ORDER BY customer, length(name), name LIMIT {attributes:UInt32} BY customer
SETTINGS max_threads = 1
"""


def owners(owner: Mapping[bytes, bytes]) -> ExternalData:
    """The table `owner` that a query brings with it: each key and its customer."""
    return ExternalData(
        file_name="owner",
        data=b"".join(key + customer for key, customer in owner.items()),
        fmt="RowBinary",
        structure="key FixedString(16), customer FixedString(16)",
    )


def attributes_in_force(tenant: Tenant, owner: Mapping[bytes, bytes]) -> dict[bytes, dict[str, str]]:
    """Canonical JSON texts by name, by customer; `owner` has the customer of each key. Raises Unavailable."""
    found: defaultdict[bytes, dict[str, str]] = defaultdict(dict)
    limits = {"value_bytes": MAX_VALUE, "attributes": MAX_ATTRIBUTES}
    for customer, name, value in tenant.rows(_SQL, limits, external=owners(owner)):
        found[bytes(customer)][name] = value
    return found
