"""Churnkey's server-side API: events, in bulk, and attributes of customers and of their users.

Rules marked [page] in the contract come from the vendor's page, [spec] from what was seen of its live API.
Fields that an event does not define are its data where it has no `eventData`, as live clients send them [seen], and
are kept in its context otherwise. The replies of all but `bulk` are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tenure.errors import Unauthenticated
from tenure.event import Claim, Decoded, Event, Identify
from tenure.wire import elements, fields
from tenure.wire.credentials import header
from tenure.wire.dialect import APP_ID, SECRET, Credentials, Operation, Reply, Taken, success
from tenure.wire.json import canonical, parse

MAX_ELEMENTS = 100

_BULK_FIELDS = frozenset({"event", "customerId", "uid", "eventDate", "eventData", "user"})
_EVENT_FIELDS = _BULK_FIELDS | {"customerData"}
_BULK_USER_FIELDS = frozenset({"uid"})
_USER_FIELDS = _BULK_USER_FIELDS | {"data"}
_UPDATE_FIELDS = frozenset({"customerId", "uid", "customerData", "user"})
_USERS_FIELDS = frozenset({"customerId", "uid", "users"})
_BROWSER_FIELDS = frozenset(
    {"event", "customerId", "customerEmail", "subscriptionId", "uid", "authHash", "eventData", "eventDate", "messageId",
     "appId"}
)  # fmt: skip
_NEVER_DATA = frozenset(
    {"appId", "authHash", "createdAt", "customerData", "customerEmail", "messageId", "subscriptionId", "user"}
)
"""Fields of the vendor's that say no more of an event, wherever they are sent."""


def credentials(headers: Mapping[str, str]) -> Credentials:
    """`x-ck-api-key` and `x-ck-app`, both required. [page]"""
    key, app = header(headers, "x-ck-api-key"), header(headers, "x-ck-app")
    if key is not None and app is not None:
        return Credentials(key, app)
    absent = [name for name, value in (("x-ck-api-key", key), ("x-ck-app", app)) if value is None]
    raise Unauthenticated(
        f"Missing header: {' and '.join(absent)}. Set x-ck-api-key to the API key and x-ck-app to the app id. "
        "With axios, pass them as axios.post(url, body, { headers: headers }): "
        "as the bare third argument they are not sent."
    )


def browser_credentials(headers: Mapping[str, str]) -> Credentials:
    """The app's id in `x-ck-app`; a browser has no key. [ours]"""
    app = header(headers, "x-ck-app")
    if app is None:
        raise Unauthenticated("Missing header: x-ck-app. Set it to the app id; churnkey.js takes it from appId.")
    return Credentials(None, app)


def decode_browser_event(body: bytes, now: int) -> Decoded:
    """One event as `window.churnkey.event` describes it [page]; `eventDate` and `messageId` are our script's. [ours]"""
    source = fields.whole_object(parse(body))
    name = fields.event_name(source.get("event"), "event")
    customer_id = fields.identifier(source.get("customerId"), "customerId")
    email = fields.email(source.get("customerEmail"), "customerEmail")
    subscription_id = fields.identifier(source.get("subscriptionId"), "subscriptionId")
    uid = fields.identifier(source.get("uid"), "uid")
    if customer_id is None and email is None and uid is None and subscription_id is None:
        raise fields.missing("customerId", "customerEmail", "uid", "subscriptionId")
    auth_hash = fields.text(source.get("authHash"), "authHash", limit=fields.ID_LIMIT)
    moment = fields.time(source.get("eventDate"), "eventDate")
    data, context = _data(source, _BROWSER_FIELDS)
    if subscription_id is not None:
        context["subscriptionId"] = subscription_id
    event = Event(
        index=0,
        name=name,
        occurred_at=moment.ms if moment else None,
        precise=moment.precise if moment else False,
        message_id=fields.identifier(source.get("messageId"), "messageId"),
        customer_id=customer_id or (subscription_id if email is None and uid is None else None),
        uid=uid,
        email=email,
        properties=fields.canonical_or_empty(data),
        context=fields.canonical_or_empty(context),
    )
    decoded = Decoded(events=[event])
    if auth_hash is not None:
        # For customers of Paddle the subscription is signed [page]; it speaks for whoever has it.
        own = [one for one in (event.customer_id, uid, email) if one is not None]
        subjects = (own[0],) if subscription_id is None else (own[0], subscription_id)
        is_required = customer_id is not None or email is not None
        decoded.claims.append(
            Claim(index=0, subjects=subjects, others=tuple(own[1:]), auth_hash=auth_hash, is_required=is_required)
        )
    return decoded


