"""What became of a request, element by element."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from tenure import entry as entries
from tenure.control.erasures import Erasures
from tenure.control.store import Store
from tenure.entry import Entry
from tenure.errors import Conflict, NotFound, Unavailable
from tenure.identity import event_ids
from tenure.journal import readers
from tenure.loader.tombstones import Tombstones, keys_of
from tenure.mode import LIVE, MODES, app_of
from tenure.receipt import is_receipt
from tenure.warehouse.client import Tenant, Warehouse
from tenure.warehouse.first_copies import Standing, standing
from tenure.wire.times import rfc3339

RETRY_WINDOW: Final = "retry_window"


class Element(msgspec.Struct, omit_defaults=True):
    """One element of a request and what became of it.

    `outcome` is pending, stored, duplicate (then `of` is the receipt of the copy that counts, which came first or is
    verified, and `conflict` tells whether that one said something else; `reason` is `retry_window` where nothing but
    the time says that it is one), quarantined or rejected (then `code`, `field` and `message` say why), replayed (it
    was quarantined, and came again, repaired, under the receipt `replay`), or erased (its customer was).
    """

    index: int | None
    kind: str
    outcome: str
    event_id: str | None = None
    of: str | None = None
    conflict: bool = False
    reason: str | None = None
    code: str | None = None
    field: str | None = None
    message: str | None = None
    replay: str | None = None
    mode: str = LIVE
    """See `tenure.mode`."""


class Receipt(msgspec.Struct, omit_defaults=True):
    """A request that was received. `elements` are in the order of the request.

    `replay_of` is the receipt under which the element came first, where this is its replay.
    """

    receipt: str
    received_at: str
    dialect: str
    elements: list[Element]
    replay_of: str | None = None


_ARRIVALS = """
SELECT kind, position, part, event_id, content, outcome, code, toUnixTimestamp64Milli(received_at), dialect
FROM arrival FINAL WHERE receipt = {receipt:FixedString(16)} ORDER BY position, kind, part
"""
_REFUSALS = """
SELECT part, position, field, message, replay FROM quarantine FINAL
WHERE receipt = {receipt:FixedString(16)} AND received_at = (
    SELECT max(received_at) FROM arrival WHERE receipt = {receipt:FixedString(16)})
