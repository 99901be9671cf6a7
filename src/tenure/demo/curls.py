"""Commands that work as printed: one `curl` per dialect, and some that read."""

from __future__ import annotations

import time
import uuid
from shlex import quote
from typing import Any
from urllib.parse import quote as quote_path

import msgspec

from tenure.demo.highlight import Highlight


def curls(base_url: str, app: str, keys: dict[str, str], customer: Highlight) -> dict[str, str]:
    """By name: a dialect, or what is read. Each sends its event now, for a customer of the demo."""
    return sending(base_url, app, keys, customer) | reading(base_url, keys, customer)


def sending(base_url: str, app: str, keys: dict[str, str], customer: Highlight) -> dict[str, str]:
    """One command for each dialect."""
    secret = keys["secret_key"]
    event_of_contact = {
        "name": "Dashboard Opened",
        "timestamp": time.time_ns() // 1_000_000,
        "identification": {"customer": customer.customer_id},
    }
    return {
        "churnkey": _post(
            f"{base_url}/v1/api/events/new",
            {"x-ck-api-key": secret, "x-ck-app": app},
            {"event": "Report Exported", "customerId": customer.customer_id, "eventData": {"feature": "exports"}},
        ),
        "windback": _post(
            f"{base_url}/api/v1/track",
            {"X-API-Key": secret},
            {"event": "feature_used", "customer_email": customer.email, "properties": {"feature": "exports"}},
        ),
        "customerscore": _post(
            f"{base_url}/api/tracker/track",
            {"customerscore-key": secret},
            {"trackerKey": keys["tracker_key"], "events": [event_of_contact]},
        ),
        "whisperr": _post(
            f"{base_url}/v1/events/track",
            {"X-API-Key": secret},
            {
                "external_user_id": customer.uid,
                "event_type": "page_viewed",
                "properties": {"path": "/pricing"},
                "context": {"$message_id": str(uuid.uuid4())},
            },
        ),
    }


def reading(base_url: str, keys: dict[str, str], customer: Highlight) -> dict[str, str]:
    """Commands that show what is there."""
    header = {"Authorization": f"Bearer {keys['read_key']}"}
    whole = f"{base_url}/v1/customers/{quote_path(customer.email)}"
    return {
        "customer": _curl(whole, header),
        "subscriptions": _curl(f"{whole}/subscriptions", header),
        "timeline": _curl(f"{whole}/timeline?limit=5", header),
        "customers": _curl(f"{base_url}/v1/customers?inactive_days=14&limit=5", header),
        "mrr": _curl(f"{base_url}/v1/metrics/mrr?currency=USD", header),
        "events": _curl(f"{base_url}/v1/events", header),
    }


def _post(url: str, headers: dict[str, str], body: dict[str, Any]) -> str:
    command = _curl(url, headers | {"Content-Type": "application/json"})
    return f"{command} \\\n  -d {quote(msgspec.json.encode(body).decode())}"


def _curl(url: str, headers: dict[str, str]) -> str:
    lines = [f"curl -sS {quote(url)}", *(f"-H {quote(f'{name}: {value}')}" for name, value in headers.items())]
    return " \\\n  ".join(lines)