def decode_event(body: bytes, now: int) -> Decoded:
    """One event, with attributes of its customer and user when `customerData` or `user.data` are there."""
    return _decode_event(fields.whole_object(parse(body)), "eventDate", _EVENT_FIELDS)


def decode_older_event(body: bytes, now: int) -> Decoded:
    """As `decode_event`, from clients that call the time `createdAt`; `eventDate` counts when both are there."""
    source = fields.whole_object(parse(body))
    if source.get("eventDate") is not None:
        return _decode_event(source, "eventDate", _EVENT_FIELDS)
    return _decode_event(source, "createdAt", _EVENT_FIELDS | {"createdAt"})


def decode_bulk(body: bytes, now: int) -> Decoded:
    """A bare array of at most 100 events. Attributes are not taken here [page]: they stay in the context."""
    return _decode_array(body, _take_bulk_event)


def decode_update(body: bytes, now: int) -> Decoded:
    """Attributes of one customer, and of one of its users."""
    decoded = Decoded()
    _take_update(fields.whole_object(parse(body)), 0, decoded)
    return decoded


def decode_users(body: bytes, now: int) -> Decoded:
    """The list of a customer's users, which replaces the one before."""
    decoded = Decoded()
    _take_users(fields.whole_object(parse(body)), 0, decoded)
    return decoded


def decode_users_bulk(body: bytes, now: int) -> Decoded:
    """A bare array of what `decode_users` takes, for at most 100 customers."""
    return _decode_array(body, _take_users)


def _decode_array(body: bytes, take: elements.Take) -> Decoded:
    decoded = Decoded()
    array = fields.whole_array(parse(body))
    elements.check_count(array, MAX_ELEMENTS)
    elements.take_some(array, take, decoded)
    return decoded


def _decode_event(source: Mapping[str, object], date: str, taken: frozenset[str]) -> Decoded:
    event = _event(source, 0, date, taken=taken, taken_of_user=_USER_FIELDS)
    attributes = _attributes(source, 0, set_at=event.occurred_at, precise=event.precise)
    has_attributes = attributes.traits != "{}" or attributes.user_traits != "{}"
    return Decoded(events=[event], identifies=[attributes] if has_attributes else [])


def _take_bulk_event(source: Mapping[str, object], index: int, decoded: Decoded) -> None:
    decoded.events.append(_event(source, index, "eventDate", taken=_BULK_FIELDS, taken_of_user=_BULK_USER_FIELDS))


def _take_update(source: Mapping[str, object], index: int, decoded: Decoded) -> None:
    decoded.identifies.append(_attributes(source, index))
    _quarantine_rest(source, _UPDATE_FIELDS, index, decoded)


def _take_users(source: Mapping[str, object], index: int, decoded: Decoded) -> None:
    customer_id, uid = _customer(source)
    users = [_user(user, f"users[{at}]") for at, user in enumerate(fields.array(source.get("users"), "users"))]
    decoded.identifies.append(Identify(index=index, customer_id=customer_id, uid=uid, users=canonical(users)))
    _quarantine_rest(source, _USERS_FIELDS, index, decoded)


def _event(
    source: Mapping[str, object], index: int, date: str, *, taken: frozenset[str], taken_of_user: frozenset[str]
) -> Event:
    name = fields.event_name(source.get("event"), "event")
    customer_id, uid = _customer(source)
    moment = fields.time(source.get(date), date)
    user = fields.mapping(source.get("user"), "user")
    data, context = _data(source, taken)
    if rest_of_user := fields.rest(user, taken_of_user):
        context["user"] = rest_of_user
    return Event(
        index=index,
        name=name,
        occurred_at=moment.ms if moment else None,
        precise=moment.precise if moment else False,
        customer_id=customer_id,
        uid=uid,
        user_id=fields.identifier(user.get("uid"), "user.uid"),
        properties=fields.canonical_or_empty(data),
        context=fields.canonical_or_empty(context),
    )