"""
_REPLAY_OF = "SELECT receipt FROM quarantine FINAL WHERE replay = {receipt:FixedString(16)}"


def find_receipt(tenant: Tenant, erased: Erasures, journals: Path, receipt: str) -> Receipt:
    """What became of a request of this app. Raises NotFound and Unavailable.

    The journal is asked first: a request leaves it only when the warehouse has it.
    """
    if not is_receipt(receipt):
        raise NotFound("a receipt is 32 hexadecimal digits", code="unknown_receipt")
    waiting = _in_journal(tenant.app, erased, journals, receipt)
    try:
        loaded = _in_warehouse(tenant, receipt)
    except Exception:
        if waiting is None:
            raise
        loaded = None
    found = loaded or waiting
    if found is None:
        raise NotFound("no request of this app has that receipt", code="unknown_receipt")
    return found


def find_receipt_of_all_modes(warehouse: Warehouse, store: Store, journals: Path, app: str, receipt: str) -> Receipt:
    """The same, with the elements that are not live. Raises NotFound and Unavailable."""
    found = []
    for mode in MODES:
        part = app_of(app, mode)
        with suppress(NotFound):
            tenant = warehouse.tenant(part, store.erasures.hidden(part))
            found.append(find_receipt(tenant, store.erasures, journals, receipt))
            for element in found[-1].elements:
                element.mode = mode
    if not found:
        raise NotFound("no request of this app has that receipt", code="unknown_receipt")
    elements = [element for part in found for element in part.elements]
    elements.sort(key=lambda element: -1 if element.index is None else element.index)
    return msgspec.structs.replace(found[0], elements=elements)


class Reinstatement(msgspec.Struct):
    """What is reinstated of a request: its events, each by its id. They are stored soon after."""

    receipt: str
    event_ids: list[str]


def reinstate(tenant: Tenant, store: Store, journals: Path, receipt: str, index: int | None) -> Reinstatement:
    """Have what a retry window made duplicates of a request stored, each as an event of its own; with `index`, one.

    Those of which that was said before are named again. Raises NotFound, Conflict and Unavailable.
    """
    found = find_receipt(tenant, store.erasures, journals, receipt)
    elements = [one for one in found.elements if one.kind == "event" and index in (None, one.index)]
    if any(one.outcome == "pending" for one in elements):
        raise Unavailable("the request is not in the warehouse yet", code="not_loaded_yet", retry_after=2)
    ids = [bytes.fromhex(one.event_id) for one in elements if one.event_id and one.reason == RETRY_WINDOW]
    known = store.reinstated.among([bytes.fromhex(one.event_id) for one in elements if one.event_id])
    if not ids and not known:
        message = (
            "nothing of this request is a duplicate because of a retry window; `GET /v1/receipts/` says what it is"
        )
        raise Conflict(message, code="no_retry")
    store.reinstated.ask(tenant.app, receipt, ids)
    return Reinstatement(receipt, sorted(one.hex() for one in {*ids, *known}))


def _in_journal(app: str, erased: Erasures, journals: Path, receipt: str) -> Receipt | None:
    for reader in readers(journals):
        try:
            found = reader.find(receipt)
        finally:
            reader.close()
        for entry in (entries.decode(row.payload) for row in found if row.intact):
            if entry.app == app:
                return _pending(entry, erased)
    return None


def _pending(entry: Entry, erased: Erasures) -> Receipt:
    tombstones = Tombstones(erased.erased_at(keys_of(entry)))
    ids = event_ids(entry)
    elements = []
    for event, event_id in zip(entry.events, ids, strict=True):
        outcome = "erased" if tombstones.is_old(entry, event) else "pending"
        elements.append(Element(event.index, "event", outcome, event_id=event_id.hex()))
    for identify in entry.identifies:
        outcome = "erased" if tombstones.is_old(entry, identify) else "pending"
        elements.append(Element(identify.index, "identify", outcome))
    for refusal in entry.refusals:
        if not refusal.reported and tombstones.names(entry.app, refusal.payload):
            elements.append(Element(refusal.index, "refusal", "erased", code=refusal.code))
            continue
        outcome = "rejected" if refusal.reported else "quarantined"
        elements.append(Element(refusal.index, "refusal", outcome, code=refusal.code, field=refusal.field,
                                message=refusal.message))  # fmt: skip
    elements.sort(key=lambda element: -1 if element.index is None else element.index)
    replay_of = entry.replay.receipt if entry.replay else None
    return Receipt(entry.receipt, rfc3339(entry.received_at // 1_000), entry.dialect, elements, replay_of)


def _in_warehouse(tenant: Tenant, receipt: str) -> Receipt | None:
    parameters = {"receipt": bytes.fromhex(receipt)}
    arrivals = tenant.rows(_ARRIVALS, parameters)
    if not arrivals:
        return None
    ids = {bytes(row[3]) for row in arrivals if row[0] == "event"}
    first = standing(lambda sql, sent: tenant.rows(sql, external=sent), ids)
    refusals = {row[0]: row[1:] for row in tenant.rows(_REFUSALS, parameters)}
    elements = [_element(row, receipt, first, refusals) for row in arrivals]
    replay_of = next((bytes(row[0]).hex() for row in tenant.rows(_REPLAY_OF, parameters)), None)
    return Receipt(receipt, rfc3339(arrivals[0][7]), arrivals[0][8], elements, replay_of)


def _element(row: Any, receipt: str, first: dict[bytes, Standing], refusals: dict[int, Any]) -> Element:
    kind, position, part, event_id, content, outcome, code, _, _ = row
    if kind == "refusal" and outcome == "erased":
        return Element(position, kind, outcome, code=code)
    if kind == "refusal":
        index, field, message, replay = refusals.get(part, (position, "", "", b""))
        sent_on = bytes(replay).hex() if outcome == "replayed" and replay else None
        return Element(index, kind, outcome, code=code, field=field or None, message=message or None, replay=sent_on)
    if kind == "identify":
        return Element(position, kind, "erased" if outcome == "erased" else "stored")
    if outcome == "erased" or bytes(event_id) not in first:
        return Element(position, kind, "erased", event_id=event_id.hex())
    copy, is_retry = first[bytes(event_id)].copy, first[bytes(event_id)].is_retry
    if (copy.receipt.hex(), copy.position) == (receipt, position):
        return Element(position, kind, "stored", event_id=event_id.hex())
    conflict = copy.content != bytes(content)
    return Element(position, kind, "duplicate", event_id=event_id.hex(), of=copy.receipt.hex(), conflict=conflict,
                   reason=RETRY_WINDOW if is_retry else None)  # fmt: skip
