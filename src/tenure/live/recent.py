"""The last requests of an app, wherever they are by now: where a page begins, and where a stream goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tenure.control.erasures import Erasures
from tenure.entry import Entry
from tenure.errors import TenureError
from tenure.live import loaded, pending
from tenure.live.erased import without_erased
from tenure.live.request import EVERYTHING, Request, Wanted, request_of
from tenure.warehouse.client import Tenant

LATE: Final = 2_000_000
"""How much later than others a request may come into sight, in microseconds."""


def recent(tenant: Tenant, erasures: Erasures, journals: Path, wanted: Wanted = EVERYTHING) -> list[Request]:
    """The last requests that are wanted, the last received first. Raises Unavailable."""
    found = {request.receipt: request for request in loaded.latest(tenant)}
    for entry in _newest(tenant, erasures, journals):
        found.setdefault(entry.receipt, request_of(entry))
    by_time = sorted(found.values(), key=lambda request: (request.received_at, request.receipt), reverse=True)
    return [request for request in by_time[: loaded.LATEST] if wanted.takes(request)]


def since(tenant: Tenant, erasures: Erasures, journals: Path, moment: int) -> list[Request]:
    """What was received since (microseconds since 1970 UTC), and a little before, oldest first; as much as there is."""
    try:
        found = recent(tenant, erasures, journals)
    except TenureError:  # those who watch go on with what the journals tell
        found = [request_of(entry) for entry in _newest(tenant, erasures, journals)]
    return [request for request in reversed(found) if request.received_at >= moment - LATE]


def request(tenant: Tenant, erasures: Erasures, journals: Path, receipt: str) -> Request | None:
    """One request, with the content of its elements. Raises Unavailable."""
    found = loaded.request(tenant, receipt)
    if found is not None:
        return found
    waiting = without_erased(pending.find(journals, tenant.app, lambda entry: entry.receipt == receipt, 1), erasures)
    return request_of(waiting[0], whole=True) if waiting else None


def _newest(tenant: Tenant, erasures: Erasures, journals: Path) -> list[Entry]:
    return without_erased(pending.newest(journals, tenant.app, loaded.LATEST), erasures)
