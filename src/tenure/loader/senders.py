"""How many of an app's customers sent each name, by which names of its own come to count as use.

Unverified events are nobody's use, and make no name one. Who is one customer is taken as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from tenure.health.signals import RECOGNISED, Signals, is_frequent
from tenure.warehouse.client import Tenant

MAX_NAMES: Final = 10_000
"""Names that are looked at, those that most customers sent."""
LATELY_SECONDS: Final = 2
"""How long it is remembered who sent what, where a person asks."""


class OwnName(msgspec.Struct):
    """A name of an app's own."""

    name: str
    customers: int
    """Identified customers who have sent it, verified."""
    is_use: bool
    left_out: bool
    """Whether it is on the list of names that are no use."""


class Senders(NamedTuple):
    """How many of an app's identified customers sent each name, and how many there are."""

    identified: int
    names: Mapping[str, int]

    def own(self, meanings: Signals) -> list[OwnName]:
        """The names of the app's own, those of most customers first, and whether each counts as use; `meanings` are by
        what is frequent."""
        found = [
            OwnName(name, customers, meanings.of(name).is_use, meanings.is_left_out(name))
            for name, customers in self.names.items()
            if name not in RECOGNISED
        ]
        return sorted(found, key=lambda one: (-one.customers, one.name))

    @property
    def frequent(self) -> frozenset[str]:
        """The names that enough of them have sent."""
        return frozenset(name for name, customers in self.names.items() if is_frequent(customers, self.identified))


# The name '' is of everybody who is identified.
_SENDERS = """
SELECT name, count() FROM (
    SELECT customer, arrayJoin(arrayConcat([''], groupUniqArrayIf(sent, said))) AS name FROM (
        SELECT done.sent AS sent, done.said AS said, known.kind NOT IN ('anonymous_id', 'churn_event_id') AS is_named,
            if(linked.canonical = toFixedString('', 16), done.key, linked.canonical) AS customer
        FROM (DONE) AS done
        INNER JOIN identifier AS known ON known.customer_key = done.key
        LEFT JOIN (SELECT key, canonical FROM canonical FINAL) AS linked ON linked.key = done.key
    ) GROUP BY customer HAVING max(is_named)
) GROUP BY name ORDER BY count() DESC, name LIMIT {limit:UInt32}
"""
_DONE = """
SELECT customer_key AS key, toString(name) AS sent,
    sum(seen.verified) > 0 AND min(seen.first) <= now64(3) AND sent != '' AS said
FROM seen GROUP BY key, sent
"""
_DONE_BY_THEN = """
SELECT customer_key AS key, toString(name) AS sent,
    max(verified AND occurred_at <= fromUnixTimestamp64Milli({now:Int64})) AS said
FROM event FINAL WHERE event.received_at < fromUnixTimestamp64Milli({received_before:Int64}) GROUP BY key, sent
UNION ALL
SELECT DISTINCT customer_key, '', 0 FROM identify
WHERE identify.received_at < fromUnixTimestamp64Milli({received_before:Int64})
"""


def read_senders(tenant: Tenant, as_of: int | None = None, *, seconds: float = LATELY_SECONDS) -> Senders:
    """Who sent what by now, of up to so many seconds ago; or by what had been received by `as_of` (milliseconds).

    Raises Unavailable.
    """
    parameters: dict[str, Any] = {"limit": MAX_NAMES + 1}
    if as_of is not None:
        parameters |= {"now": as_of, "received_before": as_of + 1}
    sql = _SENDERS.replace("DONE", _DONE if as_of is None else _DONE_BY_THEN)
    names = {str(name): int(customers) for name, customers in tenant.rows_lately(sql, parameters, seconds=seconds)}
    return Senders(names.pop("", 0), names)
