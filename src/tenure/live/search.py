"""Where is my event? Requests by receipt, by a message id, or by any identifier of a customer: loaded or waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tenure.control.store import Store
from tenure.customers.customer import candidates, find_customers
from tenure.entry import Entry
from tenure.errors import NotFound
from tenure.event import Refusal
from tenure.identity import identifiers, ids_of_message
from tenure.live import loaded, pending
from tenure.live.erased import without_erased
from tenure.live.request import Item, Request, request_of
from tenure.receipt import is_receipt
from tenure.warehouse.client import Tenant
from tenure.warehouse.personal import HOLDING_A_NEEDLE, needles
from tenure.wire import registry

FOUND: Final = 40
"""Requests that are shown at the most, the last received."""
LONGEST: Final = 1_024
"""Characters that are looked for: as many as an identifier has."""

_BY_ID = "SELECT DISTINCT receipt FROM arrival WHERE event_id IN {ids:Array(FixedString(16))} LIMIT 40"
_BY_CUSTOMER = """
SELECT receipt, event_id FROM event FINAL WHERE customer_key IN {keys:Array(FixedString(16))}
ORDER BY event.received_at DESC LIMIT 40
"""
_SAID = """
SELECT receipt, receipt FROM identify FINAL WHERE customer_key IN {keys:Array(FixedString(16))}
ORDER BY identify.received_at DESC LIMIT 40
"""


class Found(msgspec.Struct):
    """What was found. `customer` is whether the text is an identifier of a customer that the app knows."""

    requests: list[Request]
    customer: bool = False


def search(tenant: Tenant, store: Store, journals: Path, text: str) -> Found:
    """The requests that a text is the receipt of, a message id in, or that are about the customer who has it.

    Raises Unavailable.
    """
    text = text.strip()[:LONGEST]
    if not text:
        return Found([])
    found_there = pending.find(journals, tenant.app, lambda entry: _is_about(entry, text), FOUND)
    receipts, sought, is_customer = _in_warehouse(tenant, store, text)
    found = {request.receipt: request for request in loaded.requests(tenant, receipts, sought)}
    for entry in without_erased(found_there, store.erasures):
        found.setdefault(entry.receipt, request_of(entry, sought=_is_sought(text)))
    by_time = sorted(found.values(), key=lambda request: (request.received_at, request.receipt), reverse=True)
    return Found(by_time[:FOUND], is_customer)


def _in_warehouse(tenant: Tenant, store: Store, text: str) -> tuple[list[str], list[bytes], bool]:
    """Receipts, the ids of the events that are meant, and whether it is a customer."""
    ids = ids_of_message(tenant.app, (operation.dialect for operation in registry.ALL), text)
    receipts = [text] if is_receipt(text) else []
    if is_receipt(text):
        ids.append(bytes.fromhex(text))  # it may be an event's id
    receipts += [bytes(row[0]).hex() for row in tenant.rows(_BY_ID, {"ids": ids})]
    receipts += [bytes(row[0]).hex() for row in _quarantined(tenant, text)]
    try:
        keys = [key for customer in find_customers(tenant, store, text) for key in customer.keys]
    except NotFound:
        return _last(receipts), ids, False
    events = tenant.rows(_BY_CUSTOMER, {"keys": keys})
    said = tenant.rows(_SAID, {"keys": keys})
    receipts += [bytes(row[0]).hex() for row in [*events, *said]]
    return _last(receipts), [*ids, *(bytes(row[1]) for row in events)], True


def _quarantined(tenant: Tenant, text: str) -> Sequence[Sequence[Any]]:
    """Elements that hold the text as a whole value, which the customer or the message would be named by."""
    wanted = needles([*candidates(text)])
    rows = tenant.rows(HOLDING_A_NEEDLE + " LIMIT 1000", {"app": tenant.app, "needles": wanted[:100]})
    return [row for row in rows if _holds(row[2], text)]


def _holds(payload: str, text: str) -> bool:
    return msgspec.json.encode(text).decode().casefold() in payload.casefold() or _is_number_in(payload, text)


def _is_number_in(payload: str, text: str) -> bool:
    return text.isdecimal() and any(f"{before}{text}{after}" in payload for before in ":[," for after in ",]}")


def _last(receipts: list[str]) -> list[str]:
    return sorted(set(receipts), reverse=True)[:FOUND]


def _is_about(entry: Entry, text: str) -> bool:
    is_sought = _is_sought(text)
    return entry.receipt == text or any(
        is_sought(item) for items in (entry.events, entry.identifies, entry.refusals) for item in items
    )


def _is_sought(text: str) -> Callable[[Item], bool]:
    meant = set(candidates(text))

    def is_sought(item: Item) -> bool:
        if isinstance(item, Refusal):
            return bool(item.payload) and _holds(item.payload, text)
        return item.message_id == text or not meant.isdisjoint(identifiers(item))

    return is_sought
