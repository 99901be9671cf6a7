"""Stripe's webhooks: an event of any type and API version, as Stripe sends it.

A relay or a backfill may send the same with a secret key: one event, or a list (`{"object": "list", "data": […]}`) of
events and of objects as Stripe's API gives them. Everything that is about a customer becomes an event; nothing that is
not understood fails, because Stripe would send it again for days. What the object means is read from the stored event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec

from tenure.errors import BadRequest, Unauthenticated
from tenure.event import Decoded, Event
from tenure.mode import CONNECTED, LIVE, TEST
from tenure.placeholder import is_placeholder
from tenure.wire import codes, elements, fields, times
from tenure.wire.credentials import api_key_or_bearer, header
from tenure.wire.dialect import SECRET, Credentials, Operation, Reply, Taken, success
from tenure.wire.json import canonical, parse

DIALECT: Final = "stripe"
PATH: Final = "/v1/billing/stripe/{app}"
MAX_ELEMENTS: Final = 1_000
SNAPSHOTS: Final = frozenset({"subscription.imported", "customer.imported"})
"""The names of the events that subscriptions and customers are which were read from the API."""
ID_LIMIT: Final = 255
"""Characters of an event's or an object's id: what Stripe says that its ids have at most."""

CUSTOMER_ID_KEYS: Final = ("tenure_customer_id", "customer_id")
UID_KEYS: Final = ("tenure_uid", "uid", "user_id")
"""Keys of an object's metadata under which a team may say who the Stripe customer is: the first that is there."""

PREVIOUS: Final = "previous_attributes"
"""What an event says of an update is kept beside the object's own fields, none of which has this name."""

_EVENTS = frozenset({"event", "v2.core.event"})
_PATH = re.compile(r"/v1/billing/stripe/([^/]+)")
_PAST = ("created", "start", "start_date", "current_period_start", "canceled_at", "ended_at",
         "finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")  # fmt: skip
_NOTHING: Mapping[str, Any] = {}

_Value = TypeVar("_Value")


def find(path: str) -> Operation | None:
    """The operation at the path of an app (without a trailing slash); None when it is another path."""
    found = _PATH.fullmatch(path)
    return msgspec.structs.replace(RECEIVE, credentials=partial(credentials, app=found[1])) if found else None


def credentials(headers: Mapping[str, str], app: str) -> Credentials:
    """A secret key in the usual headers, or else the signature in `Stripe-Signature`."""
    if header(headers, "x-api-key") or header(headers, "authorization"):
        return Credentials(api_key_or_bearer(headers).key, app, "app")
    signature = header(headers, "stripe-signature")
    if signature is None:
        message = "Stripe-Signature is missing, which Stripe sends with each webhook. A relay may send a secret key."
        raise Unauthenticated(message, code="missing_signature", field="Stripe-Signature")
    return Credentials(None, app, signature=signature)


def decode(body: bytes, now: int) -> Decoded:
    """One event or object, or a list of up to 1,000. What is about no customer, or is none of these, is quarantined."""
    source = fields.whole_object(parse(body))
    found: list[object] = [source]
    if source.get("object") == "list":
        found = fields.array(source.get("data"), "data")
        elements.check_count(found, MAX_ELEMENTS)
    decoded = Decoded()
    elements.take_each(found, _take, decoded, reported=False, mode=mode_of)
    return decoded


def mode_of(source: Mapping[str, object]) -> str:
    """The mode of an event or object: Stripe says `livemode` of each, and `account` of an event of a connected one."""
    if source.get("livemode") is False:
        return TEST
    return CONNECTED if source.get("account") else LIVE


def event_of(source: Mapping[str, object], index: int) -> Event:
    """The event that an event or an object of Stripe's is. Raises BadRequest when it cannot be one."""
    stripe_id = fields.required_identifier(source.get("id"), "id", limit=ID_LIMIT)
    kind = fields.event_name(source.get("object"), "object")
    about, said = _notice(source, stripe_id) if kind in _EVENTS else (source, _import(source, stripe_id, kind))
    who = _who(about)
    if not who:
        message = "It is about no customer; it is kept here, and nothing has to be done."
        raise BadRequest(message, code=codes.NO_CUSTOMER)
    return Event(index=index, **said, **who)


def taken(event: Event, at: int) -> Event:
    """The event of an object that was read from the API at a time in milliseconds, which its context then has."""
    if event.name not in SNAPSHOTS:
        return event
    return msgspec.structs.replace(event, context=canonical({"taken_at": times.rfc3339(at)}))


