"""Facts as tests write them: fields of `Fact` with dates as text, the rest filled in."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import msgspec

from tenure.subscriptions.fact import Fact

SUBSCRIPTIONS = int(os.environ.get("TENURE_TEST_SUBSCRIPTIONS", "2000"))
"""Of one customer who has very many; `make soak` takes 100,000."""
DAY = 86_400_000
TIMES = {
    "effective_at", "started_at", "period_start", "period_end", "trial_end", "canceled_at", "cancel_at", "ended_at",
    "starts_at", "ends_at",
}  # fmt: skip


def at(text: str) -> int:
    """Milliseconds since 1970 UTC of a date, or of a time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def fact(effective_at: str, **fields: Any) -> Fact:
    """A fact of customer c1's subscription s1, received when it took effect."""
    filled = {"source": "stripe", "customer": "c1", "subscription": "s1"} | fields | {"effective_at": effective_at}
    return msgspec.convert({"received_at": at(effective_at) * 1000} | _with_times(filled), Fact)


def _with_times(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_times(each) for each in value]
    if isinstance(value, dict):
        return {key: at(each) if key in TIMES and isinstance(each, str) else _with_times(each)
                for key, each in value.items()}  # fmt: skip
    return value


def active(effective_at: str, amount: int = 3000, **fields: Any) -> Fact:
    """An active subscription with one monthly item."""
    return fact(effective_at, **({"status": "active", "currency": "USD", "items": [{"amount": amount}]} | fields))
