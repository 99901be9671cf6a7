"""Notes when the subscriptions of billing ids began and ended, of events that an older release loaded. Repeatable."""

from __future__ import annotations

import msgspec

from tenure.control.backfills import SUBSCRIBED
from tenure.control.link import Link
from tenure.control.store import Store
from tenure.entry import Entry
from tenure.event import Event
from tenure.loader import links
from tenure.subscriptions.fact import Fact
from tenure.warehouse.client import Warehouse

TOGETHER = 5_000
_FACTS = """
SELECT event.app, event.dialect, event.billing_id, event.customer_id, toUnixTimestamp64Micro(event.received_at),
    event.receipt, event.position, said.fact
FROM (SELECT event_id, fact FROM subscription_fact FINAL) AS said
INNER JOIN (
    SELECT app, event_id, toString(dialect) AS dialect, billing_id, customer_id, received_at, receipt, position
    FROM event FINAL WHERE verified AND (billing_id != '' OR startsWith(customer_id, 'cus_'))
) AS event ON event.event_id = said.event_id
SETTINGS max_threads = 1
"""

_decode = msgspec.json.Decoder(Fact).decode


def note_subscriptions(warehouse: Warehouse, store: Store) -> None:
    """Do it, if it is left to be done. Raises Unavailable, ClickHouseError and SQLAlchemyError; the next call does it
    anew."""
    if not store.backfills.waits(SUBSCRIBED):
        return
    found: dict[str, Link] = {}
    with warehouse.client.query_rows_stream(_FACTS) as stream:
        for app, dialect, billing_id, customer_id, received_at, receipt, position, fact in stream:
            event = Event(index=position, name="", billing_id=billing_id or None, customer_id=customer_id or None)
            entry = Entry(app=app, receipt=bytes(receipt).hex(), received_at=received_at, dialect=dialect,
                          verified=True, key_prefix="")  # fmt: skip
            for link in links.subscribed(entry, event, [_decode(fact)]):
                found[link.id] = found.get(link.id, link).said_again(link)
            if len(found) >= TOGETHER:
                store.links.add(found.values())
                found = {}
    store.links.add(found.values())
    store.backfills.finish(SUBSCRIBED)
