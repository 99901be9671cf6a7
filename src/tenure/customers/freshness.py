"""Reading what was just acknowledged: a question that waits until the warehouse has it."""

from __future__ import annotations

import time
from pathlib import Path

from tenure.control.store import Store
from tenure.customers.customer import Customer, find_only
from tenure.errors import NotFound, Unavailable
from tenure.journal import AWAITED, Loaded, readers
from tenure.warehouse.client import Tenant

POLL_SECONDS = 0.05
PATIENCE_SECONDS = 5.0
"""How long a change waits for a customer who was sent just before it."""


def find_fresh(tenant: Tenant, store: Store, journals: Path, text: str) -> Customer:
    """As `find_only`, with all that was acknowledged before. Raises NotFound, Ambiguous, and Unavailable when that is
    still on its way."""
    try:
        return find_only(tenant, store, text)
    except NotFound:
        fresh = wait_until_loaded(journals, PATIENCE_SECONDS)
    try:
        return find_only(tenant, store, text)
    except NotFound:
        if fresh:
            raise
        message = "what was sent last is not in the warehouse yet"
        raise Unavailable(message, code="not_loaded_yet", retry_after=2) from None


def hurry(journals: Path) -> None:
    """Have the loader load at once what is durable now, and not rest before it."""
    (journals / AWAITED).touch()


def wait_until_loaded(journals: Path, seconds: float) -> bool:
    """Wait until all that is durable now is in the warehouse too, `seconds` at the most; whether it is."""
    targets = _written(journals)
    deadline = time.monotonic() + seconds
    while True:
        positions = Loaded.read(journals).positions
        if all(positions.get(journal, 0) >= position for journal, position in targets.items()):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)


def _written(journals: Path) -> dict[str, int]:
    """The last position of each journal, by its id."""
    found = {}
    for reader in readers(journals):
        try:
            found[reader.id] = reader.last()
        finally:
            reader.close()
    return found
