"""Tenure's own way to send: one form that holds what every other dialect can say, and an answer for each element.

An element with `event` is an event; one with `traits`, `set_once`, `increment` or `unset`, here or in `user`, changes
attributes; it may be both. One with neither, but with two identifiers or more, says that they are one customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tenure.entry import Entry
from tenure.errors import BadRequest
from tenure.event import Claim, Decoded, Event, Identify
from tenure.identity import KINDS, event_ids
from tenure.mode import APART, LIVE, MODES
from tenure.wire import attributes, codes, elements, fields, times
from tenure.wire.credentials import api_key_or_bearer
from tenure.wire.dialect import SECRET_OR_PUBLISHABLE, Operation, Reply, Taken
from tenure.wire.json import parse

MAX_EVENTS = 1_000
MAX_SEQUENCE = 2**63 - 1
STATEMENT = "subscription_updated"
"""The name of an event that is a statement about a subscription (`subscriptions.statement`)."""

_BODY_FIELDS = frozenset({"events"})
_FIELDS = frozenset(
    {"event", "message_id", "occurred_at", "customer_id", "uid", "billing_id", "email", "anonymous_id", "user",
     "properties", "context", "auth_hash", "sequence", "mode", *attributes.FIELDS}
)  # fmt: skip
_USER_FIELDS = frozenset({"id", *attributes.FIELDS})


def decode(body: bytes, now: int) -> Decoded:
    """1 to 1,000 elements under `events`; a bad one is told by its index and costs the others nothing."""
    source = fields.whole_object(parse(body))
    if source.keys() - _BODY_FIELDS:
        raise fields.unknown(source.keys() - _BODY_FIELDS)
    events = fields.array(source.get("events"), "events")
    elements.check_count(events, MAX_EVENTS)
    decoded = Decoded()
    elements.take_each(events, _take, decoded, reported=True, mode=mode_of)
    return decoded


def _take(source: Mapping[str, object], index: int, decoded: Decoded) -> None:
    if not source.keys() <= _FIELDS:
        raise fields.unknown(source.keys() - _FIELDS)
    mode(source.get("mode"))
    who = identifiers(source)
    user_id, of_user = _user(source.get("user"))
    moment = fields.time(source.get("occurred_at"), "occurred_at")
    said: dict[str, Any] = {"index": index, "user_id": user_id, **who}
    sequence = fields.whole_number(source.get("sequence"), "sequence", 0, MAX_SEQUENCE)
    event = _event(source, moment, said, sequence)
    of_customer = attributes.read(source, within="")
    changes_any = any((*of_customer, *of_user))
    says_who = len([identifier for identifier in who.values() if identifier]) > 1
    if event is None and not changes_any and not says_who:
        raise fields.missing("event", "traits", "user.traits")
    auth_hash = fields.text(source.get("auth_hash"), "auth_hash", limit=fields.ID_LIMIT)
    if auth_hash is not None:
        decoded.claims.append(Claim(index=index, subjects=(_signed(who),), auth_hash=auth_hash))
    if event is not None:
        decoded.events.append(event)
    if changes_any or event is None:
        decoded.identifies.append(
            Identify(
                set_at=moment.ms if moment else None,
                precise=moment.precise if moment else False,
                message_id=_message_id(source),
                traits=of_customer.traits(),
                user_traits=of_user.traits(),
                sequence=sequence,
                changes=of_customer.changes(),
                user_changes=of_user.changes(),
                **said,
            )
        )


def mode_of(source: Mapping[str, object]) -> str:
    """The mode that an element says, where it says one that there is."""
    said = source.get("mode")
    return said if isinstance(said, str) and said in APART else LIVE


def mode(value: object) -> str:
    """A mode that is said; live where none is. Raises BadRequest when there is no such one."""
    said = fields.text(value, "mode", limit=fields.NAME_LIMIT) or LIVE
    if said not in MODES:
        message = f"mode must be one of {', '.join(MODES)}."
        raise BadRequest(message, code=codes.INVALID_VALUE, field="mode")
    return said


def _event(
    source: Mapping[str, object], moment: times.Moment | None, said: dict[str, Any], sequence: int | None
) -> Event | None:
    """The event of an element; None when it has no name. What only an event has is checked all the same."""
    name = fields.text(source.get("event"), "event", limit=fields.NAME_LIMIT)
    message_id = _message_id(source)
    properties = fields.mapping(source.get("properties"), "properties")
    context = fields.mapping(source.get("context"), "context")
    if name is None and properties:
        raise fields.missing("event")
    if name is None:
        return None
    if name == STATEMENT and sequence is not None:
        properties = {"sequence": sequence, **properties}
    return Event(
        name=name,
        occurred_at=moment.ms if moment else None,
        precise=moment.precise if moment else False,
        message_id=message_id,
        properties=fields.canonical_or_empty(properties),
        context=fields.canonical_or_empty(context),
        **said,
    )


def _message_id(source: Mapping[str, object]) -> str | None:
    return fields.identifier(source.get("message_id"), "message_id")


def identifiers(source: Mapping[str, object]) -> dict[str, str | None]:
    """The identifiers of the customer, by their field; at least one is there."""
    who = {
        "customer_id": fields.identifier(source.get("customer_id"), "customer_id"),
        "uid": fields.identifier(source.get("uid"), "uid"),
        "billing_id": fields.identifier(source.get("billing_id"), "billing_id"),
        "email": fields.email(source.get("email"), "email"),
        "anonymous_id": fields.identifier(source.get("anonymous_id"), "anonymous_id"),
    }
    if not any(who.values()):
        raise fields.missing(*KINDS)
    return who


def _signed(who: dict[str, str | None]) -> str:
    """The identifier that a signature is over: the strongest of those that can be signed."""
    subject = who["customer_id"] or who["uid"] or who["billing_id"] or who["email"]
    if subject is None:
        raise fields.missing("customer_id", "uid", "billing_id", "email")
    return subject


def _user(value: object) -> tuple[str | None, attributes.Given]:
    """The id of a person within the customer, and what to do with its attributes."""
    user = fields.mapping(value, "user")
    if not user:
        return None, attributes.Given()
    if not user.keys() <= _USER_FIELDS:
        raise fields.unknown(user.keys() - _USER_FIELDS, within="user.")
    return fields.required_identifier(user.get("id"), "user.id"), attributes.read(user, within="user.")


def reply(taken: Taken) -> Reply:
    """The receipt, and what became of each element."""
    results: dict[int, dict[str, Any]] = {}
    for part in taken.parts:
        results |= _results(part, taken.known)
    body = {"receipt": taken.entry.receipt, "results": [results[index] for index in sorted(results)]}
    return Reply(202, msgspec.json.encode(body))


def _results(entry: Entry, known: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """What to say of each element, by its index."""
    results: dict[int, dict[str, Any]] = {}
    for identify in entry.identifies:
        results[identify.index] = {"index": identify.index, "status": "stored_pending"}
    ids = event_ids(entry)
    for event, event_id in zip(entry.events, ids, strict=True):
        status = known.get(event.index, "stored_pending")
        results[event.index] = {"index": event.index, "status": status, "event_id": event_id.hex()}
    for refusal in entry.refusals:
        assert refusal.index is not None  # what is refused as a whole gets no such reply
        result = {"index": refusal.index, "status": "invalid", "code": refusal.code, "message": refusal.message}
        results[refusal.index] = result if refusal.field is None else {**result, "field": refusal.field}
    return results


OPERATIONS = (
    Operation(
        dialect="native",
        path="/v1/ingest",
        key_kinds=SECRET_OR_PUBLISHABLE,
        credentials=api_key_or_bearer,
        decode=decode,
        reply=reply,
        asks_what_is_known=True,
    ),
)
