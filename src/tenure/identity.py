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
from typing import NamedTuple

import msgspec

from tenure import mail_address
from tenure.entry import Entry
from tenure.event import Event, Identify
from tenure.placeholder import is_placeholder

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
    """The form in which two spellings of the same identifier are equal: of an e-mail address that of `mail_address`;
    any other identifier is exactly as it was sent."""
    return mail_address.normal(value) if kind == "email" else value


def fold(text: str) -> str:
    """The form in which texts are searched: without case, and composed."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def identifiers(item: Event | Identify) -> list[Identifier]:
    """The customer identifiers that an event or identify has, strongest first: those that it carries, without
    placeholders. One that carries nothing else has its strongest alone. Never empty."""
    found = carried(item)
    if len(found) == 1:
        return found
    return [one for one in found if not is_placeholder(one.kind, one.value)] or found[:1]


def placeholders(item: Event | Identify) -> list[Identifier]:
    """The identifiers that an event or identify carries and that stand for nobody."""
    return [one for one in carried(item) if is_placeholder(one.kind, one.value)]


def carried(item: Event | Identify) -> list[Identifier]:
    """All that an event or identify carries in the place of a customer's identifier, strongest first. Never empty."""
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
    if item.customer_id is not None and not is_placeholder("customer_id", item.customer_id):
        return _identity_key(app, "customer_id", item.customer_id)
    if item.customer_id is None and item.uid is not None and not is_placeholder("uid", item.uid):
        return _identity_key(app, "uid", item.uid)
    return identity_key(app, identifiers(item)[0])


def identity_key(app: str, identifier: Identifier) -> bytes:
    """16 bytes that stand for one identifier in one app."""
    return _identity_key(app, identifier.kind, identifier.value)


def keys_in(app: str, payload: str) -> Iterator[bytes]:
    """The identity keys of everything in a JSON text that could be an identifier of somebody."""
    for found in _VALUES.finditer(payload):
        value = found[0]
        if value.startswith('"'):
            try:
                value = msgspec.json.decode(value, type=str)
            except msgspec.DecodeError:
                continue
        for kind in KINDS:
            if not is_placeholder(kind, value):
                yield identity_key(app, Identifier(kind, normal(kind, value)))


@lru_cache(maxsize=50_000)
def _identity_key(app: str, kind: str, value: str) -> bytes:
    return _digest(b"identity", (app, kind, value), 16)


_TAKEN_AT = '{"taken_at":'


def content_hash(app: str, dialect: str, event: Event) -> bytes:
    """8 bytes that differ when two events differ in anything that the client said, save the message id."""
    if event.context.startswith(_TAKEN_AT):  # when an object was read from an API is not part of what it says
        event = msgspec.structs.replace(event, context="{}")
    return _digest(b"content", _content(app, dialect, event), 8)


FAMILIES = {"import": "native"}
"""Dialects whose message ids are those of another one; every other dialect has its own."""


class Sender(NamedTuple):
    """By whose word an event is what it is: copies of different senders never share an id."""

    family: str
    """Dialects that share message ids; empty: nobody knows any more."""
    verified: bool | None
    """None: nobody knows any more."""

    def may_be(self, family: str, verified: bool) -> bool:
        """Whether it is this one, as far as is known."""
        return self.family in ("", family) and self.verified in (None, verified)


def family(dialect: str) -> str:
    """Which dialects share message ids with this one, by the name of one of them."""
    return FAMILIES.get(dialect, dialect)


class Names(NamedTuple):
    """The ids (16 bytes) that an element can have. Which one it has depends on the trust, and on what older releases
    stored, which had one id for all senders."""

    family: str
    trusted: bool
    verified: bytes
    unverified: bytes
    old: bytes
    """As older releases computed it."""
    keeps_old: bool
    """Whether verified copies have the old one still."""

    @property
    def own(self) -> bytes:
        """The id, where nothing of older releases is in the way."""
        return self.of(self.trusted, None)

    @property
    def usual(self) -> tuple[bytes, ...]:
        """Those that it and a copy of the other trust have, save the one for where the old id is another's."""
        return (self.old, self.unverified) if self.keeps_old else (self.old, self.unverified, self.verified)

    def of(self, trusted: bool, owner: Sender | None) -> bytes:
        """The id of a copy with or without trust, where `owner` is whose the old one is; None: nobody's."""
        if owner is None:
            return self.old if trusted and self.keeps_old else self._new(trusted)
        return self.old if owner.may_be(self.family, trusted) else self._new(trusted)

    def _new(self, trusted: bool) -> bytes:
        return self.verified if trusted else self.unverified


