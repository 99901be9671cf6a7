"""Customerscore's server-side tracking: up to 100 events, each with attributes of its customer and contact.

Attributes are numbers or text [page]. Any other plain JSON value is taken as it is, and an array or object as
its canonical JSON text, so that none is lost. The reply's body is ours. Unknown fields are kept in the
context; those around `events` in the context of each event.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenure.errors import Unauthenticated
from tenure.event import Decoded, Event, Identify
from tenure.wire import elements, fields
from tenure.wire.credentials import header
from tenure.wire.dialect import SECRET, Credentials, Operation, Reply, Taken, success
from tenure.wire.json import canonical, parse

MAX_EVENTS = 100

_FIELDS = frozenset({"name", "timestamp", "identification", "data"})
_PARTS = frozenset({"customer", "contact"})
_ENVELOPE_FIELDS = frozenset({"trackerKey", "events"})


def credentials(headers: Mapping[str, str]) -> Credentials:
    """The secret token in `customerscore-key`. [page]"""
    key = header(headers, "customerscore-key")
    if key is None:
        raise Unauthenticated("Missing header: customerscore-key. Set it to the API token of the app.")
    return Credentials(key)


def decode_track(body: bytes, now: int) -> Decoded:
    """The events, and the tracker key that they were sent under."""
    source = fields.whole_object(parse(body))
    decoded = Decoded(tracker_key=fields.required_identifier(source.get("trackerKey"), "trackerKey"))
    events = fields.array(source.get("events"), "events")
    elements.check_count(events, MAX_EVENTS)
    around = fields.rest(source, _ENVELOPE_FIELDS)
    elements.take_some(events, lambda event, index, into: _take_event(event, index, into, around), decoded)
    return decoded


def _take_event(source: Mapping[str, object], index: int, decoded: Decoded, around: dict[str, object]) -> None:
    name = fields.event_name(source.get("name"), "name")
    moment = fields.time(source.get("timestamp"), "timestamp")
    if moment is None:
        raise fields.missing("timestamp")
    identification = fields.mapping(source.get("identification"), "identification")
    customer_id = fields.required_identifier(identification.get("customer"), "identification.customer")
    contact_id = fields.identifier(identification.get("contact"), "identification.contact")
    data = fields.mapping(source.get("data"), "data")
    traits = _attributes(data.get("customer"), "data.customer")
    contact_traits = _attributes(data.get("contact"), "data.contact")
    if contact_traits and contact_id is None:
        raise fields.missing("identification.contact")
    context = {**around, **fields.rest(source, _FIELDS)}
    if rest := fields.rest(identification, _PARTS):
        context["identification"] = rest
    if rest := fields.rest(data, _PARTS):
        context["data"] = rest
    decoded.events.append(
        Event(
            index=index,
            name=name,
            occurred_at=moment.ms,
            precise=moment.precise,
            customer_id=customer_id,
            user_id=contact_id,
            context=fields.canonical_or_empty(context),
        )
    )
    if traits or contact_traits:
        decoded.identifies.append(
            Identify(
                index=index,
                set_at=moment.ms,
                precise=moment.precise,
                customer_id=customer_id,
                user_id=contact_id,
                traits=fields.canonical_or_empty(traits),
                user_traits=fields.canonical_or_empty(contact_traits),
            )
        )


def _attributes(value: object, field: str) -> dict[str, object]:
    return {
        name: canonical(given) if isinstance(given, (dict, list)) else given
        for name, given in fields.mapping(value, field).items()
    }


def _reply(taken: Taken) -> Reply:
    return success({"status": "ok", "received": len(taken.entry.events)}, taken.entry.refusals)


OPERATIONS = (
    Operation(
        dialect="customerscore",
        path="/api/tracker/track",
        key_kinds=SECRET,
        credentials=credentials,
        decode=decode_track,
        reply=_reply,
    ),
)
