"""The one form that everything a client sends is decoded into.

A dialect turns a request's body into `Decoded`: events, identifies and refusals, each with the index it
had in the request. Nothing here knows about HTTP, an app, or where it will be stored.

All structs are positional when encoded (`array_like`): add fields at the end only, with a default, so
that a journal written by an older version can still be read.
"""

from __future__ import annotations

import msgspec

from tenure.errors import Refused


class Event(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Something that a customer did. At least one of the customer's identifiers is set.

    `properties` and `context` are canonical JSON object texts: keys sorted, no spaces, no NaN, no lone
    surrogates, so that equal content is equal text.
    """

    index: int
    """Position in the request, from 0."""
    name: str
    occurred_at: int | None = None
    """Milliseconds since 1970 UTC; None when the client gave no time (the time of receipt counts)."""
    precise: bool = False
    """The client gave a time of at least second precision (not a bare date, not none)."""
    message_id: str | None = None
    """The client's own id of the event, equal in every retry."""
    customer_id: str | None = None
    """The id that the sender tracks the customer by, or the vendor's word for the account."""
    uid: str | None = None
    """The customer's id in the sender's own database."""
    email: str | None = None
    anonymous_id: str | None = None
    user_id: str | None = None
    """A person within the customer (B2B): Churnkey's `user.uid`, Customerscore's `contact`."""
    properties: str = "{}"
    context: str = "{}"
    churn_event_id: str | None = None
    """The churn event that this one adds to, known only by its id: it then stands for the customer."""
    signed: bool = False
    """The sender proved, by a signature with the app's secret, that it speaks for this customer."""
    billing_id: str | None = None
    """The customer's id at a billing provider, where that is not the id that the sender goes by (Stripe's `cus_…`)."""


class Changes(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What to do with attributes beside setting them. A name stands in one of these, or in the traits, only."""

    set_once: str = "{}"
    """Canonical JSON object: each value counts unless there is one at its time."""
    increment: str = "{}"
    """Canonical JSON object of numbers, each of which is added to what there is (to 0 where there is nothing)."""
    unset: tuple[str, ...] = ()
    """Names of attributes that have no value from then on."""


class Identify(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Attributes that the client asserts of a customer, and of a user of that customer.

    The JSON texts are canonical as in `Event`. `users` is None unless the client replaces the whole list.
    """

    index: int
    set_at: int | None = None
    """Milliseconds since 1970 UTC; None: the time of receipt."""
    customer_id: str | None = None
    uid: str | None = None
    email: str | None = None
    anonymous_id: str | None = None
    user_id: str | None = None
    traits: str = "{}"
    """Attributes of the customer."""
    user_traits: str = "{}"
    """Attributes of the user `user_id`."""
    channels: str = "[]"
    """Ways to reach the customer: a list of {channel, address, …}."""
    users: str | None = None
    """A list of {userId, data} that replaces the customer's list of users."""
    signed: bool = False
    """As in `Event`."""
    precise: bool = False
    """As in `Event`, of `set_at`."""
    message_id: str | None = None
    """As in `Event`."""
    changes: Changes | None = None
    """More to do with the customer's attributes than to set them."""
    user_changes: Changes | None = None
    """The same for the user `user_id`."""
    billing_id: str | None = None
    """As in `Event`."""
    sequence: int | None = None
    """The sender's own count, where it has one: of two of one time the one with the larger is later."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One element of a request that cannot be used, or (index None) a request refused as a whole."""

    index: int | None
    code: str
    """A stable reason, such as `missing_field`: counted and listed under this name."""
    message: str
    field: str | None = None
    reported: bool = False
    """True when the response told the client so (rejected), False when the dialect accepts it (quarantined)."""
    payload: str = ""
    """The element as canonical JSON text, cut to `MAX_REFUSED_PAYLOAD` characters; `MAX_QUARANTINED_PAYLOAD` of one
    that nobody else has any more, and that may be repaired."""


MAX_REFUSED_PAYLOAD = 16_384
MAX_QUARANTINED_PAYLOAD = 262_144


def whole_request(refused: Refused) -> Refusal:
    """The record of a request that was refused as a whole."""
    return Refusal(index=refused.index, code=refused.code, message=refused.message, field=refused.field, reported=True)


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A signature that came with an element, not checked yet."""

    index: int
    subjects: tuple[str, ...]
    """What it proves the customer by, when one of these was signed: exactly as sent."""
    auth_hash: str
    """HMAC-SHA256 of the subject, keyed with a secret key of the app, in hex."""
    others: tuple[str, ...] = ()
    """What may have been signed too: it is right then, and proves nothing of the customer."""
    is_required: bool = True
    """Whether the element is refused when nothing of all that was signed; otherwise it is kept as unverified."""


class Decoded(msgspec.Struct, kw_only=True):
    """What a dialect made of one request."""

    events: list[Event] = []
    identifies: list[Identify] = []
    refusals: list[Refusal] = []
    tracker_key: str | None = None
    """A public key that the dialect carries in the body (Customerscore); checked against the header's."""
    claims: list[Claim] = []
    """Signatures of elements, at most one for each index."""
    churn_event_id: str | None = None
    """The churn event that the request is about; checked against the app."""
    modes: dict[int, str] = {}
    """By index: the mode (`tenure.mode`) of each element that is not live."""
