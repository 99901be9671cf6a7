"""Names that a filter can be made of: those of events, of attributes and of plans, the most frequent first."""

from __future__ import annotations

from typing import Final, NamedTuple

from tenure.warehouse.client import Tenant

MAX_NAMES: Final = 200
LATELY_SECONDS: Final = 60

_EVENTS = "SELECT name FROM seen WHERE name != '' GROUP BY name ORDER BY sum(events) DESC, name LIMIT {limit:UInt32}"
_IN_ARRAYS = """
SELECT arrayJoin({column}) AS name FROM customer GROUP BY name ORDER BY count() DESC, name LIMIT {{limit:UInt32}}
"""


class Suggestions(NamedTuple):
    """Up to 200 names of each kind, of up to a minute ago."""

    events: list[str]
    attributes: list[str]
    plans: list[str]


def suggestions(tenant: Tenant) -> Suggestions:
    """What is there in an app. Raises Unavailable."""
    return Suggestions(
        _names(tenant, _EVENTS),
        _names(tenant, _IN_ARRAYS.format(column="attribute_names")),
        _names(tenant, _IN_ARRAYS.format(column="plans")),
    )


def _names(tenant: Tenant, sql: str) -> list[str]:
    rows = tenant.rows_lately(sql, {"limit": MAX_NAMES}, seconds=LATELY_SECONDS)
    return [str(name) for (name,) in rows]
