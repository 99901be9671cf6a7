"""The items of a subscription that a file says in several rows: those of one subscription, time and sequence.

A row has at most one item, and a statement says all of a subscription's items. So the file is read once before, to know
the items of each statement, and then every row says all of them: which row comes last does not matter, nor where an
import that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from tenure.errors import BadRequest
from tenure.event import Event
from tenure.importer.row import Damaged, Row
from tenure.subscriptions.statement import MAX_LINES
from tenure.wire import codes
from tenure.wire.json import canonical


class StatementLines:
    """The items of each statement of a file."""

    def __init__(self) -> None:
        self._items: dict[bytes, list[str]] = {}
        self._is_known = False

    def read(self, rows: Iterable[Row], mapping: Takes) -> None:
        """Take note of all rows, as far as they can be read."""
        with suppress(Damaged):
            for row in rows:
                mapping.take(row, 0)
        self._is_known = True

    def whole(self, event: Event) -> Event:
        """The statement of a row with the items of all its rows; while the file is read first, as it is.

        Raises BadRequest where they are too many.
        """
        said = msgspec.json.decode(event.properties)
        if not said.get("items"):
            return event
        items = self._items.setdefault(_statement(event, said), [])
        own = [canonical(item) for item in said["items"]]
        others = [text for text in sorted(items) if text not in own]
        if self._is_known:
            if len(own) + len(others) > MAX_LINES:
                message = f"more than {MAX_LINES:,} rows say items of this subscription at this time."
                raise BadRequest(message, code=codes.INVALID_VALUE, field="subscription")
            whole = [msgspec.json.decode(text) for text in (*own, *others)]
            return msgspec.structs.replace(event, properties=canonical(said | {"items": whole}))
        items += [text for text in own if text not in items]
        return event


class Takes(Protocol):
    """How rows become statements."""

    def take(self, row: Row, index: int) -> object:
        """What a row is."""


def _statement(event: Event, said: dict[str, Any]) -> bytes:
    """16 bytes that are equal in the rows of one statement."""
    whose = event.customer_id, event.uid, event.billing_id, event.email, event.anonymous_id
    parts = said["source"], said["subscription"], said.get("currency"), event.occurred_at, said.get("sequence"), whose
    return blake2b(msgspec.msgpack.encode(parts), digest_size=16, person=b"statement").digest()