def _take(source: Mapping[str, object], index: int, decoded: Decoded) -> None:
    decoded.events.append(event_of(source, index))


def _notice(source: Mapping[str, object], stripe_id: str) -> tuple[Mapping[str, object], dict[str, Any]]:
    """The object that an event of Stripe's is about, and what is said of it."""
    data = fields.mapping(source.get("data"), "data")
    about = fields.mapping(data.get("object"), "data.object")
    previous = fields.mapping(data.get(PREVIOUS), f"data.{PREVIOUS}")
    context = {
        "api_version": source.get("api_version"),
        "event": stripe_id,
        "livemode": source.get("livemode"),
        "stripe_account": source.get("account"),
    }
    return about, {
        "name": fields.event_name(source.get("type"), "type"),
        "message_id": f"stripe:{stripe_id}",
        "properties": fields.canonical_or_empty({**about, PREVIOUS: previous} if previous else about),
        "context": canonical({name: value for name, value in context.items() if value is not None}),
        **_time(source.get("created")),
    }


def _import(source: Mapping[str, object], stripe_id: str, kind: str) -> dict[str, Any]:
    """What is said by an object as such: that it was so at the latest time that it names."""
    properties = canonical(source)
    content = blake2b(properties.encode(), digest_size=16, person=b"stripe object").hexdigest()
    return {
        "name": fields.event_name(f"{kind}.imported", "object"),
        "message_id": f"stripe:{stripe_id}:{content}",
        "properties": properties,
        **_time(_latest(source)),
    }


def _time(value: object) -> dict[str, Any]:
    if type(value) is int:  # seconds, however few
        try:
            return {"occurred_at": times.counted(value), "precise": True}
        except times.TimeInvalid as fault:
            raise fields.invalid_time("created", fault) from None
    moment = fields.time(value, "created")
    return {} if moment is None else {"occurred_at": moment.ms, "precise": moment.precise}


def _who(about: Mapping[str, object]) -> dict[str, Any]:
    """The identifiers of the customer that an object is of. One that cannot be used is none: it costs nothing else."""
    customer = about if about.get("object") == "customer" else _mapping(about.get("customer"))
    billing_id = _usable(fields.identifier, customer.get("id") if customer else about.get("customer"))
    metadata = [_mapping(about.get("metadata")), _mapping(customer.get("metadata"))]
    addresses = [
        customer.get("email"),
        about.get("customer_email"),
        _mapping(about.get("customer_details")).get("email"),
    ]
    if billing_id is None:  # of a guest; a customer's receipts may go to somebody else
        addresses.append(about.get("receipt_email"))
    references = [one.get(key) for one in metadata for key in UID_KEYS]
    if about.get("mode") == "subscription":  # a checkout's, which for other purchases may be that of a cart
        references.append(about.get("client_reference_id"))
    found = {
        "billing_id": billing_id,
        "customer_id": _id((one.get(key) for one in metadata for key in CUSTOMER_ID_KEYS), "customer_id"),
        "uid": _id(references, "uid"),
        "email": _first(fields.email, addresses),
    }
    return {name: value for name, value in found.items() if value is not None}


def _latest(source: Mapping[str, object]) -> int | None:
    """The last time of which an object says that something had happened by then, in seconds; None when it says none."""
    items = _mapping(source.get("items")).get("data")
    parts = [source, _mapping(source.get("status_transitions")), _mapping(source.get("discount"))]
    parts += [_mapping(item) for item in items] if isinstance(items, list) else []
    found = (part.get(name) for part in parts for name in _PAST)
    return max((time for time in found if type(time) is int), default=None)


def _first(read: Callable[[object, str], _Value | None], values: Iterable[object]) -> _Value | None:
    return next((found for value in values if (found := _usable(read, value)) is not None), None)


def _id(values: Iterable[object], kind: str) -> str | None:
    """The first id that is not a placeholder; where there is none, the first."""
    found = [one for value in values if (one := _usable(fields.identifier, value)) is not None]
    return next((one for one in found if not is_placeholder(kind, one)), found[0] if found else None)


def _usable(read: Callable[[object, str], _Value | None], value: object) -> _Value | None:
    try:
        return read(value, "")
    except BadRequest:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NOTHING


def _reply(taken: Taken) -> Reply:
    return success({"received": len(taken.entry.events)}, taken.entry.refusals)


RECEIVE = Operation(
    dialect=DIALECT,
    path=PATH,
    key_kinds=SECRET,
    credentials=partial(credentials, app=""),  # `find` puts in the one of the path
    decode=decode,
    reply=_reply,
)
OPERATIONS = (RECEIVE,)
