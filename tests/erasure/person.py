"""A person who leaves traces in every place that Tenure has: each trace is a text that is nowhere else."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.harness import Server

Keys = dict[str, str]

DONE_SECONDS = 120
"""What is promised."""


@dataclass
class Person:
    """Identifiers, and the texts that were planted. `mark` begins all of them."""

    mark: str = field(default_factory=lambda: "canary" + secrets.token_hex(6))
    planted: list[str] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)

    def text(self, place: str) -> str:
        """A text of this person's, for one place."""
        made = f"{self.mark}-{place}"
        self.planted.append(made)
        return made

    @property
    def customer_id(self) -> str:
        return f"{self.mark}-customer"

    @property
    def email(self) -> str:
        return f"{self.mark}-Mail@Example.com"

    @property
    def identifiers(self) -> list[str]:
        """As they are asked for in a URL."""
        return [self.customer_id, f"{self.mark}-uid", f"{self.mark}-billing", self.email,
                f"anonymous_id:{self.mark}-anonymous"]  # fmt: skip


RECOGNISED = 4
"""So many of the requests below say when it happened or which request it is: sent again, they change nothing."""


def requests_of(person: Person) -> list[dict[str, Any]]:
    """What is sent of a person, as arguments of `httpx`; the names in `headers` are kinds of keys still."""
    who = {"customer_id": person.customer_id, "uid": f"{person.mark}-uid", "billing_id": f"{person.mark}-billing",
           "email": person.email, "anonymous_id": f"{person.mark}-anonymous"}  # fmt: skip
    person.planted += who.values()
    text = person.text
    native = {"events": [
        {**who, "event": text("event-name"), "message_id": text("message-id"),
         "properties": {"note": text("property")}, "context": {"page": text("context")},
         "user": {"id": text("user"), "traits": {"role": text("user-trait")}}, "traits": {"name": text("trait")}},
        {"event": "login", "uid": who["uid"], "occurred_at": "2026-01-02T03:04:05Z"},
        {"event": "seen", "anonymous_id": who["anonymous_id"]},
        {"event": "paid", "billing_id": who["billing_id"]},
        {"event": "subscription_updated", "customer_id": person.customer_id, "occurred_at": "2026-01-02T03:04:07Z",
         "properties": {"source": "native", "subscription": text("subscription"), "status": "canceled",
                        "currency": "USD", "items": [{"amount": 900, "plan": text("plan"), "interval": "month"}],
                        "started_at": 1767225600000, "reason": text("why-it-ended")}},
        {"event": "refused", "customer_id": person.customer_id, "unknown": text("rejected")},
    ]}  # fmt: skip
    users = [{"userId": text("set-user"), "data": {"name": text("set-user-data")}}]
    churn = {"customer_email": person.email.lower(), "customer_name": text("churn-name"), "provider": "stripe",
             "mrr": 4900, "notes": text("churn-notes")}  # fmt: skip
    return [
        {"url": "/v1/ingest", "json": native, "headers": {"X-API-Key": "secret_key"}, "key": text("idempotency")},
        {"url": "/v1/api/events/new", "headers": {"x-ck-api-key": "secret_key", "x-ck-app": "app"},
         "json": {"event": "Post Created", "customerId": person.customer_id, "eventData": {"title": text("churnkey")},
                  "eventDate": "2026-01-02T03:04:05Z", "customerData": {"plan": text("customer-data")}}},
        {"url": "/v1/api/events/bulk", "headers": {"x-ck-api-key": "secret_key", "x-ck-app": "app"},
         "json": [{"event": "kept", "customerId": person.customer_id, "eventDate": "2026-01-02T03:04:06Z"},
                  {"customerId": person.customer_id, "event": "", "eventData": {"title": text("quarantined")}}]},
        {"url": "/api/tracker/track", "headers": {"customerscore-key": "secret_key"},
         "json": {"trackerKey": "tracker_key", "events": [
             {"name": "login", "timestamp": 1712123456789, "identification": {"customer": person.customer_id},
              "metadata": {"plan": text("customerscore")}}]}},
        {"url": "/v1/api/events/customer-update/set-users", "json": {"customerId": person.customer_id, "users": users},
         "headers": {"x-ck-api-key": "secret_key", "x-ck-app": "app"}},
        {"url": "/api/v1/projects/acme/churn-events", "json": churn, "headers": {"X-API-Key": "secret_key"}},
        {"url": "/v1/identify", "headers": {"X-API-Key": "secret_key"},
         "json": {"external_user_id": who["uid"], "traits": {"city": text("whisperr-trait")},
                  "channels": [{"channel": "email", "address": text("channel")}]}},
    ]  # fmt: skip


def bearer(keys: Keys, kind: str = "secret_key") -> dict[str, str]:
    """The header of the read API."""
    return {"Authorization": f"Bearer {keys[kind]}"}


def erase(server: Server, keys: Keys, identifier: str) -> str:
    """Ask for an erasure, and confirm it where that is asked for; returns its id."""
    answer = server.http.delete(f"/v1/customers/{identifier}", headers=bearer(keys))
    if answer.status_code == 409:
        confirm = {"confirm": answer.json()["digest"]}
        answer = server.http.delete(f"/v1/customers/{identifier}", headers=bearer(keys), params=confirm)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/erasures/{answer.json()['id']}"
    return str(answer.json()["id"])


def certificate_when_done(server: Server, keys: Keys, erasure: str) -> Any:
    """Wait for the end of an erasure."""
    deadline = time.monotonic() + DONE_SECONDS
    while (found := server.read(f"/v1/erasures/{erasure}", keys))["state"] != "done":
        assert time.monotonic() < deadline, (found, server.log.read_text()[-5000:])
        time.sleep(0.1)
    return found


def outcomes(server: Server, keys: Keys, receipts: list[str]) -> list[str]:
    """What became of the elements of these requests."""
    found = [server.read(f"/v1/receipts/{receipt}", keys)["elements"] for receipt in receipts]
    return [element["outcome"] for elements in found for element in elements]


def send(server: Server, keys: Keys, person: Person, requests: list[dict[str, Any]]) -> None:
    """Send these, and remember their receipts."""
    with httpx.Client(base_url=server.url, timeout=30) as http:
        for request in requests:
            headers = {name: keys[kind] for name, kind in request["headers"].items()}
            if "key" in request:
                headers["Idempotency-Key"] = request["key"]
            body = request["json"]
            if isinstance(body, dict) and "trackerKey" in body:
                body = body | {"trackerKey": keys["tracker_key"]}
            answer = http.post(request["url"], headers=headers, json=body)
            assert answer.status_code < 300, (request["url"], answer.text)
            person.receipts.append(answer.headers["Tenure-Receipt"])
            if "churn-events" in request["url"]:
                reason = {"cancel_reason": "other", "cancel_reason_text": f"{person.mark}-reason"}
                path = f"{request['url']}/{answer.json()['id']}/cancel-reason"
                answer = http.patch(path, headers=headers, json=reason)
                assert answer.status_code == 200, answer.text
                person.receipts.append(answer.headers["Tenure-Receipt"])
