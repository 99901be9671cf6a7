"""Every body that a dialect takes, field by field: what must be there, what may be, and of which kind."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tenure.errors import BadRequest
from tenure.event import Decoded
from tenure.subscriptions import statement
from tenure.wire import codes, registry

NOW = 1_781_438_700_000
"""2026-06-14T12:05:00.000Z."""


class Kind(NamedTuple):
    """What a field takes."""

    blank: tuple[Any, ...]
    """Values that count as absent, beside null."""
    wrong: dict[str, tuple[Any, ...]]
    """By code: values that are refused."""
    limit: int = 0
    """The most characters; 0: no such limit."""
    longest: str = "x"
    """What the longest text is made of: its end, after as many x as fit."""
    null_clears: bool = False
    """Null says that there is none, and not nothing."""


def _id(limit: int = 1_024) -> Kind:
    return Kind(("", "  "), {codes.WRONG_TYPE: (True, 1.5, 1.0, ["a"], {"a": 1})}, limit)


def _text(limit: int) -> Kind:
    return Kind(("", " \t"), {codes.WRONG_TYPE: (7, True, ["a"], {"a": 1})}, limit)


ID, SHORT_ID = _id(), _id(128)
NAME, SNAKE_NAME, TEXT, LONG_TEXT = _text(256), _text(128), _text(1_024), _text(65_536)
EMAIL = Kind(
    ("", " "),
    {codes.WRONG_TYPE: (7, ["a@b.c"]), codes.INVALID_EMAIL: ("jane", "@b.c", "a@", "a@b@c")},
    320,
    "@example.com",
)
TIME = Kind((), {codes.INVALID_TIME: ("", "soon", "2026-02-30", True, [], {}, 10**30)})
OBJECT = Kind(([],), {codes.WRONG_TYPE: ("x", 7, True, [1])})
LIST = Kind((), {codes.WRONG_TYPE: ("x", 7, True, {"a": 1})})
VALUES = Kind(([],), {codes.WRONG_TYPE: ("x", 7, True, [1], {"a": None})})
NUMBERS = Kind(([],), {codes.WRONG_TYPE: ("x", 7, True, [1], {"a": None}, {"a": "1"}, {"a": True}, {"a": [1]})})
NAMES = Kind(([],), {codes.WRONG_TYPE: ("x", 7, True, {"a": 1}, [1], ["a", None], [["a"]])})
AMOUNT = Kind((), {codes.WRONG_TYPE: ("7", -1, 1.5, True, 2**53 + 1, [])})
NUMBER = Kind((), {codes.WRONG_TYPE: ("7", 1.5, -1, True, 2**63, [])})
MONEY = Kind((), {codes.WRONG_TYPE: ("7", 1.5, 49.0, True, 2**63, -(2**63), [])})
PERIODS = Kind((), {codes.WRONG_TYPE: ("7", 0, 10_000, 1.5, True, [])})
COUNT = Kind((), {codes.WRONG_TYPE: ("7", 0, 1001, 1.5, True, [])})
CODE = Kind(("", " "), {codes.WRONG_TYPE: (7, True, []), codes.INVALID_VALUE: ("US", "USDT", "U$D", "ÀÉÎ")})
CHOICE = Kind(("", " "), {codes.WRONG_TYPE: (7, True, []), codes.INVALID_VALUE: ("Active", "none", "cancelled")})
PERCENT = Kind((), {codes.INVALID_VALUE: ("x", -1, 101, "1e1", "100.1", True, [], 1e-13)})
FLAG = Kind((), {codes.WRONG_TYPE: ("true", 1, [])})
PAUSE = Kind((), {codes.WRONG_TYPE: ("x", 7, True, []), codes.UNKNOWN_FIELD: ({"other": 1},)}, null_clears=True)

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Form:
    """One kind of body."""

    dialect: str
    path: str
    good: Any
    """A body with every field."""
    required: dict[Path, Kind]
    optional: dict[Path, Kind]
    without: tuple[Path, ...] = ()
    """What is taken out of the good body before a required field is spoilt: another identifier would do as well."""
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.dialect} {self.path}{' (a list)' if 'events' in self.good else ''}"

    @property
    def least(self) -> Any:
        """The good body without what would take the place of a required field."""
        body = copy.deepcopy(self.good)
        for path in self.without:
            body = changed(body, path)
        return body

    def decode(self, body: Any) -> Decoded | BadRequest:
        """What was taken; or the refusal of the body, or of its only element."""
        operation = registry.find(self.path, self.headers)
        assert operation is not None
        try:
            decoded = operation.decode(json.dumps(body).encode(), NOW)
        except BadRequest as refused:
            return refused
        if decoded.refusals and not decoded.events and not decoded.identifies:
            first = decoded.refusals[0]
            return BadRequest(first.message, code=first.code, field=first.field)
        return decoded


ABSENT = object()


def changed(body: Any, path: Path, value: Any = ABSENT) -> Any:
    """A copy of the body with another value at the path, or none."""
    body = copy.deepcopy(body)
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    if value is ABSENT:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return body


def under(prefix: Path, fields: dict[Path, Kind]) -> dict[Path, Kind]:
    """The same fields further within."""
    return {prefix + path: kind for path, kind in fields.items()}


CHURNKEY_EVENT = {
    "event": "Login", "customerId": "c", "uid": "u", "eventDate": 1_781_438_400, "eventData": {"a": 1},
    "user": {"uid": "p"},
}  # fmt: skip
CHURNKEY_REQUIRED = {("event",): NAME, ("uid",): ID}
CHURNKEY_OPTIONAL = {
    ("customerId",): ID, ("eventDate",): TIME, ("eventData",): OBJECT, ("user",): OBJECT, ("user", "uid"): ID,
}  # fmt: skip
DATA = {"customerData": {"plan": "pro"}, "user": {"uid": "p", "data": {}}}
DATA_OPTIONAL = {
    ("customerData",): OBJECT, ("user",): OBJECT, ("user", "uid"): ID, ("user", "data"): OBJECT, ("customerId",): ID,
}  # fmt: skip
USERS = {"customerId": "c", "uid": "u", "users": [{"userId": "p", "data": {}}]}
USERS_REQUIRED = {("uid",): ID, ("users",): LIST, ("users", 0, "userId"): ID}
USERS_OPTIONAL = {("customerId",): ID, ("users", 0, "data"): OBJECT}
OLDER = {name: value for name, value in CHURNKEY_EVENT.items() if name != "eventDate"} | {"createdAt": "2026-06-14"}
BROWSER = {
    "event": "Login", "customerId": "c", "customerEmail": "a@b.c", "authHash": "00", "eventData": {"a": 1},
    "eventDate": 1_781_438_400, "messageId": "m",
}  # fmt: skip

WINDBACK_EVENT = {
    "event": "login", "customer_email": "a@b.c", "customer_id": "c", "customer_name": "Jane", "properties": {"a": 1},
    "timestamp": "2026-06-14T12:00:00Z",
}  # fmt: skip
WINDBACK_REQUIRED = {("event",): NAME, ("customer_email",): EMAIL}
WINDBACK_OPTIONAL = {
    ("customer_id",): ID, ("customer_name",): TEXT, ("properties",): OBJECT, ("timestamp",): TIME,
}  # fmt: skip
CHURN = {
    "customer_email": "a@b.c", "provider": "stripe", "mrr": 4900, "currency": "EUR", "customer_name": "Jane",
    "provider_customer_id": "c", "provider_subscription_id": "s", "plan_name": "Pro", "tenure_days": 3,
    "last_active_at": "2026-06-14", "cancel_reason": "other", "cancel_reason_text": "why", "notes": "n",
}  # fmt: skip
CHURN_REQUIRED = {("customer_email",): EMAIL, ("provider",): NAME, ("mrr",): AMOUNT}
CHURN_OPTIONAL = {
    ("currency",): NAME, ("customer_name",): TEXT, ("provider_customer_id",): ID, ("provider_subscription_id",): NAME,
    ("plan_name",): NAME, ("tenure_days",): AMOUNT, ("last_active_at",): TIME, ("cancel_reason_text",): LONG_TEXT,
    ("notes",): LONG_TEXT,
}  # fmt: skip

SCORED = {
    "name": "login", "timestamp": NOW, "identification": {"customer": "c", "contact": "p"},
    "data": {"customer": {"plan": "pro"}, "contact": {}},
}  # fmt: skip
SCORED_REQUIRED = {
    ("name",): NAME, ("timestamp",): TIME, ("identification",): OBJECT, ("identification", "customer"): ID,
}  # fmt: skip
SCORED_OPTIONAL = {
    ("identification", "contact"): ID, ("data",): OBJECT, ("data", "customer"): OBJECT, ("data", "contact"): OBJECT,
}  # fmt: skip

WHISPERR_EVENT = {
    "event_type": "login", "external_user_id": "u", "anonymous_id": "a", "occurred_at": "2026-06-14T12:00:00.000Z",
    "properties": {"a": 1}, "context": {"$message_id": "m"},
}  # fmt: skip
WHISPERR_REQUIRED = {
    ("event_type",): SNAKE_NAME, ("external_user_id",): SHORT_ID, ("context",): OBJECT,
    ("context", "$message_id"): ID,
}  # fmt: skip
WHISPERR_OPTIONAL = {("occurred_at",): TIME, ("properties",): OBJECT}
VISITOR_REQUIRED = {("anonymous_id",): SHORT_ID}

CHANGES = {"set_once": {"source": "ad"}, "increment": {"n": 1}, "unset": ["old"]}
CHANGES_OPTIONAL: dict[Path, Kind] = {("set_once",): VALUES, ("increment",): NUMBERS, ("unset",): NAMES}
ELEMENT = {
    "event": "login", "message_id": "m", "occurred_at": 1_781_438_400, "customer_id": "c", "uid": "u",
    "billing_id": "b", "email": "a@b.c", "anonymous_id": "a", "user": {"id": "p", "traits": {}} | CHANGES,
    "traits": {"plan": "pro"}, "properties": {"a": 1}, "context": {}, "auth_hash": "00",
} | CHANGES  # fmt: skip
ELEMENT_REQUIRED = {("event",): NAME, ("uid",): ID}
ELEMENT_OPTIONAL = {
    ("message_id",): ID, ("occurred_at",): TIME, ("customer_id",): ID, ("billing_id",): ID, ("email",): EMAIL,
    ("anonymous_id",): ID, ("user",): OBJECT, ("user", "traits"): OBJECT, ("traits",): OBJECT,
    ("properties",): OBJECT, ("context",): OBJECT,
    ("auth_hash",): TEXT, **CHANGES_OPTIONAL,
    **{("user", *path): kind for path, kind in CHANGES_OPTIONAL.items()},
}  # fmt: skip
STATEMENT = {
    "uid": "u", "customer_id": "c", "billing_id": "b", "email": "a@b.c", "anonymous_id": "a", "subscription": "sub_1",
    "source": "erp", "message_id": "m", "effective_at": 1_781_438_400, "status": "active", "currency": "EUR",
    "items": [{"id": "i", "plan": "pro", "amount": 4900, "quantity": 2, "interval": "month", "interval_count": 1,
               "kind": "recurring", "tax_percent": 20, "tax_inclusive": True}],
    "discounts": [{"percent": 12.5, "amount": 100, "item": "i", "starts_at": 1_781_438_400, "ends_at": "2026-09-01",
                   "once": False}],
    "started_at": "2026-01-01", "period_start": "2026-06-01", "period_end": "2026-07-01", "trial_end": "2026-01-15",
    "pause": {"starts_at": "2026-08-01", "ends_at": "2026-09-01"}, "canceled_at": "2026-06-14",
    "cancel_at": "2026-12-31", "ended_at": None, "cause": "voluntary", "reason": "too_expensive",
}  # fmt: skip
STATEMENT_REQUIRED: dict[Path, Kind] = {
    ("uid",): ID, ("subscription",): ID, ("items", 0, "amount"): MONEY, ("items", 0, "interval"): CHOICE,
    ("pause", "starts_at"): TIME,
}  # fmt: skip
STATEMENT_OPTIONAL: dict[Path, Kind] = {
    ("customer_id",): ID, ("billing_id",): ID, ("email",): EMAIL, ("anonymous_id",): ID, ("message_id",): ID,
    ("effective_at",): TIME, ("source",): NAME, ("status",): CHOICE, ("currency",): CODE, ("items",): LIST,
    ("items", 0, "id"): ID, ("items", 0, "plan"): ID, ("items", 0, "quantity"): NUMBER,
    ("items", 0, "interval_count"): PERIODS, ("items", 0, "kind"): CHOICE,
    ("items", 0, "tax_percent"): PERCENT, ("items", 0, "tax_inclusive"): FLAG, ("discounts",): LIST,
    ("discounts", 0, "percent"): PERCENT,
    ("discounts", 0, "amount"): MONEY, ("discounts", 0, "item"): ID, ("discounts", 0, "starts_at"): TIME,
    ("discounts", 0, "ends_at"): TIME, ("discounts", 0, "once"): FLAG, ("pause",): PAUSE, ("pause", "ends_at"): TIME,
    ("cause",): CHOICE._replace(null_clears=True), ("reason",): TEXT._replace(null_clears=True),
    **{(name,): TIME._replace(null_clears=True) for name in statement.TIMES},
}  # fmt: skip

CUSTOMER_ID: tuple[Path, ...] = (("customerId",),)
FORMS = [
    Form("churnkey", "/v1/api/events/new", CHURNKEY_EVENT | DATA, CHURNKEY_REQUIRED,
         CHURNKEY_OPTIONAL | DATA_OPTIONAL, CUSTOMER_ID),
    Form("churnkey", "/v1/api/events/bulk", [CHURNKEY_EVENT], under((0,), CHURNKEY_REQUIRED),
         under((0,), CHURNKEY_OPTIONAL), ((0, "customerId"),)),
    Form("churnkey", "/v1/api/events/customer-update", {"customerId": "c", "uid": "u"} | DATA, {("uid",): ID},
         DATA_OPTIONAL, CUSTOMER_ID),
    Form("churnkey", "/v1/api/events/customer-update/set-users", USERS, USERS_REQUIRED, USERS_OPTIONAL, CUSTOMER_ID),
    Form("churnkey", "/v1/api/events/customer-update/set-users/bulk", [USERS], under((0,), USERS_REQUIRED),
         under((0,), USERS_OPTIONAL), ((0, "customerId"),)),
    Form("churnkey", "/v1/events/track", OLDER, CHURNKEY_REQUIRED, {("createdAt",): TIME}, CUSTOMER_ID,
         {"x-ck-api-key": "k"}),
    Form("churnkey", "/v1/api/events/browser", BROWSER, {("event",): NAME, ("customerEmail",): EMAIL},
         {("customerId",): ID, ("authHash",): TEXT, ("eventData",): OBJECT, ("eventDate",): TIME, ("messageId",): ID},
         CUSTOMER_ID),
    Form("windback", "/api/v1/track", WINDBACK_EVENT, WINDBACK_REQUIRED, WINDBACK_OPTIONAL, (("customer_id",),)),
    Form("windback", "/api/v1/track", {"events": [WINDBACK_EVENT]}, under(("events", 0), WINDBACK_REQUIRED),
         under(("events", 0), WINDBACK_OPTIONAL), (("events", 0, "customer_id"),)),
    Form("windback", "/api/v1/projects/acme/churn-events", CHURN, CHURN_REQUIRED,
         CHURN_OPTIONAL | {("cancel_reason",): NAME}),
    Form("windback", "/api/v1/cancel-flow/submit", CHURN, CHURN_REQUIRED | {("cancel_reason",): NAME}, CHURN_OPTIONAL),
    Form("customerscore", "/api/tracker/track", {"trackerKey": "CS-1", "events": [SCORED]},
         {("trackerKey",): ID, ("events",): LIST} | under(("events", 0), SCORED_REQUIRED),
         under(("events", 0), SCORED_OPTIONAL)),
    Form("whisperr", "/v1/events/track", WHISPERR_EVENT, WHISPERR_REQUIRED, WHISPERR_OPTIONAL, (("anonymous_id",),)),
    Form("whisperr", "/v1/events/track", WHISPERR_EVENT, VISITOR_REQUIRED, {}, (("external_user_id",),)),
    Form("whisperr", "/v1/events/batch", {"events": [WHISPERR_EVENT]},
         {("events",): LIST} | under(("events", 0), WHISPERR_REQUIRED), under(("events", 0), WHISPERR_OPTIONAL),
         (("events", 0, "anonymous_id"),)),
    Form("whisperr", "/v1/identify", {"external_user_id": "u", "traits": {"plan": "pro"}},
         {("external_user_id",): SHORT_ID}, {}),
    Form("native", "/v1/ingest", {"events": [ELEMENT]},
         {("events",): LIST} | under(("events", 0), ELEMENT_REQUIRED), under(("events", 0), ELEMENT_OPTIONAL),
         tuple(("events", 0, name) for name in ("customer_id", "billing_id", "email", "anonymous_id", "traits",
                                                "auth_hash"))),
    Form("native", "/v1/subscriptions", {"subscriptions": [STATEMENT]},
         {("subscriptions",): LIST} | under(("subscriptions", 0), STATEMENT_REQUIRED),
         under(("subscriptions", 0), STATEMENT_OPTIONAL),
         tuple(("subscriptions", 0, name) for name in ("customer_id", "billing_id", "email", "anonymous_id"))),
]  # fmt: skip
