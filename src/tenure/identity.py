"""Keys and ids computed from what an event says, without a look-up.

Everything is BLAKE2b (RFC 7693) over the parts in MessagePack, so that no two different tuples of parts can
give the same input, with a personalisation per purpose, so that no two purposes can collide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

import msgspec

from tenure.event import Event, Identify

KINDS = ("customer_id", "uid", "billing_id", "email", "anonymous_id")
"""Kinds of customer identifier that senders give, strongest first: an event is kept under the first that it carries."""
CHURN_EVENT_ID = "churn_event_id"
"""Our own id of a churn event, under which the reasons that are reported for it are kept."""

STRIPE_CUSTOMER = re.compile(r"cus_[0-9A-Za-z_]+")
"""The form of a customer's id at Stripe. A customer id of this form is taken for the customer's billing id too."""

_VALUES = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9]+')
"""Texts and integers of a JSON text, be it cut off at its end."""


class Identifier(msgspec.Struct, frozen=True, order=True):
    """One identifier of a customer: `kind` (of KINDS, or CHURN_EVENT_ID) and its normal form."""

    kind: str
    value: str


def normal(kind: str, value: str) -> str:
    """The form in which two spellings of the same identifier are equal: e-mails in NFC, lower case, trimmed."""
    if kind == "email":
        return unicodedata.normalize("NFC", value.strip()).lower()
    return value


def fold(text: str) -> str:
    """The form in which texts are searched: without case, and composed."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def identifiers(item: Event | Identify) -> list[Identifier]:
    """The customer identifiers that an event or identify carries, strongest first. Never empty."""
    found = []
    if item.customer_id is not None:
        found.append(Identifier("customer_id", item.customer_id))
    if item.uid is not None:
        found.append(Identifier("uid", item.uid))
    if item.billing_id is not None:
        found.append(Identifier("billing_id", item.billing_id))
    if item.email is not None:
        found.append(Identifier("email", normal("email", item.email)))
    if item.anonymous_id is not None:
        found.append(Identifier("anonymous_id", item.anonymous_id))
    if isinstance(item, Event) and item.churn_event_id is not None:
        found.append(Identifier(CHURN_EVENT_ID, item.churn_event_id))
    return found


def customer_key(app: str, item: Event | Identify) -> bytes:
    """The key that an event or identify is kept under: that of its strongest identifier (16 bytes)."""
    if item.customer_id is not None:
        return _identity_key(app, "customer_id", item.customer_id)
    if item.uid is not None:
        return _identity_key(app, "uid", item.uid)
    return identity_key(app, identifiers(item)[0])


def identity_key(app: str, identifier: Identifier) -> bytes:
    """16 bytes that stand for one identifier in one app."""
    return _identity_key(app, identifier.kind, identifier.value)


def keys_in(app: str, payload: str) -> Iterator[bytes]:
    """The identity keys of everything in a JSON text that could be an identifier."""
    for found in _VALUES.finditer(payload):
        value = found[0]
        if value.startswith('"'):
            try:
                value = msgspec.json.decode(value, type=str)
            except msgspec.DecodeError:
                continue
        for kind in KINDS:
            yield identity_key(app, Identifier(kind, normal(kind, value)))


@lru_cache(maxsize=50_000)
def _identity_key(app: str, kind: str, value: str) -> bytes:
    return _digest(b"identity", (app, kind, value), 16)


def content_hash(app: str, dialect: str, event: Event) -> bytes:
    """8 bytes that differ when two events differ in anything that the client said, save the message id."""
    return _digest(b"content", _content(app, dialect, event), 8)


def event_ids(
    app: str, dialect: str, events: Iterable[Event], receipt: str, idempotency_key: str | None = None
) -> list[bytes]:
    """The ids (16 bytes) of the events of one request, in their order.

    With a message id: from (app, message id). With an Idempotency-Key: from (app, dialect, key, index). With a time
    of its own: from its content and its ordinal among identical events of the request. Otherwise from the
    receipt, since two equal events may both be real.
    """
    return _ids(b"event", events, app=app, dialect=dialect, receipt=receipt, idempotency_key=idempotency_key)


def element_ids(
    app: str, dialect: str, identifies: Iterable[Identify], receipt: str, idempotency_key: str | None = None
) -> list[bytes]:
    """The ids (16 bytes) of the identifies of one request, by the rules of `event_ids`."""
    return _ids(b"element", identifies, app=app, dialect=dialect, receipt=receipt, idempotency_key=idempotency_key)


def _ids(
    purpose: bytes,
    items: Iterable[Event | Identify],
    *,
    app: str,
    dialect: str,
    receipt: str,
    idempotency_key: str | None,
) -> list[bytes]:
    seen: dict[bytes, int] = {}
    ids = []
    for item in items:
        if item.message_id is not None:
            parts: tuple[str | None, ...] = ("message", app, item.message_id)
        elif idempotency_key is not None:
            parts = ("request", app, dialect, idempotency_key, str(item.index))
        elif item.precise:
            said = _content(app, dialect, item) if isinstance(item, Event) else _said(app, dialect, item)
            content = _digest(b"content", said, 16)
            ordinal = seen[content] = seen.get(content, -1) + 1
            parts = ("content", app, content.hex(), str(ordinal))
        else:
            parts = ("receipt", app, receipt, str(item.index))
        ids.append(_digest(purpose, parts, 16))
    return ids


def _content(app: str, dialect: str, event: Event) -> tuple[str | None, ...]:
    said = (
        app,
        dialect,
        event.name,
        None if event.occurred_at is None else str(event.occurred_at),
        event.customer_id,
        event.uid,
        event.email,
        event.anonymous_id,
        event.user_id,
        event.properties,
        event.context,
    )
    return said if event.billing_id is None else (*said, event.billing_id)


def _said(app: str, dialect: str, identify: Identify) -> tuple[str | None, ...]:
    changes = (msgspec.json.encode(part).decode() for part in (identify.changes, identify.user_changes))
    said = (
        app,
        dialect,
        str(identify.set_at),
        identify.customer_id,
        identify.uid,
        identify.email,
        identify.anonymous_id,
        identify.user_id,
        identify.traits,
        identify.user_traits,
        identify.channels,
        identify.users,
        *changes,
    )
    return said if identify.billing_id is None else (*said, identify.billing_id)


def _digest(purpose: bytes, parts: tuple[str | None, ...], size: int) -> bytes:
    return blake2b(_encode(parts), digest_size=size, person=purpose).digest()


_encode = msgspec.msgpack.Encoder().encode
