"""Answers off `ledger` that are remembered for as long as nothing in it has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from tenure.metrics.asked import Sql
from tenure.warehouse.client import Tenant

SECONDS: Final = 600

# A row is replaced by one of another version, so any change shows; at the most a merge of parts looks like one.
_STATE = "SELECT count(), max(version), groupBitXor(sipHash64(customer, version)) FROM ledger"


class Asked(Protocol):
    """What is asked."""

    @property
    def of_ledger_alone(self) -> bool:
        """Whether the answer changes with the ledger only."""
        ...


def rows_of_ledger(tenant: Tenant, asked: Asked, sql: Sql) -> Sequence[Sequence[Any]]:
    """The rows that answer a question, as they are now. Raises Unavailable."""
    if not asked.of_ledger_alone:
        return tenant.rows(*sql)
    (state,) = tenant.rows(_STATE)
    return tenant.rows_lately(*sql, seconds=SECONDS, version=repr(tuple(state)))
