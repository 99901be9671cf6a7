"""Windback's tracking endpoint: one event, or up to 100 in `events`.

Two generations of clients are taken as one: `timestamp` [page] or `occurred_at` [spec], and beside
`customer_email` [page] also `customer_id` and `customer_name` [spec]. Unknown fields are kept in the context;
those around `events` in the context of each event.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenure.event import Decoded, Event, Identify
from tenure.wire import elements, fields
from tenure.wire.credentials import api_key_or_bearer
from tenure.wire.dialect import SECRET_OR_PUBLISHABLE, Operation, Reply, Taken, success
from tenure.wire.json import canonical, parse

MAX_EVENTS = 100

_FIELDS = frozenset({"event", "customer_email", "customer_id", "customer_name", "properties", "timestamp"})
_FIELDS_WITH_OCCURRED_AT = _FIELDS | {"occurred_at"}
_ENVELOPE_FIELDS = frozenset({"events"})


def decode_track(body: bytes, now: int) -> Decoded:
    """One event, or a batch when the body has `events`."""
    decoded = Decoded()
    source = fields.whole_object(parse(body))
    if "events" not in source:
        _take_event(source, 0, decoded, {})
        return decoded
    events = fields.array(source["events"], "events")
    elements.check_count(events, MAX_EVENTS)
    around = fields.rest(source, _ENVELOPE_FIELDS)
    elements.take_some(events, lambda event, index, into: _take_event(event, index, into, around), decoded)
    return decoded


def _take_event(source: Mapping[str, object], index: int, decoded: Decoded, around: dict[str, object]) -> None:
    name = fields.event_name(source.get("event"), "event")
    email = fields.email(source.get("customer_email"), "customer_email")
    customer_id = fields.identifier(source.get("customer_id"), "customer_id")
    if email is None and customer_id is None:
        raise fields.missing("customer_email", "customer_id")
    customer_name = fields.text(source.get("customer_name"), "customer_name", limit=fields.ID_LIMIT)
    # With both times, the page's counts and the other is kept in the context.
    if source.get("timestamp") is not None:
        time_field, taken = "timestamp", _FIELDS
    else:
        time_field, taken = "occurred_at", _FIELDS_WITH_OCCURRED_AT
    moment = fields.time(source.get(time_field), time_field)
    occurred_at = moment.ms if moment else None
    context = {**around, **fields.rest(source, taken)}
    decoded.events.append(
        Event(
            index=index,
            name=name,
            occurred_at=occurred_at,
            precise=moment.precise if moment else False,
            customer_id=customer_id,
            email=email,
            properties=fields.canonical_or_empty(fields.mapping(source.get("properties"), "properties")),
            context=fields.canonical_or_empty(context),
        )
    )
    if customer_name is not None:
        traits = canonical({"name": customer_name})
        decoded.identifies.append(
            Identify(
                index=index,
                set_at=occurred_at,
                precise=moment.precise if moment else False,
                customer_id=customer_id,
                email=email,
                traits=traits,
            )
        )


def _reply(taken: Taken) -> Reply:
    """The page's reply; `errors` is ours."""
    return success({"status": "ok"}, taken.entry.refusals)


OPERATIONS = (
    Operation(
        dialect="windback",
        path="/api/v1/track",
        key_kinds=SECRET_OR_PUBLISHABLE,
        credentials=api_key_or_bearer,
        decode=decode_track,
        reply=_reply,
    ),
)
