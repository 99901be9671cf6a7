"""What a vendor's client is asked to send: one element in the wire form of its dialect, and where it goes.

Times are milliseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

import msgspec

from tenure.demo.account import Account, User
from tenure.wire.times import rfc3339

_encode = msgspec.json.Encoder().encode

TRACKER_KEY = "CS-DEMO"


class Channel(NamedTuple):
    """A path, and how a client packs elements into a request for it."""

    path: str
    limit: int = 1
    wait_ms: int = 0
    """How long the first element of a batch waits for others."""
    before: bytes = b""
    after: bytes = b""
    retried: bool = True
    """Whether a client may send a request twice: each element carries its own time or message id."""


CHURNKEY_EVENT = Channel("/v1/api/events/new")
CHURNKEY_BULK = Channel("/v1/api/events/bulk", 100, 1_800_000, b"[", b"]")
CHURNKEY_UPDATE = Channel("/v1/api/events/customer-update")
CHURNKEY_USERS = Channel("/v1/api/events/customer-update/set-users")
WINDBACK_EVENT = Channel("/api/v1/track")
WINDBACK_BATCH = Channel("/api/v1/track", 100, 1_800_000, b'{"events":[', b"]}")
WINDBACK_CANCEL_FLOW = Channel("/api/v1/cancel-flow/submit", retried=False)
CUSTOMERSCORE = Channel(
    "/api/tracker/track", 100, 3_000_000, b'{"trackerKey":"%s","events":[' % TRACKER_KEY.encode(), b"]}"
)
WHISPERR_EVENT = Channel("/v1/events/track")
WHISPERR_BATCH = Channel("/v1/events/batch", 500, 10_000, b'{"events":[', b"]}")
WHISPERR_IDENTIFY = Channel("/v1/identify")
STRIPE = Channel("/v1/billing/stripe/demo")


class Call(NamedTuple):
    """One element to send, as JSON, and when it happened."""

    at: int
    channel: Channel
    element: bytes


def churnkey(at: int, account: Account, name: str, user: User, data: Mapping[str, Any]) -> Call:
    """An event of a user, sent in bulk."""
    body = {
        "event": name,
        "customerId": account.customer_id,
        "eventDate": rfc3339(at),
        "eventData": data,
        "user": {"uid": user.id},
    }
    return Call(at, CHURNKEY_BULK, _encode(body))


def churnkey_account(at: int, account: Account, name: str, user: User, customer_data: Mapping[str, Any]) -> Call:
    """An event that brings attributes, and both ids of the customer."""
    body = {
        "event": name,
        "customerId": account.customer_id,
        "uid": account.uid,
        "eventDate": rfc3339(at),
        "customerData": customer_data,
        "user": {"uid": user.id, "data": {"name": user.name, "email": user.email}},
    }
    return Call(at, CHURNKEY_EVENT, _encode(body))


def churnkey_update(at: int, account: Account, customer_data: Mapping[str, Any]) -> Call:
    """Attributes of a customer."""
    return Call(at, CHURNKEY_UPDATE, _encode({"customerId": account.customer_id, "customerData": customer_data}))


def churnkey_users(at: int, account: Account) -> Call:
    """The list of a customer's users, as far as they have joined."""
    users = [{"userId": user.id, "data": {"name": user.name, "email": user.email}}
             for user in account.users if user.joined_at <= at]  # fmt: skip
    return Call(at, CHURNKEY_USERS, _encode({"customerId": account.customer_id, "users": users}))


def windback(at: int, account: Account, name: str, properties: Mapping[str, Any]) -> Call:
    """An event of a customer known by e-mail, sent in a batch."""
    body = {"event": name, "customer_email": account.email, "properties": properties, "timestamp": rfc3339(at)}
    return Call(at, WINDBACK_BATCH, _encode(body))


def windback_single(at: int, account: Account, name: str, properties: Mapping[str, Any]) -> Call:
    """An event that a newer client sends alone, with e-mail, customer id and name: it links the two."""
    body = {
        "event": name,
        "customer_email": account.email,
        "customer_id": account.customer_id,
        "customer_name": account.company,
        "properties": properties,
        "occurred_at": rfc3339(at),
    }
    return Call(at, WINDBACK_EVENT, _encode(body))


def windback_cancel_flow(at: int, account: Account, mrr: int, reason: str, comment: str) -> Call:
    """A cancel flow that a customer went through; `mrr` is in cents."""
    body = {
        "customer_email": account.email,
        "provider_customer_id": account.customer_id,
        "provider": "paddle",
        "mrr": mrr,
        "currency": "USD",
        "cancel_reason": reason,
        "cancel_reason_text": comment,
    }
    return Call(at, WINDBACK_CANCEL_FLOW, _encode(body))


def customerscore(at: int, account: Account, name: str, user: User) -> Call:
    """An event of a contact, with attributes of the contact."""
    body = {
        "name": name,
        "timestamp": at,
        "identification": {"customer": account.customer_id, "contact": user.id},
        "data": {"contact": {"email": user.email, "contact_name": user.name}},
    }
    return Call(at, CUSTOMERSCORE, _encode(body))


def whisperr(rng: Random, at: int, account: Account, name: str, properties: Mapping[str, Any]) -> Call:
    """An event that the product's server sends alone."""
    return Call(at, WHISPERR_EVENT, _encode(_whisperr(rng, at, {"external_user_id": account.uid}, name, properties)))


def whisperr_page(rng: Random, at: int, who: Mapping[str, str], path: str) -> Call:
    """A page seen in a browser. `who` is an `external_user_id` or an `anonymous_id`."""
    return Call(at, WHISPERR_BATCH, _encode(_whisperr(rng, at, who, "page_viewed", {"path": path})))


def whisperr_identify(at: int, account: Account, anonymous_id: str) -> Call:
    """The visitor turns out to be this customer."""
    owner = account.users[0]
    body = {
        "external_user_id": account.uid,
        "anonymous_id": anonymous_id,
        "traits": {"company": account.company, "name": owner.name, "country": account.country},
        "channels": [{"channel": "email", "address": owner.email, "opted_in": True, "verified": True}],
    }
    return Call(at, WHISPERR_IDENTIFY, _encode(body))


def stripe(rng: Random, at: int, kind: str, about: Mapping[str, Any]) -> Call:
    """A webhook of Stripe's about one of its objects. It is of a customer by the id that Churnkey knows."""
    body = {
        "id": f"evt_{rng.getrandbits(96):024x}",
        "object": "event",
        "api_version": "2024-06-20",
        "created": at // 1_000,
        "livemode": True,
        "type": kind,
        "data": {"object": about},
    }
    return Call(at, STRIPE, _encode(body))


def _whisperr(rng: Random, at: int, who: Mapping[str, str], name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **who,
        "event_type": name,
        "occurred_at": rfc3339(at),
        "properties": properties,
        "context": {"$message_id": f"{rng.getrandbits(128):032x}"},
    }
