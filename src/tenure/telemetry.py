"""Every metric that `/metrics` shows. `docs/metrics.md` documents each; a test holds the two together.

The processes of one `tenure serve` share their counts through files (`PROMETHEUS_MULTIPROC_DIR`), which the
supervisor empties at its start; so every count is since the last start.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("tenure_requests_total", "Ingest requests answered.", ["dialect", "status"])
EVENTS = Counter("tenure_events_accepted_total", "Events acknowledged, duplicates included.", ["dialect"])
IDENTIFIES = Counter("tenure_identifies_accepted_total", "Identifies acknowledged.", ["dialect"])
REFUSALS = Counter("tenure_refusals_total", "Elements and whole requests refused.", ["dialect", "code", "reported"])
RATE_LIMIT_UNCHECKED = Counter(
    "tenure_rate_limit_unchecked_total", "Requests let through because the rate limiter did not answer."
)
JOURNAL_SECONDS = Histogram(
    "tenure_journal_seconds",
    "Duration of a commit of the journal, fsync included.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
JOURNAL_BYTES = Gauge(
    "tenure_journal_bytes", "Bytes in the journal, loaded ones that are not yet pruned included.",
    ["slot"], multiprocess_mode="mostrecent",
)  # fmt: skip
LOADED_ROWS = Counter("tenure_loaded_rows_total", "Rows inserted into the warehouse.", ["table"])
SUBSCRIPTION_EVENTS_UNREADABLE = Counter(
    "tenure_subscription_events_unreadable_total",
    "Billing events that say nothing of subscriptions, since they cannot be read or are not verified.",
    ["dialect", "problem"],
)
LEDGERS_INCOMPLETE = Counter(
    "tenure_ledgers_incomplete_total", "Ledgers of customers that were made without a part of them.", ["reason"]
)
LOAD_BLOCKS = Counter("tenure_load_blocks_total", "Blocks inserted into the warehouse.")
LOAD_FAILURES = Counter("tenure_load_failures_total", "Blocks that could not be inserted and will be tried again.")
LOAD_LAG_SECONDS = Gauge(
    "tenure_load_lag_seconds", "Age of the oldest request of the last loaded block.", multiprocess_mode="mostrecent"
)
PENDING_REQUESTS = Gauge(
    "tenure_pending_requests", "Requests in the journal that wait to be loaded.", multiprocess_mode="mostrecent"
)
PENDING_BYTES = Gauge(
    "tenure_pending_bytes", "Bytes in the journal that wait to be loaded.", multiprocess_mode="mostrecent"
)
JOURNAL_DAMAGED = Counter("tenure_journal_damaged_total", "Journal rows that did not match their checksum.")
ROLE_STARTS = Counter("tenure_role_starts_total", "Starts of each role, first one included.", ["role"])


def exposition() -> bytes:
    """All metrics of all processes, in Prometheus' text format."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