def _data(source: Mapping[str, object], taken: frozenset[str]) -> tuple[Mapping[str, object], dict[str, object]]:
    """The data and the context of an event, of which the fields `taken` mean something else."""
    rest = fields.rest(source, taken)
    if source.get("eventData") is not None:
        return fields.mapping(source["eventData"], "eventData"), rest
    context = {name: value for name, value in rest.items() if name in _NEVER_DATA}
    return fields.rest(rest, _NEVER_DATA), context


def _attributes(
    source: Mapping[str, object], index: int, *, set_at: int | None = None, precise: bool = False
) -> Identify:
    customer_id, uid = _customer(source)
    user = fields.mapping(source.get("user"), "user")
    user_id = fields.identifier(user.get("uid"), "user.uid")
    user_traits = fields.mapping(user.get("data"), "user.data")
    if user_traits and user_id is None:
        raise fields.missing("user.uid")
    return Identify(
        index=index,
        set_at=set_at,
        precise=precise,
        customer_id=customer_id,
        uid=uid,
        user_id=user_id,
        traits=fields.canonical_or_empty(fields.mapping(source.get("customerData"), "customerData")),
        user_traits=fields.canonical_or_empty(user_traits),
    )


def _customer(source: Mapping[str, object]) -> tuple[str | None, str | None]:
    """`customerId` and `uid`, at least one of which is there. [page]"""
    customer_id = fields.identifier(source.get("customerId"), "customerId")
    uid = fields.identifier(source.get("uid"), "uid")
    if customer_id is None and uid is None:
        raise fields.missing("customerId", "uid")
    return customer_id, uid


def _user(user: object, field: str) -> dict[str, object]:
    """One of `users`: `userId`, `data`, and what else the client says of it."""
    if not isinstance(user, dict):
        raise fields.wrong_type(field, "an object")
    user_id = fields.required_identifier(user.get("userId"), f"{field}.userId")
    return {**user, "userId": user_id, "data": fields.mapping(user.get("data"), f"{field}.data")}


def _quarantine_rest(source: Mapping[str, object], taken: frozenset[str], index: int, decoded: Decoded) -> None:
    """Attributes have no context to keep unknown fields in: they are quarantined beside what was taken."""
    if rest := fields.rest(source, taken):
        decoded.refusals.append(elements.refusal(fields.unknown(rest), index, rest, reported=False))


def _reply(taken: Taken) -> Reply:
    return success({"status": "success"}, taken.entry.refusals)


def _reply_event(taken: Taken) -> Reply:
    return success({"status": "success", "verified": taken.verified}, taken.entry.refusals)


def _reply_bulk(taken: Taken) -> Reply:
    """As seen of the live API. [spec]"""
    count = len(taken.entry.events)
    body = {"status": "success", "event_count": count, "verified": taken.verified}
    return success(body, taken.entry.refusals)


def _operation(path: str, decode: Callable[[bytes, int], Decoded], reply: Callable[[Taken], Reply]) -> Operation:
    return Operation(
        dialect="churnkey", path=path, key_kinds=SECRET, credentials=credentials, decode=decode, reply=reply
    )


OLDER_TRACK = _operation("/v1/events/track", decode_older_event, _reply_event)
"""What older clients post to: a path that is Whisperr's now, so the registry goes by the header. [spec]"""

OPERATIONS = (
    _operation("/v1/api/events/new", decode_event, _reply_event),
    _operation("/v1/api/events/bulk", decode_bulk, _reply_bulk),
    _operation("/v1/api/events/customer-update", decode_update, _reply),
    _operation("/v1/api/events/customer-update/set-users", decode_users, _reply),
    _operation("/v1/api/events/customer-update/set-users/bulk", decode_users_bulk, _reply),
    OLDER_TRACK,
    Operation(
        dialect="churnkey",
        path="/v1/api/events/browser",
        key_kinds=APP_ID,
        credentials=browser_credentials,
        decode=decode_browser_event,
        reply=_reply_event,
    ),
)
