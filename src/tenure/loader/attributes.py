"""The attributes in force of many customers at once, for the list of customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec
from clickhouse_connect.driver.external import ExternalData

from tenure import mail_address
from tenure.loader.numbers import add, is_number
from tenure.warehouse.client import Tenant

MAX_ATTRIBUTES = 1_000
"""Attributes of one customer that the list knows: those with the shortest names."""
MAX_VALUE = 1_024
"""Bytes of a value, as JSON, that the list knows; what is longer is no attribute there."""

# The fold of `customers.facts`. It begins at the last set or unset: for most attributes nothing is left to fold. The
# engine adds plain numbers, which is exact (58 digits before the point, 18 behind it); where another one is among
# them, it answers with what there is to fold. Facts are tuples that sort in their order; the operation is the sixth,
# the value the seventh.
_SQL = """
SELECT customer, name, value, plain, if(bases = 0, '', base.7), arrayMap(fact -> (fact.6, fact.7), odd) FROM (
    SELECT customer, name, countIf(sets) AS bases, maxIf(first, sets) AS base,
        arraySort(arrayFilter(fact -> bases = 0 OR fact > base, groupArrayIf(first, NOT sets))) AS later,
        arrayFold((acc, fact) -> multiIf(
            acc = '', fact.7,
            fact.6 = 'set_once' OR NOT match(acc, '^[-0-9]'), acc,
            toString(toDecimal256OrZero(acc, 18) + toDecimal256OrZero(fact.7, 18))
        ), if(plain, later, []), if(bases = 0, '', base.7)) AS value,
        arrayAll(said -> NOT match(said, '^[-0-9]') OR match(said, '^-?[0-9]{1,38}([.][0-9]{1,18})?$'),
            arrayPushBack(arrayMap(fact -> fact.7, later), if(bases = 0, '', base.7)))
            OR NOT arrayExists(fact -> fact.6 = 'increment', later) AS plain,
        if(plain, [], later) AS odd
    FROM (
        SELECT customer, copy.1 AS name, copy.2 AS first, first.6 IN ('set', 'unset') AS sets FROM (
            SELECT owner.customer AS customer, max(said.precedence) AS earliest,
                groupArray((said.name, (said.set_at, said.sequence, bitNot(said.precedence), said.part,
                    said.element_id, said.operation, said.value), said.precedence)) AS copies,
                arrayJoin(arrayDistinct(arrayFilter(copy -> copy.3 = earliest, copies))) AS copy
            FROM fact AS said INNER JOIN owner ON owner.key = said.customer_key
            WHERE said.customer_key IN (SELECT key FROM owner) AND said.scope = 'customer' AND said.verified
            GROUP BY customer, said.element_id
        )
    ) GROUP BY customer, name
) WHERE NOT plain OR value != '' AND length(value) <= {value_bytes:UInt32}
ORDER BY customer, length(name), name LIMIT {attributes:UInt32} BY customer
SETTINGS max_threads = 1
"""
_CHANNELS = """
SELECT DISTINCT owner.customer, said.subject FROM fact AS said INNER JOIN owner ON owner.key = said.customer_key
WHERE said.customer_key IN (SELECT key FROM owner) AND said.scope = 'channel' AND said.verified
    AND startsWith(said.subject, '["email"')
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
    for customer, name, value, plain, base, later in tenant.rows(_SQL, limits, external=owners(owner)):
        folded = value if plain else _fold(base, later)
        if folded and len(folded.encode()) <= MAX_VALUE:
            found[bytes(customer)][name] = folded
    return found


def _fold(value: str, later: Iterable[tuple[str, str]]) -> str:
    """What facts (operation and value, in their order) make of a value; empty: there is none."""
    for operation, said in later:
        if not value:
            value = said
        elif operation == "increment" and is_number(value):
            value = add(value, said)
    return value


def channel_addresses(tenant: Tenant, owner: Mapping[bytes, bytes]) -> dict[bytes, set[str]]:
    """The e-mail addresses, in their normal form, at which customers said that they can be reached."""
    found: defaultdict[bytes, set[str]] = defaultdict(set)
    for customer, subject in tenant.rows(_CHANNELS, external=owners(owner)):
        if (address := channel_address(subject)) is not None:
            found[bytes(customer)].add(address)
    return found


def channel_address(subject: str) -> str | None:
    """The normal form of the address that a channel (`subject` of its fact) is; None when it is none."""
    channel, address = msgspec.json.decode(subject, type=tuple[str, str])
    return mail_address.normal(address) if channel == "email" and mail_address.parts(address) is not None else None
