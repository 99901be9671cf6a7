"""Commands that work as printed: one `curl` per dialect, and some that read."""

from __future__ import annotations

from urllib.parse import quote

from tenure.demo.highlight import Highlight
from tenure.snippets import Who, curl, post, requests


def curls(base_url: str, app: str, keys: dict[str, str], customer: Highlight) -> dict[str, str]:
    """By name: a dialect, or what is read. Each sends its event now, for a customer of the demo."""
    who = Who(customer.customer_id, customer.uid, customer.email)
    sending = {name: post(request) for name, request in requests(base_url, app, keys, who).items()}
    return sending | _reading(base_url, keys, customer)


def _reading(base_url: str, keys: dict[str, str], customer: Highlight) -> dict[str, str]:
    """Commands that show what is there."""
    header = {"Authorization": f"Bearer {keys['read_key']}"}
    whole = f"{base_url}/v1/customers/{quote(customer.email)}"
    return {
        "customer": curl(whole, header),
        "subscriptions": curl(f"{whole}/subscriptions", header),
        "timeline": curl(f"{whole}/timeline?limit=5", header),
        "customers": curl(f"{base_url}/v1/customers?inactive_days=14&limit=5", header),
        "mrr": curl(f"{base_url}/v1/metrics/mrr?currency=USD", header),
        "events": curl(f"{base_url}/v1/events", header),
    }
