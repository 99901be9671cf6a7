"""What the ingest routes take and answer, as OpenAPI says it: schemas, and an example that works as it stands.

A test sends every example to a real server and holds the answer against the one given here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tenure.identity import KINDS
from tenure.mode import MODES
from tenure.subscriptions import statement
from tenure.subscriptions.fact import MAX_COUNT, STATUSES
from tenure.wire import churnkey, customerscore, fields, native, stripe, subscriptions, whisperr, windback

Schema = dict[str, Any]


class Route(NamedTuple):
    """One ingest route: a sentence, the schema of its body, an example of it, and the answer to that."""

    summary: str
    schema: Schema
    example: Any
    answer: Schema


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object with no other fields."""
    return _object(required, **properties) | {"additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


def _array(items: Schema, most: int) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def _either(schema: Schema, *names: str) -> Schema:
    """One of the fields must be there."""
    return schema | {"anyOf": [{"required": [name]} for name in names]}


ANY: Final[Schema] = {"type": "object", "additionalProperties": True}
NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": fields.NAME_LIMIT}
ID: Final[Schema] = {"type": ["string", "integer"], "maxLength": fields.ID_LIMIT}
EMAIL: Final[Schema] = {"type": "string", "maxLength": fields.EMAIL_LIMIT}
TEXT: Final[Schema] = {"type": "string"}
TIME: Final[Schema] = {
    "type": ["string", "number"],
    "description": "ISO 8601 text, or seconds or milliseconds since 1970; by default the time of receipt",
}

_USER = _object(("uid",), uid=ID, data=ANY)
_CHURNKEY_EVENT = _either(
    _object(("event",), event=NAME, customerId=ID, uid=ID, eventDate=TIME, eventData=ANY, customerData=ANY, user=_USER),
    "customerId",
    "uid",
)
_CHURNKEY_USERS = _either(
    _object(
        ("users",), customerId=ID, uid=ID, users={"type": "array", "items": _object(("userId",), userId=ID, data=ANY)}
    ),
    "customerId",
    "uid",
)
_WINDBACK_EVENT = _either(
    _object(("event",), event=NAME, customer_email=EMAIL, customer_id=ID, customer_name=TEXT, properties=ANY,
            timestamp=TIME, occurred_at=TIME),
    "customer_email", "customer_id",
)  # fmt: skip
_CHURN = _object(
    ("customer_email", "provider", "mrr"),
    customer_email=EMAIL, provider=TEXT, mrr={"type": "integer", "minimum": 0}, currency=TEXT, customer_name=TEXT,
    provider_customer_id=ID, provider_subscription_id=TEXT, plan_name=TEXT,
    tenure_days={"type": "integer", "minimum": 0}, last_active_at=TIME, cancel_reason=TEXT, cancel_reason_text=TEXT,
    notes=TEXT,
)  # fmt: skip
_CUSTOMERSCORE_EVENT = _object(
    ("name", "timestamp", "identification"),
    name=NAME,
    timestamp=TIME,
    identification=_object(("customer",), customer=ID, contact=ID),
    data=_object(customer=ANY, contact=ANY),
)
_WHISPERR_EVENT = _either(
    _object(
        ("event_type", "context"),
        external_user_id=ID,
        anonymous_id=ID,
        event_type={"type": "string", "pattern": "^[a-z0-9]+(?:_[a-z0-9]+)*$"},
        occurred_at={"type": "string", "description": "RFC 3339, from 30 days ago to 5 minutes ahead"},
        properties=ANY,
        context=_object(("$message_id",), **{"$message_id": ID}),
    ),
    "external_user_id",
    "anonymous_id",
)
_CHANNEL = _object(("channel", "address"), channel=TEXT, address=TEXT)
_ATTRIBUTES: Final[Schema] = {
    "traits": ANY,
    "set_once": ANY,
    "increment": {"type": "object", "additionalProperties": {"type": "number"}},
    "unset": {"type": "array", "items": TEXT},
}
_SEQUENCE: Final = {"type": "integer", "minimum": 0, "maximum": native.MAX_SEQUENCE}
_MODE: Final = {"enum": list(MODES), "description": "what is not live is kept apart; live by default"}
_NATIVE_EVENT = _either(
    _object(
        event=NAME, message_id=ID, occurred_at=TIME, customer_id=ID, uid=ID, billing_id=ID, email=EMAIL,
        anonymous_id=ID, user=_object(("id",), id=ID, **_ATTRIBUTES), **_ATTRIBUTES, properties=ANY, context=ANY,
        auth_hash=TEXT, sequence=_SEQUENCE, mode=_MODE,
    ) | {"additionalProperties": False},
    *KINDS,
)  # fmt: skip

_STRIPE_OBJECT: Final = _object(
    ("id", "object"), id=TEXT, object={"type": "string", "not": {"const": "list"}}, type=NAME, created=TIME,
    data=_object(object=ANY, previous_attributes=ANY),
)  # fmt: skip


_AMOUNT: Final[Schema] = {"type": "integer", "description": "in the currency's smallest unit"}
_DATE: Final[Schema] = {"type": ["string", "number"], "description": "ISO 8601, or seconds or milliseconds since 1970"}
_PERCENT: Final[Schema] = {"type": ["number", "string"], "minimum": 0, "maximum": 100}
_ITEM = _closed(
    ("amount",),
    id=ID, plan=ID, amount=_AMOUNT | {"description": "of the whole quantity each interval, in the smallest unit"},
    quantity={"type": "integer", "minimum": 0}, interval={"enum": list(statement.INTERVALS)},
    interval_count={"type": "integer", "minimum": 1, "maximum": MAX_COUNT}, kind={"enum": list(statement.KINDS)},
    tax_percent=_PERCENT | {"description": "of the tax that the amount includes"},
    tax_inclusive={"type": "boolean", "description": "whether the amount includes the tax; true if absent"},
)  # fmt: skip
_DISCOUNT = _closed(
    percent=_PERCENT, amount=_AMOUNT | {"minimum": 0}, item=ID,
    starts_at=_DATE, ends_at=_DATE, once={"type": "boolean"},
)  # fmt: skip
_STATEMENT = _either(
    _closed(
        ("subscription",),
        customer_id=ID, uid=ID, billing_id=ID, email=EMAIL, anonymous_id=ID, subscription=ID, source=NAME,
        message_id=ID, effective_at=TIME, sequence=_SEQUENCE, mode=_MODE, status={"enum": list(STATUSES)},
        currency={"type": "string", "pattern": "^[A-Za-z]{3}$"},
        items={"type": "array", "items": _ITEM, "maxItems": statement.MAX_LINES},
        discounts={"type": "array", "items": _DISCOUNT, "maxItems": statement.MAX_LINES},
        pause=_or_null(_closed(("starts_at",), starts_at=_DATE, ends_at=_DATE)),
        cause=_or_null({"enum": list(statement.CAUSES)}), reason=_or_null(TEXT | {"maxLength": fields.ID_LIMIT}),
        **{name: _or_null(_DATE) for name in statement.TIMES},
    ),
    *KINDS,
)  # fmt: skip

_FLOW: Final = {
    "customer_email": "jane@example.com",
    "provider": "stripe",
    "mrr": 4900,
    "currency": "USD",
    "cancel_reason": "too_expensive",
    "plan_name": "Pro",
    "tenure_days": 210,
}
_SUCCESS: Final[Schema] = {"status": "success"}
ANYTHING: Final = "…"
"""In an answer: a text that differs from time to time."""

ROUTES: Final[dict[str, Route]] = {
    "/v1/api/events/new": Route(
        "One event, with attributes of its customer and user",
        _CHURNKEY_EVENT,
        {"event": "Post Created", "customerId": "cus_abc", "uid": "user_xyz", "eventData": {"postType": "image"}},
        _SUCCESS | {"verified": True},
    ),
    "/v1/api/events/bulk": Route(
        "Up to 100 events",
        _array(_CHURNKEY_EVENT, churnkey.MAX_ELEMENTS),
        [{"event": "Post Created", "customerId": "cus_abc", "eventDate": "2026-06-14T12:00:00Z"}],
        _SUCCESS | {"event_count": 1, "verified": True},
    ),
    "/v1/api/events/customer-update": Route(
        "Attributes of a customer, and of one of its users",
        _either(_object(customerId=ID, uid=ID, customerData=ANY, user=_USER), "customerId", "uid"),
        {"customerId": "cus_abc", "customerData": {"numSeats": 7}, "user": {"uid": "u1", "data": {"name": "Jo"}}},
        _SUCCESS,
    ),
    "/v1/api/events/customer-update/set-users": Route(
        "The list of a customer's users, which replaces the one before",
        _CHURNKEY_USERS,
        {"customerId": "cus_abc", "users": [{"userId": "u1", "data": {"name": "Jo"}}]},
        _SUCCESS,
    ),
    "/v1/api/events/customer-update/set-users/bulk": Route(
        "The same for up to 100 customers",
        _array(_CHURNKEY_USERS, churnkey.MAX_ELEMENTS),
        [{"customerId": "cus_abc", "users": [{"userId": "u1"}]}],
        _SUCCESS,
    ),
    "/v1/api/events/browser": Route(
        "One event from a browser, as `churnkey.js` sends it",
        _either(
            _object(
                ("event",),
                event=NAME,
                customerId=ID,
                customerEmail=EMAIL,
                authHash=TEXT,
                eventData=ANY,
                eventDate=TIME,
                messageId=ID,
            ),
            "customerId",
            "customerEmail",
        ),
        {"event": "Post Created", "customerId": "cus_abc", "eventData": {"postType": "image"}},
        _SUCCESS | {"verified": False},
    ),
    "/api/v1/track": Route(
        "One event, or up to 100 in `events`",
        {"oneOf": [_WINDBACK_EVENT, _object(("events",), events=_array(_WINDBACK_EVENT, windback.MAX_EVENTS))]},
        {"event": "feature_used", "customer_email": "jane@example.com", "properties": {"feature": "exports"}},
        {"status": "ok"},
    ),
    "/api/v1/cancel-flow/submit": Route(
        "A cancel flow that a customer went through",
        _CHURN | {"required": ["customer_email", "provider", "mrr", "cancel_reason"]},
        _FLOW,
        {"churn_event_id": ANYTHING, "status": "recorded", "message": ANYTHING},
    ),
    "/api/v1/projects/{slug}/churn-events": Route(
        "A cancellation",
        _CHURN,
        _FLOW,
        _FLOW
        | {"id": ANYTHING, "status": "recorded", "created_at": ANYTHING, "updated_at": ANYTHING, "verified": True},
    ),
    "/api/v1/projects/{slug}/churn-events/{churn_event_id}/cancel-reason": Route(
        "The reason of a cancellation that was recorded before",
        _object(("cancel_reason",), cancel_reason=TEXT, cancel_reason_text=TEXT),
        {"cancel_reason": "missing_features", "cancel_reason_text": "There is no export."},
        {"id": ANYTHING, "status": "recorded"},
    ),
    "/api/tracker/track": Route(
        "Up to 100 events, with attributes of their customers and contacts",
        _object(
            ("trackerKey", "events"),
            trackerKey=TEXT,
            events=_array(_CUSTOMERSCORE_EVENT, customerscore.MAX_EVENTS),
        ),
        {
            "trackerKey": "CS-ABCD1",
            "events": [
                {
                    "name": "my-event-name",
                    "timestamp": 1712123456789,
                    "identification": {"customer": "cus_456", "contact": "con_123"},
                    "data": {"customer": {"my-value": "184"}, "contact": {"email": "thomas@example.com"}},
                }
            ],
        },
        {"status": "ok", "received": 1},
    ),
    "/v1/events/batch": Route(
        "Up to 500 events",
        _object(("events",), events=_array(_WHISPERR_EVENT, whisperr.MAX_EVENTS)) | {"additionalProperties": False},
        {
            "events": [
                {
                    "external_user_id": "user_8842",
                    "event_type": "payment_failed",
                    "context": {"$message_id": "f7a1c2e0-4b3d-4f6a-9c1e-8d2b5a7e3f10"},
                },
            ]
        },
        {"accepted": 1, "rejected": 0},
    ),
    "/v1/events/track": Route(
        "One event",
        _WHISPERR_EVENT,
        {"anonymous_id": "a-1", "event_type": "page_viewed", "context": {"$message_id": "5c81d0aa"}},
        {"event": {"mapping_status": "pending"}, "processing": "queued"},
    ),
    "/v1/identify": Route(
        "What is known of a user",
        _object(
            ("external_user_id",),
            external_user_id=ID,
            anonymous_id=ID,
            traits=ANY,
            preferred_channel=TEXT,
            channels={"type": "array", "items": _CHANNEL},
        ),
        {"external_user_id": "user_8842", "anonymous_id": "a-1", "traits": {"plan": "pro"}},
        {"processing": "queued"},
    ),
    "/v1/billing/stripe/{app}": Route(
        "An event of Stripe's, or a list of up to 1,000 events and objects",
        {
            "oneOf": [
                _STRIPE_OBJECT,
                _object(("data",), object={"const": "list"}, data=_array(_STRIPE_OBJECT, stripe.MAX_ELEMENTS)),
            ]
        },
        {
            "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",
            "object": "event",
            "type": "customer.updated",
            "created": 1781438400,
            "data": {"object": {"id": "cus_NffrFeUfNV2Hib", "object": "customer", "email": "jane@example.com"}},
        },
        {"received": 1},
    ),
    "/v1/ingest": Route(
        "Up to 1,000 events and attributes, with an answer for each",
        _object(("events",), events=_array(_NATIVE_EVENT, native.MAX_EVENTS)) | {"additionalProperties": False},
        {
            "events": [
                {"event": "Report Exported", "message_id": "m-1", "uid": "user_8842", "properties": {"format": "pdf"}},
                {"event": "Report Exported", "message_id": "m-1", "uid": "user_8842", "properties": {"format": "pdf"}},
                {"uid": "user_8842", "traits": {"plan": "pro"}, "user": {"id": "u1", "traits": {"role": "admin"}}},
                {
                    "uid": "user_8842",
                    "message_id": "m-2",
                    "set_once": {"source": "ad"},
                    "increment": {"exports": 1},
                    "unset": ["trial_ends"],
                },
            ]
        },
        {
            "receipt": ANYTHING,
            "results": [
                {"index": 0, "status": "stored_pending", "event_id": ANYTHING},
                {"index": 1, "status": "duplicate", "event_id": ANYTHING},
                {"index": 2, "status": "stored_pending"},
                {"index": 3, "status": "stored_pending"},
            ],
        },
    ),
    "/v1/subscriptions": Route(
        "Up to 1,000 statements about subscriptions, with an answer for each",
        _closed(("subscriptions",), subscriptions=_array(_STATEMENT, subscriptions.MAX_STATEMENTS)),
        {
            "subscriptions": [
                {
                    "customer_id": "cus_abc",
                    "subscription": "sub_1",
                    "message_id": "sub_1-v3",
                    "effective_at": "2026-06-14T12:00:00Z",
                    "status": "active",
                    "currency": "EUR",
                    "items": [{"plan": "pro", "amount": 14700, "quantity": 3, "interval": "month"}],
                    "discounts": [{"percent": 10, "ends_at": "2026-09-01"}],
                    "started_at": "2026-01-14",
                    "period_end": "2026-07-14",
                    "cancel_at": None,
                },
                {"customer_id": "cus_abc", "subscription": "sub_0", "status": "canceled", "reason": "moved to sub_1"},
            ]
        },
        {
            "receipt": ANYTHING,
            "results": [
                {"index": 0, "status": "stored_pending", "event_id": ANYTHING},
                {"index": 1, "status": "stored_pending", "event_id": ANYTHING},
            ],
        },
    ),
}
