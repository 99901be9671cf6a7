"""The history into an app: through the dialects' decoders into a journal, and from there into the warehouse."""

from __future__ import annotations

from rich.progress import Progress

from tenure import entry as entries
from tenure.control import keys
from tenure.delivery import Delivery
from tenure.demo.delivery import Request
from tenure.demo.history import History
from tenure.demo.record import Record
from tenure.entry import Entry
from tenure.errors import Refused
from tenure.event import Decoded, whole_request
from tenure.settings import Settings
from tenure.wire import registry

CHUNK = 1_000
"""Requests that are committed to the journal together."""


def fill(settings: Settings, record: Record, app: str, secret_key: str, progress: Progress) -> None:
    """Bring the recorded history into an app, and record that it is there.

    Raises Unavailable when the journal cannot be written.
    """
    with Delivery(settings, f"demo {record.seed} {record.customers} {record.days} {record.end} {app}") as delivery:
        generating = progress.add_task("Generating", total=1)
        requests = History(record.customers, record.days, record.seed, record.end).requests()
        progress.update(generating, completed=1)
        record.events = _write(requests, delivery, app, keys.shown_prefix(secret_key), progress)
        bar, total = progress.add_task("Loading", total=len(requests)), len(requests)
        delivery.drain(lambda waiting: progress.update(bar, completed=max(0, total - waiting)))
        progress.update(bar, completed=total)
    record.loaded_for = app
    record.write(settings.data)


def _write(requests: list[Request], delivery: Delivery, app: str, key_prefix: str, progress: Progress) -> int:
    """Commit the requests to the journal; returns how many events they bring, copies of retries not counted."""
    bar, events = progress.add_task("Writing", total=len(requests)), 0
    for start in range(0, len(requests), CHUNK):
        chunk = requests[start : start + CHUNK]
        taken = [take(request, app, key_prefix) for request in chunk]
        delivery.append([entries.record(entry) for entry in taken], lambda _: None)
        events += sum(len(entry.events) for entry, request in zip(taken, chunk, strict=True) if not request.retry)
        progress.advance(bar, len(chunk))
    return events


def take(request: Request, app: str, key_prefix: str) -> Entry:
    """The journal entry of a request, as the server would have made it when it was received."""
    operation = registry.find(request.path, {})
    if operation is None:
        raise ValueError(f"no dialect answers on {request.path}")
    try:
        decoded = operation.decode(request.body, request.received_at // 1_000)
    except Refused as error:
        decoded = Decoded(refusals=[whole_request(error)])
    return entries.of(
        decoded,
        app=app,
        receipt=request.receipt,
        received_at=request.received_at,
        dialect=operation.dialect,
        verified=True,
        key_prefix=key_prefix,
    )