def event_ids(entry: Entry) -> list[bytes]:
    """The ids of the events of one request, in their order, where nothing of older releases is in the way."""
    return [names.own for names in event_names(entry)]


def element_ids(entry: Entry) -> list[bytes]:
    """The ids of the identifies of one request, by the same rules."""
    return [names.own for names in element_names(entry)]


def event_names(entry: Entry) -> list[Names]:
    """The ids that the events of one request can have, in their order.

    With a message id: from (app, trust, family, message id). With an Idempotency-Key: from (app, trust, dialect, the
    API key, the Idempotency-Key, index). With a time of its own: from trust, content and ordinal among identical events
    of the request. Otherwise from the receipt, since two equal events may both be real.
    """
    return _names(b"event", entry, entry.events)


def element_names(entry: Entry) -> list[Names]:
    """The same of the identifies of one request."""
    return _names(b"element", entry, entry.identifies)


def ids_of_message(app: str, dialects: Iterable[str], message_id: str) -> list[bytes]:
    """Every id that an element with this message id can have, whoever sent it."""
    found: dict[bytes, None] = {}
    for purpose in (b"event", b"element"):
        for of in {family(dialect) for dialect in dialects}:
            names = message_names(purpose, app, of, trusted=True, message_id=message_id)
            found |= dict.fromkeys((names.old, names.verified, names.unverified))
    return list(found)


def _names(purpose: bytes, entry: Entry, items: Iterable[Event | Identify]) -> list[Names]:
    app, dialect, key = entry.app, entry.dialect, entry.idempotency_key
    of = family(dialect)
    seen: dict[bytes, int] = {}
    found = []
    for item in items:
        trusted = entry.verified or item.signed
        if item.message_id is not None:
            names = message_names(purpose, app, of, trusted=trusted, message_id=item.message_id)
        elif key is not None:
            old = _digest(purpose, ("request", app, dialect, key, str(item.index)), 16)
            new = _by_trust(purpose, "request", app, (dialect, entry.key, key, str(item.index)))
            names = Names(of, trusted, *new, old, keeps_old=False)
        elif item.precise:
            content = _digest(b"content", _whole(app, dialect, item), 16)
            ordinal = seen[content] = seen.get(content, -1) + 1
            old = _digest(purpose, ("content", app, content.hex(), str(ordinal)), 16)
            new = _by_trust(purpose, "content", app, (content.hex(), str(ordinal)))
            names = Names(of, trusted, *new, old, keeps_old=True)
        else:
            own = _digest(purpose, ("receipt", app, entry.receipt, str(item.index)), 16)
            names = Names(of, trusted, own, own, own, keeps_old=True)
        found.append(names)
    return found


def message_names(purpose: bytes, app: str, of: str, *, trusted: bool, message_id: str) -> Names:
    """The ids that an element with a message id can have; `of` is the family of its dialect."""
    old = _digest(purpose, ("message", app, message_id), 16)
    new = _by_trust(purpose, "message", app, (of, message_id))
    return Names(of, trusted, *new, old, keeps_old=of == "native")


def _by_trust(purpose: bytes, how: str, app: str, said: tuple[str, ...]) -> tuple[bytes, bytes]:
    """The new ids of a verified copy and of one that is not."""
    verified, unverified = (_digest(purpose, (how, app, trust, *said), 16) for trust in ("verified", "unverified"))
    return verified, unverified


def _whole(app: str, dialect: str, item: Event | Identify) -> tuple[str | None, ...]:
    return _content(app, dialect, item) if isinstance(item, Event) else _said(app, dialect, item)


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
    if identify.sequence is not None:
        return *said, identify.billing_id, str(identify.sequence)
    return said if identify.billing_id is None else (*said, identify.billing_id)


def _digest(purpose: bytes, parts: tuple[str | None, ...], size: int) -> bytes:
    return blake2b(_encode(parts), digest_size=size, person=purpose).digest()


_encode = msgspec.msgpack.Encoder().encode
