"""Every ingest path with its keys, one small good body, and the exact answer to it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

Keys = dict[str, str]
TRACKER, ID, TIME = "the app's tracker key", "an id", "a time"


@dataclass(frozen=True)
class Endpoint:
    """One ingest path."""

    dialect: str
    path: str
    key_headers: tuple[tuple[str, str], ...]
    """Header names, and which of an app's keys goes there."""
    body: Any
    status: int
    answer: Any
    """The body of success, with `ID` and `TIME` for what differs each time."""
    needs: str | None
    """The field that an error names when the body is the same without it; None: the body is an array."""

    def headers(self, keys: Keys) -> dict[str, str]:
        """The headers with the keys of an app."""
        return {name: keys[kind] for name, kind in self.key_headers}

    def content(self, keys: Keys) -> bytes:
        """The good body, with the tracker key of the app where one belongs."""
        return json.dumps(self.body).replace(TRACKER, keys["tracker_key"]).encode()

    def is_success(self, status: int, body: bytes) -> bool:
        """Whether this is exactly the documented answer."""
        text = re.sub(r'"[0-9a-f]{32}"', f'"{ID}"', body.decode())
        text = re.sub(r'"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', f'"{TIME}"', text)
        return (status, json.loads(text)) == (self.status, self.answer)

    def error(self, code: str, message: str, **place: Any) -> dict[str, Any]:
        """The body of an error in the dialect's shape; Whisperr's has no place for the place."""
        if self.dialect == "whisperr":
            return {"error": {"code": code, "message": message}, "message": message}
        return {"error": code, "message": message, **place}

    def __str__(self) -> str:
        return f"{self.dialect} {self.path}"


CHURNKEY = (("x-ck-api-key", "secret_key"), ("x-ck-app", "app"))
BROWSER = (("x-ck-app", "app"),)
API_KEY = (("X-API-Key", "secret_key"),)
EVENT = {"event": "Post Created", "customerId": "cus_abc"}
USERS = {"customerId": "cus_abc", "users": [{"userId": "u1", "data": {"role": "owner"}}]}
WHISPERR = {"external_user_id": "u1", "event_type": "login", "context": {"$message_id": "m1"}}
SCORED = {"name": "login", "timestamp": 1712123456789, "identification": {"customer": "cus_abc"}}
CHURN = {"customer_email": "jane@example.com", "provider": "stripe", "mrr": 4900, "cancel_reason": "other"}
CHURN_EVENT = {
    "id": ID, "status": "recorded", "customer_email": "jane@example.com", "customer_name": None, "provider": "stripe",
    "provider_customer_id": None, "provider_subscription_id": None, "plan_name": None, "mrr": 4900, "currency": "USD",
    "tenure_days": None, "last_active_at": None, "cancel_reason": "other", "cancel_reason_text": None, "notes": None,
    "project": "acme", "created_at": TIME, "updated_at": TIME, "verified": True,
}  # fmt: skip
SUCCESS, VERIFIED = {"status": "success"}, {"status": "success", "verified": True}

ENDPOINTS = [
    Endpoint("churnkey", "/v1/api/events/new", CHURNKEY, EVENT, 200, VERIFIED, "event"),
    Endpoint("churnkey", "/v1/api/events/bulk", CHURNKEY, [EVENT], 200,
             {"status": "success", "event_count": 1, "verified": True}, None),
    Endpoint("churnkey", "/v1/api/events/customer-update", CHURNKEY,
             {"customerId": "cus_abc", "customerData": {"plan": "pro"}}, 200, SUCCESS, "customerId"),
    Endpoint("churnkey", "/v1/api/events/customer-update/set-users", CHURNKEY, USERS, 200, SUCCESS, "customerId"),
    Endpoint("churnkey", "/v1/api/events/customer-update/set-users/bulk", CHURNKEY, [USERS], 200, SUCCESS, None),
    Endpoint("churnkey", "/v1/events/track", CHURNKEY, EVENT, 200, VERIFIED, "event"),
    Endpoint("churnkey", "/v1/api/events/browser", BROWSER, EVENT, 200, {"status": "success", "verified": False},
             "event"),
    Endpoint("windback", "/api/v1/track", API_KEY, {"event": "login", "customer_email": "jane@example.com"}, 200,
             {"status": "ok"}, "event"),
    Endpoint("windback", "/api/v1/cancel-flow/submit", API_KEY, CHURN, 200,
             {"success": True, "churn_event_id": ID, "event_id": ID, "status": "recorded",
              "message": "The cancel flow is recorded on the customer's timeline.", "offer": None}, "mrr"),
    Endpoint("windback", "/api/v1/projects/acme/churn-events", API_KEY, CHURN, 201, CHURN_EVENT, "provider"),
    Endpoint("customerscore", "/api/tracker/track", (("customerscore-key", "secret_key"),),
             {"trackerKey": TRACKER, "events": [SCORED]}, 200, {"status": "ok", "received": 1}, "events"),
    Endpoint("whisperr", "/v1/events/batch", API_KEY, {"events": [WHISPERR]}, 202, {"accepted": 1, "rejected": 0},
             "events"),
    Endpoint("whisperr", "/v1/events/track", API_KEY, WHISPERR, 202,
             {"event": {"mapping_status": "pending"}, "processing": "queued"}, "event_type"),
    Endpoint("whisperr", "/v1/identify", API_KEY, {"external_user_id": "u1", "traits": {"plan": "pro"}}, 202,
             {"processing": "queued"}, "external_user_id"),
    Endpoint("native", "/v1/ingest", API_KEY, {"events": [{"event": "login", "uid": "u1"}]}, 202,
             {"receipt": ID, "results": [{"index": 0, "status": "stored_pending", "event_id": ID}]}, "events"),
    Endpoint("native", "/v1/subscriptions", API_KEY,
             {"subscriptions": [{"uid": "u1", "subscription": "sub_1", "status": "active"}]}, 202,
             {"receipt": ID, "results": [{"index": 0, "status": "stored_pending", "event_id": ID}]}, "subscriptions"),
]  # fmt: skip

every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
every_endpoint_with_a_key = pytest.mark.parametrize(
    "endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.key_headers != BROWSER], ids=str
)
