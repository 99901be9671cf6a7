"""The names of events that count as use in an app."""

from __future__ import annotations

import msgspec

from tenure.control.store import Store
from tenure.customers.conditions import Filter
from tenure.health.signals import RECOGNISED
from tenure.loader.senders import read_senders
from tenure.warehouse.client import Tenant


def uses(tenant: Tenant, store: Store, as_of: int | None = None) -> tuple[str, ...]:
    """All of them, by what had been received by `as_of` (milliseconds since 1970 UTC). Raises Unavailable."""
    settings = store.health.of(tenant.app)
    frequent = read_senders(tenant, as_of).frequent
    meanings = settings.meanings(frequent)
    return tuple(
        sorted(name for name in frequent | RECOGNISED.keys() | settings.signals.keys() if meanings.of(name).is_use)
    )


def segment_with_uses(tenant: Tenant, store: Store, asked: Filter | None) -> Filter | None:
    """A choice of customers, with the names that count as use where it is by use. Raises Unavailable."""
    if asked is None or asked.active_days is asked.inactive_days is None:
        return asked
    return with_uses(tenant, store, asked)


def with_uses(tenant: Tenant, store: Store, asked: Filter) -> Filter:
    """What was asked of the list, with the names that count as use now. Raises Unavailable."""
    return msgspec.structs.replace(asked, uses=uses(tenant, store))
