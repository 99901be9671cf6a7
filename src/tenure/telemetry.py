"""Every metric that `/metrics` shows. `docs/metrics.md` documents each; a test holds the two together.

The processes of one `tenure serve` share their counts through files (`PROMETHEUS_MULTIPROC_DIR`), which the
supervisor empties at its start; so every count is since the last start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from tenure import metric_files

metric_files.install()


class Measured:
    """A gauge that the process which answers a scrape measures then, so that it is true whatever else has died.

    A gauge that the measured process sets itself would stay at its last value.
    """

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self._documentation = documentation
        self._labels = labels

    def metric(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """The gauge with a value for each combination of values of its labels."""
        found = GaugeMetricFamily(self.name, self._documentation, labels=self._labels)
        for labels, value in values.items():
            found.add_metric(labels, value)
        return found


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
JOURNAL_BYTES = Measured(
    "tenure_journal_bytes", "Bytes used in a journal's file, with loaded requests that are not yet pruned.", ["slot"]
)
LOADED_ROWS = Counter("tenure_loaded_rows_total", "Rows inserted into the warehouse.", ["table"])
ROWS_NOT_STORED = Counter(
    "tenure_rows_not_stored_total", "Rows that the warehouse took and did not have; they are inserted again.", ["table"]
)
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
LOAD_LAG_SECONDS = Measured(
    "tenure_load_lag_seconds", "Age of the oldest acknowledged request that is not loaded; 0 when there is none."
)
PENDING_REQUESTS = Measured("tenure_pending_requests", "Acknowledged requests that are not loaded.")
PENDING_BYTES = Measured("tenure_pending_bytes", "Bytes of the acknowledged requests that are not loaded.")
CLOCK_SKEW_SECONDS = Gauge(
    "tenure_clock_skew_seconds",
    "How far this server's clock is ahead of most clients'.",
    multiprocess_mode="mostrecent",
)
JOURNAL_LOST = Counter("tenure_journal_lost_total", "Acknowledged requests that a journal was found to lack.")
JOURNAL_DAMAGED = Counter("tenure_journal_damaged_total", "Journal rows that did not match their checksum.")
INCIDENTS = Measured("tenure_incidents", "Open incidents.", ["kind"])
FREE_BYTES = Measured("tenure_free_bytes", "Free bytes on the disk of the warehouse and of the journal.", ["disk"])
MIN_FREE_BYTES = Measured("tenure_min_free_bytes", "Free bytes below which loading or ingestion stops.", ["disk"])
DEEP_CHECK_AGE_SECONDS = Measured(
    "tenure_deep_check_age_seconds", "Seconds since every byte of the warehouse was last checked."
)
DEEP_CHECK_FOUND = Measured("tenure_deep_check_found", "What the last check of every byte found wrong.")
FILES_REPAIRED = Counter(
    "tenure_files_repaired_total",
    "Damaged small files of the warehouse that were put right from their copies.",
    ["table"],
)
ROLE_STARTS = Counter("tenure_role_starts_total", "Starts of each role, first one included.", ["role"])


_LAST_SUCCESS = "tenure_worker_last_success_seconds"
WORKER_LAST_SUCCESS = Gauge(
    _LAST_SUCCESS,
    "Seconds since a background worker last did its work, or found nothing to do.",
    ["worker"],
    multiprocess_mode="max",
)
"""Workers set it to `time.monotonic()`, which all processes of a machine share; `exposition` shows the difference."""


def worked(worker: str) -> None:
    """Note that a background worker did its work, or found nothing to do."""
    WORKER_LAST_SUCCESS.labels(worker).set(time.monotonic())


def exposition(measured: Iterable[Metric] = ()) -> bytes:
    """All metrics of all processes, and what was `measured` for this answer, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Shown(measured))
    return generate_latest(registry)


def _files() -> list[str]:
    """Of all processes; the library itself would take brackets in the directory's name for a pattern."""
    return [str(path) for path in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("*.db")]


class _Shown(Collector):
    def __init__(self, measured: Iterable[Metric]) -> None:
        self._measured = measured

    def collect(self) -> Iterator[Metric]:
        now = time.monotonic()
        for metric in MultiProcessCollector.merge(_files()):  # type: ignore[no-untyped-call]
            if metric.name == _LAST_SUCCESS:
                metric.samples = [sample._replace(value=max(0.0, now - sample.value)) for sample in metric.samples]
            yield metric
        yield from self._measured
